"""A short trial of each broker; `make crash` is the long one."""

import pytest

from crash.subject import RabbitMQ, WarrenMQ
from crash.trial import Trial
from support import brokers

SEED = 4


def subject(kind, directory, **options):
    return kind(directory, *brokers.free_ports(1), **options)


# RabbitMQ takes five seconds to start.
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind, kills", [(WarrenMQ, 10), (RabbitMQ, 1)], ids=["warrenmq", "rabbitmq"])
def test_nothing_confirmed_is_lost(kind, kills, tmp_path):
    broker = subject(kind, tmp_path)
    try:
        broker.check()
    except brokers.Unavailable as reason:
        pytest.skip(str(reason))
    trial = Trial(broker, kills, SEED, pause=5).run()
    assert trial.ledger.counts["confirmed"], trial.report()
    assert trial.passed, trial.report()


# The long trial mixes them with the others.
@pytest.mark.timeout(120)
@pytest.mark.parametrize("moment", ["kinds", "backup"])
def test_nothing_is_lost_of_special_queues_and_in_backups(moment, tmp_path):
    trial = Trial(subject(WarrenMQ, tmp_path), 4, SEED, pause=2, moments=(moment,)).run()
    assert trial.ledger.counts["confirmed"] and (trial.backups or moment != "backup"), trial.report()
    assert trial.passed, trial.report()


# It has no directory, so there is nothing to back up.
def test_a_broker_that_keeps_nothing_is_found_out(tmp_path):
    trial = Trial(subject(WarrenMQ, tmp_path, broken="memory"), kills=3, seed=SEED, moments=("load",)).run()
    assert trial.ledger.counts["lost"], trial.report()
    assert not trial.passed and not trial.failures


@pytest.mark.timeout(120)
def test_a_broker_whose_newest_file_goes_is_found_out(tmp_path):
    broker = subject(WarrenMQ, tmp_path, broken="newest")
    try:
        broker.check()
    except brokers.Unavailable as reason:
        pytest.skip(str(reason))
    trial = Trial(broker, kills=3, seed=SEED).run()
    assert not trial.passed, trial.report()
