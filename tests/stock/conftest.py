"""pika against the broker under test."""

import pika
import pytest


@pytest.fixture
def connect(broker):
    """Opens pika connections; whatever is still open is closed after the test."""
    opened = []

    def open_one(**parameters):
        given = pika.URLParameters(broker.url)
        for key, value in parameters.items():
            setattr(given, key, value)
        opened.append(pika.BlockingConnection(given))
        return opened[-1]

    yield open_one
    for connection in opened:
        if connection.is_open:
            connection.close()


@pytest.fixture
def channel(connect):
    """A channel on a connection of its own, with confirms: a publish returns when the broker has the message."""
    opened = connect().channel()
    opened.confirm_delivery()
    return opened


@pytest.fixture
def other(connect):
    """A channel on another connection."""
    opened = connect().channel()
    opened.confirm_delivery()
    return opened
