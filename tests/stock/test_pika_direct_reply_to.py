"""Direct reply-to with pika: the answer goes straight to the asker, without a queue."""

import pika
import pytest
from pika.exceptions import UnroutableError

from stock.pika_words import Inbox, refused

REPLY_TO = "amq.rabbitmq.reply-to"


@pytest.fixture
def asker(connect):
    channel = connect().channel()
    return Inbox(channel, REPLY_TO, auto_ack=True)


@pytest.fixture
def queue(channel, name):
    return channel.queue_declare(name("rpc")).method.queue


def ask(asker, queue, body, **about):
    asker.channel.basic_publish("", queue, body, pika.BasicProperties(reply_to=REPLY_TO, **about))


def answer_address(channel, queue):
    """The reply_to that a server sees in the next request."""
    inbox = Inbox(channel, queue, auto_ack=True)
    inbox.take(1)
    channel.basic_cancel(inbox.tag)
    return inbox.deliveries[0][1].reply_to


def answer(channel, address, body, **about):
    channel.basic_publish("", address, body, pika.BasicProperties(**about))


def test_the_answer_reaches_the_asker(channel, asker, queue):
    ask(asker, queue, b"ping", correlation_id="1")
    address = answer_address(channel, queue)
    assert address.startswith(REPLY_TO + ".")
    answer(channel, address, b"pong", correlation_id="1")
    assert asker.take(1) == [b"pong"]
    method, about, _ = asker.deliveries[0]
    assert (about.correlation_id, method.exchange, method.routing_key) == ("1", "", address)


def test_each_asker_gets_its_own_answers(channel, connect, queue):
    one, two = (Inbox(connect().channel(), REPLY_TO, auto_ack=True) for _ in range(2))
    ask(one, queue, b"one")
    first = answer_address(channel, queue)
    ask(two, queue, b"two")
    second = answer_address(channel, queue)
    assert first != second
    answer(channel, second, b"for two")
    answer(channel, first, b"for one")
    assert (one.take(1), two.take(1)) == ([b"for one"], [b"for two"])


def test_several_answers_may_go_to_one_address(channel, asker, queue):
    ask(asker, queue, b"ping")
    address = answer_address(channel, queue)
    for body in (b"1", b"2", b"3"):
        answer(channel, address, body)
    assert asker.take(3) == [b"1", b"2", b"3"]


def test_a_mandatory_answer_is_delivered_and_yet_returned_for_the_address_is_no_queue(channel, asker, queue):
    ask(asker, queue, b"ping")
    address = answer_address(channel, queue)
    with pytest.raises(UnroutableError):
        channel.basic_publish("", address, b"pong", mandatory=True)
    assert asker.take(1) == [b"pong"]


def test_an_answer_to_an_asker_that_has_gone_cannot_be_routed(channel, asker, queue):
    ask(asker, queue, b"ping")
    address = answer_address(channel, queue)
    asker.channel.connection.close()
    channel.basic_publish("", address, b"dropped")
    with pytest.raises(UnroutableError):
        channel.basic_publish("", address, b"returned", mandatory=True)


def test_an_invented_address_cannot_be_routed(channel):
    with pytest.raises(UnroutableError):
        channel.basic_publish("", REPLY_TO + ".g1h2AA9yZXBseUA1NTQ3NjQzMgAAAAAAAAAA", b"x", mandatory=True)


def test_a_server_can_see_whether_the_asker_is_still_there(channel, connect, asker, queue):
    ask(asker, queue, b"ping")
    address = answer_address(channel, queue)
    assert channel.queue_declare(address, passive=True).method.queue == address
    asker.channel.connection.close()
    with refused(404, "NOT_FOUND - no queue"):
        channel.queue_declare(address, passive=True)


def test_asking_without_consuming_first_is_406(channel, queue):
    with refused(406, "PRECONDITION_FAILED - fast reply consumer does not exist"):
        channel.basic_publish("", queue, b"x", pika.BasicProperties(reply_to=REPLY_TO))


def test_consuming_answers_with_acks_is_406(connect):
    with refused(406, "PRECONDITION_FAILED - reply consumer cannot acknowledge"):
        connect().channel().basic_consume(REPLY_TO, lambda *_: None, auto_ack=False)


def test_consuming_answers_twice_on_a_channel_is_406(asker):
    with refused(406, "PRECONDITION_FAILED - reply consumer already set"):
        asker.channel.basic_consume(REPLY_TO, lambda *_: None, auto_ack=True)


def test_after_a_cancel_answers_can_be_consumed_again(channel, asker, queue):
    asker.channel.basic_cancel(asker.tag)
    again = Inbox(asker.channel, REPLY_TO, auto_ack=True)
    ask(again, queue, b"ping")
    answer(channel, answer_address(channel, queue), b"pong")
    assert again.take(1) == [b"pong"]


def test_the_pseudo_queue_is_there_for_declares(channel):
    assert channel.queue_declare(REPLY_TO, passive=True).method.queue == REPLY_TO
