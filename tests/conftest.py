"""Fixtures of every suite: the broker under test, and names that no other test uses."""

import itertools

import pytest

from support import brokers


@pytest.fixture(scope="session", params=["warrenmq", "rabbitmq"])
def broker(request):
    """A broker process shared by the session. RabbitMQ is the oracle: each test must hold on it too."""
    try:
        running = brokers.start(request.param)
    except brokers.Unavailable as reason:
        pytest.skip(str(reason))
    yield running
    assert running.alive, f"{running.name} died:\n" + "\n".join(running.output)
    status = running.stop()
    assert status == 0, f"{running.name} stopped with status {status}:\n" + "\n".join(running.output)


_serial = itertools.count(1)


@pytest.fixture
def name(request):
    """`name("hello")` is a name like `hello.17`, so that tests may share a broker."""
    return lambda word: f"{word}.{next(_serial)}"
