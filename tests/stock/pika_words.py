"""Short words for what the pika tests do often."""

from contextlib import contextmanager

import pytest
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker


@contextmanager
def refused(code, text=""):
    """The broker closes the channel with this reply code, and with a text that begins so."""
    with pytest.raises(ChannelClosedByBroker) as error:
        yield
    assert error.value.reply_code == code
    assert error.value.reply_text.startswith(text), error.value.reply_text


@contextmanager
def expelled(code, text=""):
    """The broker closes the connection with this reply code, and with a text that begins so."""
    with pytest.raises(ConnectionClosedByBroker) as error:
        yield
    assert error.value.reply_code == code
    assert error.value.reply_text.startswith(text), error.value.reply_text


def send(channel, queue, *bodies):
    for body in bodies:
        channel.basic_publish("", queue, body, mandatory=True)


def get(channel, queue, ack=True):
    """The next body waiting in the queue, or None."""
    method, _, body = channel.basic_get(queue, auto_ack=ack)
    return body if method else None


def drain(channel, queue):
    """All bodies waiting in the queue."""
    return list(iter(lambda: get(channel, queue), None))


class Inbox:
    """A consumer that keeps what it is sent. `take(n)` waits for n deliveries; `bodies` is all so far."""

    def __init__(self, channel, queue, **options):
        self.channel, self.queue, self.deliveries = channel, queue, []
        self.tag = channel.basic_consume(queue, lambda _, *delivery: self.deliveries.append(delivery), **options)

    @property
    def bodies(self):
        return [body for _, _, body in self.deliveries]

    def take(self, count):
        while len(self.deliveries) < count:
            self.channel.connection.process_data_events(10)
        return self.bodies

    def settled(self):
        """All bodies, when no more are coming of what was published so far.

        The queue answers the declare after what it has delivered. It may answer before an ack that was sent just now
        (RabbitMQ's queues give status calls precedence), so wait for that ack's effect first.
        """
        self.channel.queue_declare(self.queue, passive=True)
        self.channel.connection.process_data_events(0)
        return self.bodies

    def ack(self, index=-1, multiple=False):
        self.channel.basic_ack(self.deliveries[index][0].delivery_tag, multiple)
