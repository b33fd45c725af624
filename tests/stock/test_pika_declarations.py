"""Declaring, binding and deleting with pika: what is allowed, and the codes and words of what is not."""

import pytest

from stock.pika_words import drain, get, refused, send
from support.waiting import eventually


def test_a_declared_queue_tells_its_messages_and_consumers(channel, other, name):
    queue = name("q")
    assert channel.queue_declare(queue).method.message_count == 0
    send(channel, queue, b"1", b"2")
    other.basic_consume(queue, lambda *_: None, exclusive=True)
    declared = channel.queue_declare(queue, passive=True).method
    assert (declared.queue, declared.message_count, declared.consumer_count) == (queue, 0, 1)


def test_the_server_names_a_queue_without_a_name(channel):
    first = channel.queue_declare("", exclusive=True).method.queue
    second = channel.queue_declare("", exclusive=True).method.queue
    assert first.startswith("amq.gen-") and second.startswith("amq.gen-") and first != second


def test_an_empty_name_means_the_channel_s_last_declared_queue(channel):
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind("", "amq.fanout")
    channel.basic_publish("amq.fanout", "", b"x", mandatory=True)
    assert channel.basic_get("", auto_ack=True)[2] == b"x"
    assert channel.queue_purge("").method.message_count == 0
    assert channel.queue_declare(queue, passive=True).method.queue == queue


def test_an_empty_name_before_any_declare_is_an_error(channel):
    with refused(404, "NOT_FOUND - no previously declared queue"):
        channel.basic_get("")


