"""Exchanges with pika: who goes with whom, what is found on the way, and the types beyond AMQP's four.

The choices of the hashing exchanges are RabbitMQ's, key by key, so that what belongs together stays together when an
application moves.
"""

import pika
import pytest
from pika.exceptions import UnroutableError

from stock.pika_words import drain, refused

KEYS = [f"key.{n}" for n in range(20)]


@pytest.fixture
def declare(channel, name):
    """Declares an exchange of a type and queues, and binds them to it, each with its key."""

    def declare(kind, *keys, **arguments):
        exchange = name(kind)
        dashed = {key.replace("_", "-"): value for key, value in arguments.items()}
        channel.exchange_declare(exchange, kind, arguments=dashed)
        queues = [name("q") for _ in keys]
        for queue, key in zip(queues, keys, strict=True):
            channel.queue_declare(queue, exclusive=True)
            channel.queue_bind(queue, exchange, key)
        return exchange, queues

    return declare


@pytest.fixture
def chosen(channel):
    """The positions of the queues that messages with these properties come to, each in exactly one."""

    def chosen(exchange, queues, messages):
        found = []
        for key, properties in messages:
            channel.basic_publish(exchange, key, b"x", pika.BasicProperties(**properties), mandatory=True)
            (one,) = [index for index, queue in enumerate(queues) if drain(channel, queue)]
            found.append(one)
        return found

    return chosen


def exists(channel, exchange):
    return channel.connection.channel().exchange_declare(exchange, passive=True)


def gone(channel, exchange):
    with refused(404, f"NOT_FOUND - no exchange '{exchange}'"):
        exists(channel, exchange)


def test_an_auto_delete_exchange_goes_with_the_last_binding_from_it(channel, name):
    exchange, queue = name("x"), name("q")
    channel.exchange_declare(exchange, auto_delete=True)
    exists(channel, exchange)
    channel.queue_declare(queue, exclusive=True)
    channel.queue_bind(queue, exchange, "a")
    channel.queue_bind(queue, exchange, "b")
    channel.queue_unbind(queue, exchange, "a")
    exists(channel, exchange)
    channel.queue_unbind(queue, exchange, "b")
    gone(channel, exchange)


def test_an_auto_delete_exchange_stays_when_a_binding_to_it_goes(channel, name):
    exchange = name("x")
    channel.exchange_declare(exchange, auto_delete=True)
    channel.exchange_bind(exchange, "amq.direct", "k")
    channel.exchange_unbind(exchange, "amq.direct", "k")
    exists(channel, exchange)


def test_auto_delete_exchanges_go_in_a_chain(channel, name):
    upper, lower, queue = name("upper"), name("lower"), name("q")
    channel.exchange_declare(upper, auto_delete=True)
    channel.exchange_declare(lower, auto_delete=True)
    channel.exchange_bind(lower, upper, "k")
    channel.queue_declare(queue)
    channel.queue_bind(queue, lower, "k")
    channel.queue_delete(queue)
    gone(channel, lower)
    gone(channel, upper)


def test_an_exchange_with_bindings_from_it_is_in_use(channel, name):
    source, destination = name("source"), name("destination")
    channel.exchange_declare(source)
    channel.exchange_declare(destination)
    channel.exchange_bind(destination, source, "k")
    with refused(406, f"PRECONDITION_FAILED - exchange '{source}' in vhost '/' in use"):
        channel.connection.channel().exchange_delete(source, if_unused=True)
    channel.exchange_delete(destination, if_unused=True)
    channel.exchange_delete(source, if_unused=True)


def test_what_is_unbound_need_not_exist(channel, name):
    queue = name("q")
    channel.queue_declare(queue, exclusive=True)
    channel.queue_unbind(queue, "amq.direct", "never bound")
    channel.queue_unbind(queue, name("nowhere"), "k")
    channel.queue_unbind(name("nothing"), "amq.direct", "k")
    channel.exchange_unbind(name("nothing"), name("nowhere"), "k")


def test_other_arguments_are_another_binding(channel, name):
    queue = name("q")
    channel.queue_declare(queue, exclusive=True)
    channel.queue_bind(queue, "amq.direct", queue, {"a": 1})
    channel.queue_unbind(queue, "amq.direct", queue, {"a": 2})
    channel.queue_unbind(queue, "amq.direct", queue)
    channel.basic_publish("amq.direct", queue, b"x", mandatory=True)
    channel.queue_unbind(queue, "amq.direct", queue, {"a": 1})
    with pytest.raises(UnroutableError):
        channel.basic_publish("amq.direct", queue, b"x", mandatory=True)


