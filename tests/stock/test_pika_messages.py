"""Publishing, consuming and settling with pika."""

from datetime import UTC, datetime
from decimal import Decimal

import pika
import pytest
from pika.exceptions import UnroutableError

from stock.pika_words import Inbox, drain, expelled, get, refused, send
from support.waiting import eventually


@pytest.fixture
def queue(channel, name):
    """An empty queue."""
    return channel.queue_declare(name("q")).method.queue


@pytest.mark.parametrize("size", [0, 1, 131_063, 131_064, 131_065, 16 << 20], ids="{} bytes".format)
def test_bodies_of_every_size_arrive_whole(channel, queue, size):
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    send(channel, queue, body)
    assert get(channel, queue) == body


def test_all_properties_and_header_types_arrive(channel, queue):
    sent = pika.BasicProperties(
        content_type="text/plain",
        content_encoding="utf-8",
        headers={
            "text": "Grüße",
            "bytes": b"\xff\x00",
            "yes": True,
            "int": -5,
            "long": 1 << 40,
            "decimal": Decimal("3.14"),
            "time": datetime(2024, 2, 29, 12, tzinfo=UTC),
            "table": {"in": {"in": 1}},
            "array": [1, "two", None],
            "none": None,
        },
        delivery_mode=2,
        priority=9,
        correlation_id="c",
        reply_to="r",
        expiration="60000",
        message_id="m",
        timestamp=1_700_000_000,
        type="t",
        user_id="guest",
        app_id="a",
        cluster_id="k",
    )
    channel.basic_publish("", queue, b"x", sent, mandatory=True)
    received = channel.basic_get(queue, auto_ack=True)[1]
    assert vars(received) == vars(sent)


def test_a_false_user_id_is_406(channel, queue):
    with refused(406, "PRECONDITION_FAILED - user_id property set to 'nobody' but authenticated user was 'guest'"):
        channel.basic_publish("", queue, b"x", pika.BasicProperties(user_id="nobody"))


def test_an_unroutable_mandatory_message_comes_back_before_its_confirm(channel, name):
    missing = name("missing")
    about = pika.BasicProperties(headers={"a": 1}, message_id="7")
    with pytest.raises(UnroutableError) as error:
        channel.basic_publish("", missing, b"back", about, mandatory=True)
    (returned,) = error.value.messages
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert (returned.method.exchange, returned.method.routing_key) == ("", missing)
    assert (returned.properties, returned.body) == (about, b"back")


def test_an_unroutable_message_that_is_not_mandatory_is_confirmed_and_gone(channel, name):
    channel.basic_publish("", name("missing"), b"x")


def test_publishing_to_a_missing_exchange_is_404(channel, name):
    missing = name("missing")
    with refused(404, f"NOT_FOUND - no exchange '{missing}' in vhost '/'"):
        channel.basic_publish(missing, "", b"x")


def test_publishing_to_an_internal_exchange_is_403(channel, name):
    exchange = name("x")
    channel.exchange_declare(exchange, "fanout", internal=True)
    with refused(403, f"ACCESS_REFUSED - cannot publish to internal exchange '{exchange}' in vhost '/'"):
        channel.basic_publish(exchange, "", b"x")


def test_many_publishes_without_waiting_are_all_confirmed_in_order(broker, queue):
    """The asynchronous client: confirms may come one by one or for many at once."""
    confirmed, returned = set(), []

    def on_open(connection):
        connection.channel(on_open_callback=on_channel)

    def on_channel(channel):
        channel.add_on_return_callback(lambda _, method, *__: returned.append((method.routing_key, len(confirmed))))
        channel.confirm_delivery(lambda frame: on_confirm(channel, frame.method))
        for number in range(1, 1001):
            channel.basic_publish("", queue if number != 500 else "missing", str(number).encode(), mandatory=True)

    def on_confirm(channel, method):
        assert isinstance(method, pika.spec.Basic.Ack)
        tags = range(1, method.delivery_tag + 1) if method.multiple else [method.delivery_tag]
        confirmed.update(tags)
        if 500 in confirmed:
            assert returned, "confirmed before it was returned"
        if len(confirmed) == 1000:
            channel.connection.close()

    connection = pika.SelectConnection(
        pika.URLParameters(broker.url), on_open, on_close_callback=lambda closed, _: closed.ioloop.stop()
    )
    connection.ioloop.start()
    assert confirmed == set(range(1, 1001))
    assert [key for key, _ in returned] == ["missing"]


def test_consumers_take_turns(channel, connect, queue):
    one, two = Inbox(connect().channel(), queue), Inbox(connect().channel(), queue)
    send(channel, queue, b"1", b"2", b"3", b"4", b"5")
    assert one.take(3) == [b"1", b"3", b"5"]
    assert two.take(2) == [b"2", b"4"]
    assert (one.settled(), two.settled()) == ([b"1", b"3", b"5"], [b"2", b"4"])


