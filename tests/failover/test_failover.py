"""A short trial; `make failover` is the long one."""

import pytest

from failover import plan
from failover.member import Member
from failover.trial import Trial
from support.locks import holder
from support.waiting import eventually

SEED, ROUNDS = 5, 20


@pytest.mark.timeout(240)
def test_nothing_confirmed_is_lost_doubled_or_stuck_while_hosts_and_clients_come_and_go(tmp_path):
    trial = Trial(tmp_path, ROUNDS, SEED, pause=10).run()
    assert trial.judge.counts["messages"] and trial.judge.counts["reconnected"], trial.report()
    assert trial.passed, trial.report()


def test_a_process_that_loses_messages_is_found_out(tmp_path):
    """Its notes say that it has confirmed what was never sent."""
    trial = Trial(tmp_path, 0, SEED)
    trial.judge.note("liar.1", 1.0, "liar", "publish", 1, 3, ["deep"], True)
    trial.judge.note("liar.1", 2.0, "liar", "confirmed", 1, 3, [])
    trial._drain()
    assert trial.judge.counts["lost"] == 3 and not trial.passed


def test_a_process_that_does_not_come_on_is_found_out(tmp_path):
    """It waits for messages that nobody sends."""
    idle = plan.Part("idle", "python", (plan.consume("deep"),))
    trial = Trial(tmp_path, 1, SEED, bound=2, parts=[idle]).run()
    assert trial.judge.counts["stuck"] == 1 and not trial.passed, trial.report()


def test_who_holds_a_directory_is_known_without_touching_its_lock(tmp_path):
    assert holder(tmp_path / "nowhere") is None
    for name in ("notes", "logs"):
        (tmp_path / name).mkdir()
    options = {"url": f"local:{tmp_path / 'queues'}", "timeout": 10, "topology": plan.TOPOLOGY}
    member = Member(plan.Part("one", "python", ()), 1, tmp_path, options)
    try:
        assert eventually(lambda: holder(tmp_path / "queues")) == member.pid
    finally:
        member.kill()
    assert holder(tmp_path / "queues") is None