def test_the_source_of_a_binding_is_looked_for_first(channel, connect, name):
    with refused(404, "NOT_FOUND - no exchange 'no source'"):
        channel.queue_bind("no queue", "no source", "k")
    with refused(404, "NOT_FOUND - no exchange 'no source'"):
        connect().channel().exchange_bind("no destination", "no source", "k")


def test_an_exchange_is_redeclared_with_its_type(channel, name):
    exchange = name("x")
    channel.exchange_declare(exchange, "x-random", arguments={"unknown": 1})
    channel.exchange_declare(exchange, "x-random", arguments={"unknown": 2})
    text = f"inequivalent arg 'type' for exchange '{exchange}' in vhost '/': received 'direct'"
    with refused(406, f"PRECONDITION_FAILED - {text} but current is ''x-random''"):
        channel.exchange_declare(exchange, "direct")


def test_exchanges_bound_in_a_circle_deliver_once(channel, name):
    one, two, queue = name("one"), name("two"), name("q")
    for exchange in (one, two):
        channel.exchange_declare(exchange, "fanout")
    channel.exchange_bind(one, one)
    channel.exchange_bind(one, two)
    channel.exchange_bind(two, one)
    channel.queue_declare(queue, exclusive=True)
    channel.queue_bind(queue, one)
    channel.queue_bind(queue, two)
    channel.basic_publish(one, "k", b"x", mandatory=True)
    assert drain(channel, queue) == [b"x"]


def test_only_an_exchange_that_matches_nothing_hands_on_to_its_alternate(channel, name):
    upper, lower, rest = name("upper"), name("lower"), name("rest")
    channel.exchange_declare(rest, "fanout", internal=True)
    channel.exchange_declare(upper, arguments={"alternate-exchange": rest})
    channel.exchange_declare(lower)
    channel.exchange_bind(lower, upper, "k")
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, rest)
    with pytest.raises(UnroutableError):
        channel.basic_publish(upper, "k", b"matched in vain", mandatory=True)
    channel.basic_publish(upper, "other", b"unmatched", mandatory=True)
    assert drain(channel, queue) == [b"unmatched"]


def test_blind_copies_are_not_even_seen_by_who_sent_them(channel, name):
    headers = {"CC": [name("nowhere")], "BCC": [name("nowhere")], "own": 1}
    with pytest.raises(UnroutableError) as error:
        channel.basic_publish("", name("nowhere"), b"x", pika.BasicProperties(headers=headers), mandatory=True)
    (returned,) = error.value.messages
    assert returned.properties.headers == {"CC": headers["CC"], "own": 1}


def test_copies_reach_each_queue_once(channel, name):
    queues = [name("q") for _ in range(3)]
    for queue in queues:
        channel.queue_declare(queue, exclusive=True)
        channel.queue_bind(queue, "amq.direct", queue)
    headers = {"CC": [queues[0], queues[1], 7], "BCC": [queues[2], queues[1]]}
    for exchange in ("", "amq.direct"):
        channel.basic_publish(exchange, queues[0], b"x", pika.BasicProperties(headers=headers), mandatory=True)
        for queue in queues:
            method, properties, _ = channel.basic_get(queue, auto_ack=True)
            assert (method.routing_key, properties.headers) == (queues[0], {"CC": headers["CC"]})
            assert drain(channel, queue) == []


def test_a_consistent_hash_of_the_routing_key_chooses_as_rabbitmq_does(channel, declare, chosen):
    exchange, queues = declare("x-consistent-hash", "1", "2", "3", "1", "1")
    messages = [(key, {}) for key in KEYS]
    assert chosen(exchange, queues, messages) == [3, 2, 2, 2, 2, 2, 2, 0, 1, 1, 2, 3, 1, 2, 3, 2, 0, 4, 3, 0]
    assert chosen(exchange, queues, [("key.0", {"headers": {"CC": ["a", "b"]}})]) == [3], "copies do not count"
    channel.queue_delete(queues[1])
    queues[1] = queues[0]
    assert chosen(exchange, queues[1:], messages[:10]) == [3, 3, 3, 1, 2, 2, 3, 0, 1, 1]