def test_what_a_vanished_consumer_held_goes_to_the_next_marked_redelivered(channel, connect, queue):
    first = Inbox(connect().channel(), queue)
    send(channel, queue, b"1", b"2")
    first.take(2)
    first.ack(0)
    second = Inbox(connect().channel(), queue)
    first.channel.connection.close()
    assert second.take(1) == [b"2"]
    assert second.deliveries[0][0].redelivered


def test_closing_a_channel_requeues_what_it_held_in_order(channel, connect, queue):
    send(channel, queue, b"1", b"2", b"3", b"4")
    holder = connect().channel()
    held = [holder.basic_get(queue) for _ in range(3)]
    holder.basic_ack(held[1][0].delivery_tag)
    holder.close()
    assert eventually(lambda: channel.queue_declare(queue, passive=True).method.message_count == 3)
    assert drain(channel, queue) == [b"1", b"3", b"4"]


def test_requeued_messages_return_to_their_places(channel, queue):
    send(channel, queue, b"1", b"2", b"3", b"4", b"5")
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(4)]
    channel.basic_nack(tags[3], requeue=True)
    channel.basic_reject(tags[0], requeue=True)
    channel.basic_nack(tags[2], requeue=True)
    redelivered = [channel.basic_get(queue, auto_ack=True) for _ in range(4)]
    assert [(body, method.redelivered) for method, _, body in redelivered] == [
        (b"1", True),
        (b"3", True),
        (b"4", True),
        (b"5", False),
    ]


def test_nack_multiple_requeues_all_up_to_the_tag_and_zero_means_all(channel, queue):
    send(channel, queue, b"1", b"2", b"3")
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(3)]
    channel.basic_nack(tags[1], multiple=True, requeue=True)
    assert eventually(lambda: channel.queue_declare(queue, passive=True).method.message_count == 2)
    channel.basic_nack(0, multiple=True, requeue=True)
    assert drain(channel, queue) == [b"1", b"2", b"3"]


def test_ack_multiple_of_zero_settles_everything(channel, connect, queue):
    send(channel, queue, b"1", b"2", b"3")
    holder = connect().channel()
    for _ in range(3):
        holder.basic_get(queue)
    holder.basic_ack(0, multiple=True)
    holder.close()
    assert drain(channel, queue) == []


def test_reject_without_requeue_drops_the_message(channel, queue):
    send(channel, queue, b"1", b"2")
    channel.basic_reject(channel.basic_get(queue)[0].delivery_tag, requeue=False)
    channel.basic_nack(channel.basic_get(queue)[0].delivery_tag, requeue=False)
    assert channel.queue_declare(queue, passive=True).method.message_count == 0


@pytest.mark.parametrize("settle", ["basic_ack", "basic_nack", "basic_reject"])
def test_settling_twice_is_406(channel, queue, settle):
    send(channel, queue, b"x")
    tag = channel.basic_get(queue)[0].delivery_tag
    channel.basic_ack(tag)
    with refused(406, f"PRECONDITION_FAILED - unknown delivery tag {tag}"):
        getattr(channel, settle)(tag)
        channel.queue_declare(queue, passive=True)


def test_a_delivery_without_ack_cannot_be_acked(channel, queue):
    send(channel, queue, b"x")
    tag = channel.basic_get(queue, auto_ack=True)[0].delivery_tag
    with refused(406, f"PRECONDITION_FAILED - unknown delivery tag {tag}"):
        channel.basic_ack(tag)
        channel.queue_declare(queue, passive=True)


def test_recover_redelivers_to_the_same_consumer_marked_redelivered(channel, connect, queue):
    inbox = Inbox(connect().channel(), queue)
    send(channel, queue, b"1", b"2")
    inbox.take(2)
    inbox.channel.basic_recover(requeue=True)
    assert inbox.take(4) == [b"1", b"2", b"1", b"2"]
    assert [method.redelivered for method, *_ in inbox.deliveries] == [False, False, True, True]


def test_recover_without_requeue_is_not_implemented(connect):
    with expelled(540, "NOT_IMPLEMENTED - requeue=false"):
        connect().channel().basic_recover(requeue=False)


def test_prefetch_holds_back_until_an_ack(channel, connect, queue):
    consuming = connect().channel()
    consuming.basic_qos(prefetch_count=2)
    inbox = Inbox(consuming, queue)
    send(channel, queue, b"1", b"2", b"3", b"4")
    inbox.take(2)
    assert inbox.settled() == [b"1", b"2"]
    inbox.ack(0)
    inbox.take(3)
    assert inbox.settled() == [b"1", b"2", b"3"]
    inbox.ack(2, multiple=True)
    assert inbox.take(4) == [b"1", b"2", b"3", b"4"]


