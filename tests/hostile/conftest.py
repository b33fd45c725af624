"""The well-behaved client that stands beside every hostile one."""

import pika
import pytest


class Neighbour:
    """A connection of its own, opened before the attack: what it publishes must come back, in order."""

    def __init__(self, url):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.consumer = self.channel.consume(self.queue, inactivity_timeout=10)
        self.sent = 0

    def check(self):
        """Three confirmed messages go round, and nothing else has come in between."""
        for number in range(self.sent, self.sent + 3):
            self.channel.basic_publish("", self.queue, str(number).encode(), mandatory=True)
        for number in range(self.sent, self.sent + 3):
            method, _, body = next(self.consumer)
            assert body == str(number).encode(), "the neighbour lost a message"
            self.channel.basic_ack(method.delivery_tag)
        self.sent += 3


@pytest.fixture(scope="package")
def settled(broker):
    """The neighbour of all tests here. It goes with the last of them: left alone, pika keeps no heartbeat."""
    one = Neighbour(broker.url)
    yield one
    one.connection.close()


@pytest.fixture
def neighbour(settled):
    """Works before the test, and must work after it."""
    settled.check()
    yield settled
    settled.check()