@pytest.mark.parametrize("given", ["message_id", "correlation_id"])
def test_a_consistent_hash_of_a_property_chooses_as_rabbitmq_does(declare, chosen, given):
    exchange, queues = declare("x-consistent-hash", "1", "2", "3", "1", "1", hash_property=given)
    found = chosen(exchange, queues, [("k", {given: f"id{n}"}) for n in range(20)])
    assert found == [3, 4, 1, 2, 0, 0, 3, 2, 3, 2, 3, 3, 2, 2, 2, 4, 0, 4, 4, 3]
    (without,) = chosen(exchange, queues, [("k", {})])
    assert without == 1


def test_a_consistent_hash_of_the_timestamp_chooses_as_rabbitmq_does(declare, chosen):
    exchange, queues = declare("x-consistent-hash", "1", "2", "3", "1", "1", hash_property="timestamp")
    found = chosen(exchange, queues, [("k", {"timestamp": 10**9 + n}) for n in range(20)])
    assert found == [0, 3, 1, 1, 4, 2, 1, 3, 0, 1, 3, 1, 1, 1, 2, 2, 0, 0, 1, 1]


def test_a_consistent_hash_of_a_header_keeps_together_what_has_the_same_value(declare, chosen):
    """Not queue by queue: the oracle, 3.10, hashes the header's type with its value, and 3.13 the value alone."""
    exchange, queues = declare("x-consistent-hash", "10", "10", "10", hash_header="id")
    messages = [("k", {"headers": {"id": f"id{n}"}}) for n in range(20)]
    found = chosen(exchange, queues, messages)
    assert found == chosen(exchange, queues, messages)
    assert set(found) == {0, 1, 2}


def test_a_second_binding_adds_no_weight_and_any_unbinding_takes_the_queue_off_the_ring(channel, declare):
    exchange, (queue,) = declare("x-consistent-hash", "1")
    channel.queue_bind(queue, exchange, "5")
    channel.basic_publish(exchange, "k", b"x", mandatory=True)
    channel.queue_unbind(queue, exchange, "5")
    with pytest.raises(UnroutableError):
        channel.basic_publish(exchange, "k", b"x", mandatory=True)


@pytest.mark.parametrize("keys", ["dacbegf", [""] * 7], ids=["by key", "by name"])
def test_a_modulus_hash_chooses_as_rabbitmq_does(channel, name, chosen, keys):
    exchange, queue = name("x"), name("q")
    channel.exchange_declare(exchange, "x-modulus-hash")
    queues = [f"{queue}.{n}" for n in range(7)]
    for index, key in zip((3, 0, 2, 1, 4, 6, 5), keys, strict=True):
        channel.queue_declare(queues[index], exclusive=True)
        channel.queue_bind(queues[index], exchange, key)
    found = chosen(exchange, queues, [(key, {}) for key in KEYS])
    assert found == [6, 2, 0, 1, 0, 3, 2, 2, 0, 1, 0, 1, 5, 2, 6, 4, 6, 5, 5, 6]


def test_a_random_exchange_chooses_one_of_its_queues(declare, chosen):
    exchange, queues = declare("x-random", "a", "b", "c")
    assert set(chosen(exchange, queues, [("k", {})] * 60)) == {0, 1, 2}


def test_a_late_queue_is_given_the_recent_history(channel, name):
    exchange, early, late = name("x"), name("early"), name("late")
    channel.exchange_declare(exchange, "x-recent-history", arguments={"x-recent-history-length": 2})
    channel.queue_declare(early, exclusive=True)
    channel.queue_bind(early, exchange)
    for body in (b"1", b"2", b"3"):
        channel.basic_publish(exchange, "", body)
    secret = pika.BasicProperties(headers={"x-recent-history-no-store": True})
    channel.basic_publish(exchange, "", b"secret", secret)
    channel.queue_declare(late, exclusive=True)
    channel.queue_bind(late, exchange)
    channel.queue_bind(late, exchange)
    assert drain(channel, late) == [b"2", b"3"]
    assert drain(channel, early) == [b"1", b"2", b"3", b"secret"]


def test_a_late_exchange_is_given_the_recent_history(channel, name):
    """In the order in which it came; RabbitMQ sends it in the reverse order to exchanges only."""
    exchange, queue = name("x"), name("q")
    channel.exchange_declare(exchange, "x-recent-history")
    for body in (b"1", b"2"):
        channel.basic_publish(exchange, queue, body)
    channel.queue_declare(queue, exclusive=True)
    channel.queue_bind(queue, "amq.direct", queue)
    channel.exchange_bind("amq.direct", exchange, "any key")
    assert sorted(drain(channel, queue)) == [b"1", b"2"]
