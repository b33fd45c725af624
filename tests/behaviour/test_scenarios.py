"""Every scenario, in every language and pairing, on every transport: what is seen is the same."""

import contextlib
import itertools
import json

import pika
import pytest

from behaviour.coordinator import HERE, Play, Runner
from support import brokers, twins

SCENARIOS = [(path.stem[:2], json.loads(path.read_text())) for path in sorted((HERE / "scenarios").glob("*.json"))]
OURS = [("python",), ("node",), ("python", "node"), ("node", "python")]
TWINS = [("node+python",), ("python+node",)]
STOCK = [("pika",), ("amqplib",), ("pika", "amqplib"), ("amqplib", "pika")]

_serial = itertools.count(1)


def plays(casts):
    """Every case with every cast, as parameters. A `solo` scenario has no use for two kinds of runner."""
    return pytest.mark.parametrize(
        "kinds, scenario, case",
        [
            pytest.param(kinds, scenario, case, id=f"{'-'.join(kinds)}-{number} {case['name']}")
            for kinds in casts
            for number, scenario in SCENARIOS
            for case in scenario["cases"]
            if len(kinds) == 1 or not scenario.get("solo")
        ],
    )


@plays(OURS[:2])
def test_inproc(kinds, scenario, case, pool):
    play("warrenmq", f"inproc://behaviour-{next(_serial)}", Cast(pool, kinds), case)


@plays(TWINS)
def test_inproc_with_both_languages_in_one_process(kinds, scenario, case, pool):
    if reason := twins.unavailable():
        pytest.skip(reason)
    play("warrenmq", f"inproc://behaviour-{next(_serial)}", Cast(pool, kinds), case)


@plays(OURS)
def test_local(host, kinds, scenario, case, pool, swept):
    play(host.name, f"local:{host.directory / 'data'}", Cast(pool, kinds), case)


@pytest.mark.parametrize("hosting", ["python", "node"])
@plays(OURS[2:3])
def test_local_without_a_daemon(hosting, kinds, scenario, case, pool, tmp_path):
    """The roles of one language are in the process that hosts the directory, those of the other are attached."""
    cast, url = Household(pool, kinds), f"local:{tmp_path / 'queues'}"
    cast.of(hosting).ask({"role": "host", "do": "open", "url": url})
    play("warrenmq", url, cast, case)


@plays(OURS)
def test_amqp(broker, kinds, scenario, case, pool, swept):
    play(broker.name, broker.url, Cast(pool, kinds), case)


@plays(STOCK)
def test_stock_clients_say_the_same(broker, kinds, scenario, case, pool, swept):
    play(broker.name, broker.url, Cast(pool, kinds), case)


def play(broker, url, cast, case):
    if broker not in case.get("only", {broker: ""}):
        pytest.skip(*case["only"].values())
    for kind, reason in case.get("except", {}).items():
        if any(kind in kinds.split("+") for kinds in cast.kinds):
            pytest.skip(reason)
    try:
        Play(broker, url, cast).run(case)
    except BaseException:
        cast.dismiss()
        raise
    cast.reset()


class Cast:
    """Who plays which role.

    With one kind of runner, one process plays all roles. With two, every role has a process to itself, and the
    kinds take turns: the first role is the first kind's, the second the second's, and so on.
    """

    def __init__(self, pool, kinds):
        self.pool, self.kinds, self.places = pool, kinds, {}

    def __call__(self, role):
        """The runner of this role."""
        turn = 0 if len(self.kinds) == 1 else self.places.setdefault(role, len(self.places))
        self.places.setdefault(role, turn)
        place = self.kinds[turn % len(self.kinds)], turn
        if place not in self.pool:
            self.pool[place] = Runner(place[0])
        return self.pool[place]

    def kill(self, role):
        """Kill the role's process, if it is the role's own, and say whether it was."""
        if len(self.kinds) == 1:
            return False
        self.pool.pop((self.kinds[self.places[role] % 2], self.places[role])).kill()
        return True

    def reset(self):
        for runner in self.pool.values():
            runner.ask({"do": "reset"})

    def dismiss(self):
        """After a failure no runner is to be trusted."""
        while self.pool:
            self.pool.popitem()[1].kill()


class Household(Cast):
    """Each kind has one process for all its roles. They take turns."""

    def __call__(self, role):
        turn = self.places.setdefault(role, len(self.places))
        return self.of(self.kinds[turn % len(self.kinds)])

    def of(self, kind):
        if (kind, "all") not in self.pool:
            self.pool[kind, "all"] = Runner(kind)
        return self.pool[kind, "all"]

    def kill(self, role):
        return False


@pytest.fixture(scope="session")
def host():
    """Who has the directory that `local:` runners attach to."""
    broker = brokers.start_warrenmq("--data", "data")
    yield broker
    assert broker.stop() == 0


@pytest.fixture(scope="session")
def pool():
    """Runner processes by kind and place, kept for the session since they take long to start."""
    runners = {}
    yield runners
    for runner in runners.values():
        runner.stop()


@pytest.fixture(scope="session")
def brooms():
    """Channels that are kept for sweeping, by URL. Nobody answers heartbeats between two tests, so they have none."""
    channels = {}

    def broom(url):
        if url not in channels:
            parameters = pika.URLParameters(url)
            parameters.heartbeat = 0
            channels[url] = pika.BlockingConnection(parameters).channel()
        return channels[url]

    yield broom
    for channel in channels.values():
        with contextlib.suppress(pika.exceptions.AMQPError):  # its broker may be gone before it
            channel.connection.close()


@pytest.fixture
def swept(brooms, scenario, request):
    """None of the scenario's queues and exchanges is there before it, nor after it."""
    used = "host" if "host" in request.fixturenames else "broker"
    broom = brooms(request.getfixturevalue(used).url)
    sweep(broom, scenario)
    yield
    sweep(broom, scenario)


def sweep(channel, scenario):
    for queue in scenario.get("queues", []):
        channel.queue_delete(queue)
    for exchange in scenario.get("exchanges", []):
        channel.exchange_delete(exchange)