def test_prefetch_counts_for_each_consumer_and_applies_to_later_ones_only(channel, connect, queue):
    consuming = connect().channel()
    unlimited = Inbox(consuming, queue)
    consuming.basic_qos(prefetch_count=1)
    limited = Inbox(consuming, queue)
    send(channel, queue, b"1", b"2", b"3", b"4")
    unlimited.take(3)
    assert (unlimited.settled(), limited.settled()) == ([b"1", b"3", b"4"], [b"2"])


def test_global_prefetch_counts_for_the_channel(channel, connect, queue):
    consuming = connect().channel()
    consuming.basic_qos(prefetch_count=2, global_qos=True)
    one, two = Inbox(consuming, queue), Inbox(consuming, queue)
    send(channel, queue, b"1", b"2", b"3", b"4")
    one.take(1), two.take(1)
    assert (one.settled(), two.settled()) == ([b"1"], [b"2"])
    one.ack()
    assert eventually(lambda: sorted(one.settled() + two.settled()) == [b"1", b"2", b"3"])


def test_both_prefetches_apply_at_once(channel, connect, queue):
    consuming = connect().channel()
    consuming.basic_qos(prefetch_count=2)
    consuming.basic_qos(prefetch_count=3, global_qos=True)
    one, two = Inbox(consuming, queue), Inbox(consuming, queue)
    send(channel, queue, *[b"%d" % number for number in range(6)])
    one.take(1), two.take(1)
    assert sorted([len(one.settled()), len(two.settled())]) == [1, 2]


def test_a_later_prefetch_per_consumer_lifts_the_channel_s(channel, connect, queue):
    consuming = connect().channel()
    consuming.basic_qos(prefetch_count=1, global_qos=True)
    consuming.basic_qos(prefetch_count=2)
    inbox = Inbox(consuming, queue)
    send(channel, queue, b"1", b"2", b"3")
    inbox.take(2)
    assert inbox.settled() == [b"1", b"2"]


def test_prefetch_does_not_apply_without_acks(channel, connect, queue):
    consuming = connect().channel()
    consuming.basic_qos(prefetch_count=1)
    inbox = Inbox(consuming, queue, auto_ack=True)
    send(channel, queue, b"1", b"2", b"3")
    assert inbox.take(3) == [b"1", b"2", b"3"]


def test_get_is_not_held_back_by_prefetch(channel, queue):
    channel.basic_qos(prefetch_count=1)
    send(channel, queue, b"1", b"2")
    assert [get(channel, queue, ack=False), get(channel, queue, ack=False)] == [b"1", b"2"]


def test_get_tells_how_many_are_left(channel, queue):
    send(channel, queue, b"1", b"2", b"3")
    left = [channel.basic_get(queue, auto_ack=True)[0].message_count for _ in range(3)]
    assert left == [2, 1, 0]
    assert channel.basic_get(queue)[0] is None


def test_an_exclusive_consumer_keeps_others_out(channel, connect, queue):
    text = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    channel.basic_consume(queue, lambda *_: None, exclusive=True)
    with refused(403, text):
        connect().channel().basic_consume(queue, lambda *_: None)


def test_a_second_consumer_cannot_be_exclusive(channel, connect, queue):
    channel.basic_consume(queue, lambda *_: None)
    with refused(403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"):
        connect().channel().basic_consume(queue, lambda *_: None, exclusive=True)


def test_the_server_names_consumers_and_a_tag_serves_once_per_channel(connect, channel, queue):
    connection = connect()
    first, second = connection.channel(), connection.channel()
    assert first.basic_consume(queue, lambda *_: None, consumer_tag="mine") == "mine"
    assert second.basic_consume(queue, lambda *_: None, consumer_tag="mine") == "mine"


def test_consuming_from_a_missing_queue_is_404(channel, name):
    missing = name("missing")
    with refused(404, f"NOT_FOUND - no queue '{missing}' in vhost '/'"):
        channel.basic_consume(missing, lambda *_: None)


def test_a_cancelled_consumer_s_messages_stay_unacked_until_its_channel_closes(channel, connect, queue):
    inbox = Inbox(connect().channel(), queue)
    send(channel, queue, b"1")
    inbox.take(1)
    inbox.channel.basic_cancel(inbox.tag)
    assert get(channel, queue) is None
    inbox.channel.close()
    assert eventually(lambda: get(channel, queue)) == b"1"


def test_a_priority_consumer_is_served_first(channel, connect, queue):
    low = Inbox(connect().channel(), queue, auto_ack=True)
    high = Inbox(connect().channel(), queue, auto_ack=True, arguments={"x-priority": 10})
    send(channel, queue, b"1", b"2")
    assert high.take(2) == [b"1", b"2"]
    assert low.settled() == []


def test_flow_is_always_on(channel):
    assert channel.flow(True) is True