def test_a_passive_declare_of_nothing_is_404(channel, connect, name):
    queue, exchange = name("q"), name("x")
    with refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        channel.queue_declare(queue, passive=True)
    with refused(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
        connect().channel().exchange_declare(exchange, passive=True)


@pytest.mark.parametrize("argument", ["durable", "auto_delete"])
def test_a_queue_declared_otherwise_is_406(channel, name, argument):
    queue = name("q")
    channel.queue_declare(queue)
    text = f"inequivalent arg '{argument}' for queue '{queue}' in vhost '/': received 'true' but current is 'false'"
    with refused(406, f"PRECONDITION_FAILED - {text}"):
        channel.queue_declare(queue, **{argument: True})


@pytest.mark.parametrize(
    "first, then, difference",
    [
        ({"x-max-length": 5}, {"x-max-length": 6}, "received '6' but current is '5'"),
        ({"x-max-length": 5}, None, "received none but current is the value '5' of type 'signedint'"),
        (None, {"x-max-length": 5}, "received the value '5' of type 'signedint' but current is none"),
    ],
)
def test_queue_arguments_must_be_equivalent(channel, name, first, then, difference):
    queue = name("q")
    channel.queue_declare(queue, arguments=first)
    text = f"inequivalent arg 'x-max-length' for queue '{queue}' in vhost '/': {difference}"
    with refused(406, f"PRECONDITION_FAILED - {text}"):
        channel.queue_declare(queue, arguments=then)


def test_unknown_queue_arguments_are_kept_out_of_equivalence(channel, name):
    queue = name("q")
    channel.queue_declare(queue, arguments={"x-mine": 1})
    channel.queue_declare(queue, arguments={"x-mine": 2})
    channel.queue_declare(queue)


def test_an_invalid_queue_argument_is_406(channel, name):
    queue = name("q")
    with refused(406, f"PRECONDITION_FAILED - invalid arg 'x-max-length' for queue '{queue}' in vhost '/'"):
        channel.queue_declare(queue, arguments={"x-max-length": -1})


@pytest.mark.parametrize(
    "options, text",
    [
        (
            {"exchange_type": "fanout"},
            "'type' for exchange '{}' in vhost '/': received 'fanout' but current is 'direct'",
        ),
        ({"durable": True}, "'durable' for exchange '{}' in vhost '/': received 'true' but current is 'false'"),
        ({"auto_delete": True}, "'auto_delete' for exchange '{}' in vhost '/': received 'true' but current is 'false'"),
        ({"internal": True}, "'internal' for exchange '{}' in vhost '/': received 'true' but current is 'false'"),
    ],
)
def test_an_exchange_declared_otherwise_is_406(channel, name, options, text):
    exchange = name("x")
    channel.exchange_declare(exchange, "direct")
    with refused(406, f"PRECONDITION_FAILED - inequivalent arg {text.format(exchange)}"):
        channel.exchange_declare(exchange, **({"exchange_type": "direct"} | options))


def test_reserved_names_are_403(connect):
    with refused(403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"):
        connect().channel().queue_declare("amq.mine")
    with refused(403, "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"):
        connect().channel().exchange_declare("amq.mine")
    with refused(403, "ACCESS_REFUSED - operation not permitted on the default exchange"):
        connect().channel().exchange_delete("")
    with refused(403, "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed"):
        connect().channel().exchange_delete("amq.direct")


@pytest.mark.parametrize(
    "exchange, kind",
    [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ],
)
def test_the_standard_exchanges_are_there_and_durable(channel, exchange, kind):
    channel.exchange_declare(exchange, kind, durable=True)


def test_an_exclusive_queue_is_locked_for_others(channel, connect, name):
    queue = name("q")
    channel.queue_declare(queue, exclusive=True)
    locked = f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'."
    for attempt in (
        lambda theirs: theirs.queue_declare(queue, exclusive=True),
        lambda theirs: theirs.queue_declare(queue, passive=True),
        lambda theirs: theirs.basic_consume(queue, lambda *_: None),
        lambda theirs: theirs.basic_get(queue),
        lambda theirs: theirs.queue_bind(queue, "amq.direct"),
        lambda theirs: theirs.queue_purge(queue),
        lambda theirs: theirs.queue_delete(queue),
    ):
        with refused(405, locked):
            attempt(connect().channel())
    send(connect().channel(), queue, b"publishing is open to all")


def test_an_exclusive_queue_is_never_durable_and_asking_for_it_makes_no_difference(channel, name):
    queue = name("q")
    channel.queue_declare(queue, exclusive=True)
    channel.queue_declare(queue, exclusive=True, durable=True)


def test_an_exclusive_queue_goes_with_its_connection_not_with_its_channel(connect, other, name):
    queue, connection = name("q"), connect()
    declaring = connection.channel()
    declaring.queue_declare(queue, exclusive=True)
    declaring.close()
    connection.channel().queue_declare(queue, passive=True)
    connection.close()
    with refused(404):
        other.queue_declare(queue, passive=True)


def test_an_auto_delete_queue_waits_for_its_first_consumer(channel, name):
    queue = name("q")
    channel.queue_declare(queue, auto_delete=True)
    channel.queue_declare(queue, passive=True)
    channel.basic_cancel(channel.basic_consume(queue, lambda *_: None))
    with refused(404):
        channel.queue_declare(queue, passive=True)


def test_an_auto_delete_exchange_goes_with_its_last_binding(channel, name):
    exchange, queue = name("x"), name("q")
    channel.exchange_declare(exchange, "fanout", auto_delete=True)
    channel.queue_declare(queue)
    channel.queue_bind(queue, exchange)
    channel.exchange_declare(exchange, passive=True)
    channel.queue_unbind(queue, exchange)
    with refused(404):
        channel.exchange_declare(exchange, passive=True)


def test_delete_can_insist_on_an_unused_and_an_empty_queue(channel, connect, name):
    queue = name("q")
    channel.queue_declare(queue)
    send(channel, queue, b"x")
    with refused(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"):
        connect().channel().queue_delete(queue, if_empty=True)
    tag = channel.basic_consume(queue, lambda *_: None, auto_ack=True)
    with refused(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use"):
        connect().channel().queue_delete(queue, if_unused=True)
    channel.basic_cancel(tag)
    assert channel.queue_delete(queue, if_unused=True, if_empty=True).method.message_count == 0


def test_delete_tells_how_many_messages_went_and_is_content_with_nothing(channel, name):
    queue = name("q")
    channel.queue_declare(queue)
    send(channel, queue, b"1", b"2", b"3")
    assert channel.queue_delete(queue).method.message_count == 3
    assert channel.queue_delete(queue).method.message_count == 0
    channel.exchange_delete(name("nothing"))


def test_an_exchange_in_use_is_not_deleted_if_unused(channel, connect, name):
    exchange, queue = name("x"), name("q")
    channel.exchange_declare(exchange, "direct")
    channel.queue_declare(queue)
    channel.queue_bind(queue, exchange, "k")
    with refused(406, f"PRECONDITION_FAILED - exchange '{exchange}' in vhost '/' in use"):
        connect().channel().exchange_delete(exchange, if_unused=True)
    channel.exchange_delete(exchange)


def test_bindings_go_with_their_queue_and_with_their_exchange(channel, name):
    exchange, queue = name("x"), name("q")
    channel.exchange_declare(exchange, "direct")
    channel.queue_declare(queue)
    channel.queue_bind(queue, exchange, "k")
    channel.queue_delete(queue)
    channel.exchange_delete(exchange, if_unused=True)
    channel.exchange_declare(exchange, "direct")
    channel.queue_declare(queue)
    channel.basic_publish(exchange, "k", b"x")
    assert drain(channel, queue) == []


def test_purge_leaves_unacked_messages_alone(channel, other, name):
    queue = name("q")
    channel.queue_declare(queue)
    send(channel, queue, b"1", b"2", b"3")
    assert get(other, queue, ack=False) == b"1"
    assert channel.queue_purge(queue).method.message_count == 2
    other.connection.close()
    assert eventually(lambda: drain(channel, queue)) == [b"1"]


def test_deleting_a_queue_cancels_its_consumers(channel, connect, name):
    queue, cancelled = name("q"), []
    channel.queue_declare(queue)
    consuming = connect().channel()
    consuming.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    tag = consuming.basic_consume(queue, lambda *_: None)
    channel.queue_delete(queue)
    while not cancelled:
        consuming.connection.process_data_events(10)
    assert cancelled == [tag]


def test_binding_what_is_not_there_is_404(channel, connect, name):
    queue, exchange = name("q"), name("x")
    channel.queue_declare(queue)
    with refused(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
        connect().channel().queue_bind(queue, exchange)
    with refused(404, f"NOT_FOUND - no queue '{exchange}' in vhost '/'"):
        connect().channel().queue_bind(exchange, "amq.direct", "k")
    with refused(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
        connect().channel().exchange_bind(exchange, "amq.direct")
    with refused(403, "ACCESS_REFUSED - operation not permitted on the default exchange"):
        connect().channel().queue_bind(queue, "", "k")


def test_unbinding_what_was_never_bound_succeeds(channel, name):
    queue = name("q")
    channel.queue_declare(queue)
    channel.queue_unbind(queue, "amq.direct", "never")


def test_exchanges_bound_in_a_ring_deliver_once(channel, name):
    a, b, queue = name("a"), name("b"), name("q")
    channel.exchange_declare(a, "fanout")
    channel.exchange_declare(b, "fanout")
    channel.exchange_bind(a, b)
    channel.exchange_bind(b, a)
    channel.queue_declare(queue)
    channel.queue_bind(queue, a)
    channel.queue_bind(queue, b)
    channel.basic_publish(a, "", b"once", mandatory=True)
    assert drain(channel, queue) == [b"once"]


def test_exchange_bindings_end_when_unbound(channel, name):
    source, destination, queue = name("source"), name("destination"), name("q")
    channel.exchange_declare(source, "topic")
    channel.exchange_declare(destination, "fanout", internal=True)
    channel.queue_declare(queue)
    channel.queue_bind(queue, destination)
    channel.exchange_bind(destination, source, "a.#")
    channel.basic_publish(source, "a.b", b"1")
    channel.basic_publish(source, "b.a", b"2")
    channel.exchange_unbind(destination, source, "a.#")
    channel.basic_publish(source, "a.b", b"3")
    assert drain(channel, queue) == [b"1"]


def test_an_alternate_exchange_takes_what_cannot_be_routed(channel, name):
    main, spare, queue = name("main"), name("spare"), name("q")
    channel.exchange_declare(spare, "fanout")
    channel.exchange_declare(main, "direct", arguments={"alternate-exchange": spare})
    channel.queue_declare(queue)
    channel.queue_bind(queue, spare)
    channel.basic_publish(main, "nobody", b"x", mandatory=True)
    assert drain(channel, queue) == [b"x"]
