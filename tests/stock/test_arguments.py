"""What arguments may be, and the words for those that may not: one table, the same on WarrenMQ and on RabbitMQ.

In the texts, QUEUE stands for "queue 'q.1' in vhost '/'" and EXCHANGE for the exchange. A row that says `differs` gives
RabbitMQ's answer of today and the reason for ours.
"""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

QUORUM = {"x-queue-type": "quorum"}
STREAM = {"x-queue-type": "stream"}
NO_INTEGER = '"expected integer, got longstr"'


class Differs(NamedTuple):
    theirs: object
    why: str


class Row(NamedTuple):
    given: dict
    answer: str | None
    theirs: Differs | None


def row(given, answer=None, differs=None):
    return Row(given, answer, differs)


def invalid(given, term, differs=None):
    """A value that the last of these arguments cannot have."""
    return row(given, f"invalid arg '{list(given)[-1]}' for QUEUE: {term}", differs)


def not_for(kind, given, differs=None):
    """An argument, the last of these, that queues of another type have."""
    return row(given, f"invalid arg '{list(given)[-1]}' for QUEUE of queue type rabbit_{kind}_queue", differs)


OURS = "an argument of WarrenMQ's own, checked so that a typing error is not silently ignored"
EVERYWHERE = "WarrenMQ has it on every type of queue"
CRASH = "RabbitMQ's channel process crashes here, which ends the connection with 541"
NEWER = "as RabbitMQ 3.13 answers; the oracle is 3.10"

QUEUES = [
    row({}),
    row({"x-no-such-argument": 1, "x-also-not": "y", "nor-this": None}),
    # spans
    row({"x-expires": 1}),
    invalid({"x-expires": 0}, "{value_zero,0}"),
    invalid({"x-expires": -1}, "{value_negative,-1}"),
    invalid({"x-expires": "10"}, NO_INTEGER),
    invalid({"x-expires": 315360000001}, "{value_too_large,315360000001}"),
    invalid({"x-expires": Decimal("1.5")}, '"expected integer, got decimal"'),
    row({"x-message-ttl": 0}),
    row({"x-message-ttl": 315360000000}),
    invalid({"x-message-ttl": -1}, "{value_negative,-1}"),
    invalid({"x-message-ttl": "1"}, NO_INTEGER),
    invalid({"x-message-ttl": 315360000001}, "{value_too_large,315360000001}"),
    invalid({"x-message-ttl": True}, '"expected integer, got bool"'),
    invalid({"x-message-ttl": None}, '"expected integer, got void"'),
    invalid({"x-message-ttl": datetime(2024, 1, 1)}, '"expected integer, got timestamp"'),
    # dead letters
    row({"x-dead-letter-exchange": ""}),
    row({"x-dead-letter-exchange": "not.yet.there", "x-dead-letter-routing-key": "k"}),
    row({"x-dead-letter-exchange": 5}, "invalid type 'signedint' for arg 'x-dead-letter-exchange' in QUEUE"),
    row({"x-dead-letter-exchange": b"x"}, "invalid type 'binary' for arg 'x-dead-letter-exchange' in QUEUE"),
    invalid({"x-dead-letter-routing-key": "k"}, "routing_key_but_no_dlx_defined"),
    invalid({"x-dead-letter-exchange": "x", "x-dead-letter-routing-key": 7}, "{unacceptable_type,signedint}"),
    row(QUORUM | {"x-dead-letter-strategy": "at-least-once"}),
    invalid(QUORUM | {"x-dead-letter-strategy": "perhaps"}, "invalid_dlx_strategy"),
    invalid(QUORUM | {"x-dead-letter-strategy": 1}, "{unacceptable_type,signedint}"),
    not_for("classic", {"x-dead-letter-strategy": "at-least-once"}),
    # lengths
    row({"x-max-length": 0, "x-max-length-bytes": 0}),
    invalid({"x-max-length": -5}, "{value_negative,-5}"),
    invalid({"x-max-length": "5"}, NO_INTEGER),
    invalid({"x-max-length-bytes": -5}, "{value_negative,-5}"),
    invalid({"x-max-length-bytes": [1]}, '"expected integer, got array"'),
    row({"x-overflow": "drop-head"}),
    row({"x-overflow": "reject-publish"}),
    row({"x-overflow": "reject-publish-dlx"}),
    invalid({"x-overflow": "reject"}, "invalid_overflow"),
    invalid({"x-overflow": 1}, "{unacceptable_type,signedint}"),
    row(QUORUM | {"x-max-in-memory-length": 1, "x-max-in-memory-bytes": 1}),
    invalid(QUORUM | {"x-max-in-memory-length": -1}, "{value_negative,-1}"),
    not_for("classic", {"x-max-in-memory-length": 1}),
    # consumers and order
    row({"x-single-active-consumer": False}),
    invalid({"x-single-active-consumer": 1}, "{unacceptable_type,signedint}"),
    invalid({"x-single-active-consumer": "true"}, "{unacceptable_type,longstr}"),
    row({"x-max-priority": 0}),
    row({"x-max-priority": 255}),
    invalid({"x-max-priority": 256}, "{max_value_exceeded,256}"),
    invalid({"x-max-priority": -1}, "{value_negative,-1}"),
    invalid({"x-max-priority": "9"}, NO_INTEGER),
    not_for("quorum", QUORUM | {"x-max-priority": 9}),
    # types
    row({"x-queue-type": "classic"}),
    row(QUORUM),
    row(STREAM),
    invalid({"x-queue-type": "clasic"}, "\"unsupported queue type 'clasic'\""),
    invalid({"x-queue-type": 1}, "{unacceptable_type,signedint}"),
    row({"x-queue-mode": "lazy"}),
    row({"x-queue-mode": "default"}),
    invalid({"x-queue-mode": "idle"}, "\"unsupported queue mode 'idle'\""),
    invalid({"x-queue-mode": True}, "{unacceptable_type,bool}"),
    not_for("quorum", QUORUM | {"x-queue-mode": "lazy"}),
    row({"x-queue-version": 2}),
    invalid({"x-queue-version": 3}, "\"unsupported queue version '3'\""),
    invalid({"x-queue-version": "2"}, NO_INTEGER),
    row(QUORUM | {"x-quorum-initial-group-size": 1}),
    invalid(QUORUM | {"x-quorum-initial-group-size": 0}, "{value_zero,0}"),
    not_for("classic", {"x-quorum-initial-group-size": 3}),
    row(QUORUM | {"x-queue-leader-locator": "balanced"}),
    row(STREAM | {"x-queue-leader-locator": "least-leaders"}),
    invalid(QUORUM | {"x-queue-leader-locator": "near"}, "invalid_queue_locator_arg"),
    not_for("classic", {"x-queue-leader-locator": "balanced"}),
    row({"x-queue-master-locator": "min-masters"}),
    not_for("quorum", QUORUM | {"x-queue-master-locator": "min-masters"}),
    # streams
    row(STREAM | {"x-max-age": "7D", "x-max-length-bytes": 1000, "x-initial-cluster-size": 1}),
    invalid(STREAM | {"x-max-age": "7d"}, "invalid_max_age"),
    invalid(STREAM | {"x-max-age": "0s"}, "invalid_max_age"),
    invalid(STREAM | {"x-max-age": "soon"}, "invalid_max_age", Differs(541, CRASH)),
    invalid(STREAM | {"x-max-age": 7}, "{unacceptable_type,signedint}"),
    not_for("classic", {"x-max-age": "7D"}),
    row(STREAM | {"x-stream-max-segment-size-bytes": 500000}),
    invalid(STREAM | {"x-stream-max-segment-size-bytes": -1}, "{value_negative,-1}"),
    row(
        STREAM | {"x-stream-max-segment-size-bytes": 3000000001},
        "Exceeded max value for x-stream-max-segment-size-bytes",
    ),
    row(STREAM | {"x-stream-filter-size-bytes": 32}),
    row(
        STREAM | {"x-stream-filter-size-bytes": 8},
        "Invalid value for  x-stream-filter-size-bytes",
        Differs(None, NEWER),
    ),
    invalid(STREAM | {"x-initial-cluster-size": 0}, "{value_zero,0}"),
    not_for("classic", {"x-initial-cluster-size": 1}),
    not_for("stream", STREAM | {"x-message-ttl": 1}),
    not_for("stream", STREAM | {"x-max-length": 1}),
    not_for("stream", STREAM | {"x-dead-letter-exchange": "x"}),
    not_for("stream", STREAM | {"x-single-active-consumer": True}),
    not_for("stream", STREAM | {"x-expires": 1}),
    # the first that is wrong is named: by RabbitMQ's order, not by that of the declaration
    row({"x-max-length": -1, "x-expires": 0}, "invalid arg 'x-expires' for QUEUE: {value_zero,0}"),
    row({"x-max-age": "1s", "x-overflow": "no"}, "invalid arg 'x-overflow' for QUEUE: invalid_overflow"),
    # ours
    row(QUORUM | {"x-delivery-limit": 5}),
    row(
        {"x-delivery-limit": 5},
        None,
        Differs("invalid arg 'x-delivery-limit' for QUEUE of queue type rabbit_classic_queue", EVERYWHERE),
    ),
    row(QUORUM | {"x-delivery-limit": -1}),
    invalid({"x-delivery-limit": -2}, "{value_negative,-2}", Differs(..., OURS)),
    invalid({"x-delivery-limit": "5"}, NO_INTEGER, Differs(..., OURS)),
    row({"x-consumer-timeout": 1}),
    invalid({"x-consumer-timeout": 0}, "{value_zero,0}", Differs(None, OURS)),
    row({"x-message-deduplication": True, "x-deduplication-header": "id", "x-cache-size": 10, "x-cache-ttl": 10}),
    invalid({"x-message-deduplication": "true"}, "{unacceptable_type,longstr}", Differs(None, OURS)),
    invalid({"x-deduplication-header": 1}, "{unacceptable_type,signedint}", Differs(None, OURS)),
    invalid({"x-cache-size": 0}, "{value_zero,0}", Differs(None, OURS)),
    invalid({"x-cache-ttl": "1"}, NO_INTEGER, Differs(None, OURS)),
]

PROPERTIES = [
    row({"arguments": QUORUM, "exclusive": True}, "invalid property 'exclusive-owner' for QUEUE"),
    row({"arguments": QUORUM, "auto_delete": True}, "invalid property 'auto-delete' for QUEUE"),
    row({"arguments": QUORUM, "durable": False}, "invalid property 'non-durable' for QUEUE"),
    row({"arguments": STREAM, "exclusive": True}, "invalid property 'exclusive-owner' for QUEUE"),
    row({"arguments": STREAM, "auto_delete": True}, "invalid property 'auto-delete' for QUEUE"),
    row({"arguments": STREAM, "durable": False}, "invalid property 'non-durable' for QUEUE"),
    row({"arguments": QUORUM, "queue": ""}, "Cannot declare a server-named queue for type rabbit_quorum_queue"),
    row({"arguments": STREAM, "queue": ""}, "Cannot declare a server-named queue for type rabbit_stream_queue"),
]

CONSUMERS = [
    row({"x-priority": 10}),
    row({"x-priority": -10}),
    invalid({"x-priority": "10"}, NO_INTEGER),
    invalid({"x-priority": Decimal(1)}, '"expected integer, got decimal"'),
    row({"x-cancel-on-ha-failover": True}),
    invalid({"x-cancel-on-ha-failover": "true"}, "{unacceptable_type,longstr}"),
    not_for("classic", {"x-stream-offset": "first"}),
    row({"x-unknown": 1}),
    invalid({"x-consumer-timeout": 0}, "{value_zero,0}", Differs(None, OURS)),
]

STREAM_CONSUMERS = [
    *(row({"x-stream-offset": offset}) for offset in ("first", "last", "next", 0, 10**12, "1h", datetime(2024, 1, 1))),
    invalid({"x-stream-offset": "5x"}, '{invalid_stream_offset_arg,{longstr,<<"5x">>}}'),
    not_for("stream", {"x-priority": 1}),
]

EXCHANGES = [
    row({"exchange_type": "direct"}),
    row({"exchange_type": "x-no-such-type"}, "unknown exchange type 'x-no-such-type'", Differs(503, NEWER)),
    row({"arguments": {"alternate-exchange": "not.yet.there", "x-unknown": 1}}),
    row({"arguments": {"alternate-exchange": 1}}, "invalid type 'signedint' for arg 'alternate-exchange' in EXCHANGE"),
    row({"exchange_type": "x-consistent-hash"}),
    row({"exchange_type": "x-consistent-hash", "arguments": {"hash-header": "id"}}),
    row({"exchange_type": "x-consistent-hash", "arguments": {"hash-property": "timestamp"}}),
    row(
        {"exchange_type": "x-consistent-hash", "arguments": {"hash-property": "app_id"}},
        "Unsupported property: app_id",
    ),
    row(
        {"exchange_type": "x-consistent-hash", "arguments": {"hash-property": "message_id", "hash-header": "id"}},
        "hash-header and hash-property are mutually exclusive",
    ),
    row(
        {"exchange_type": "x-consistent-hash", "arguments": {"hash-header": 1}},
        "hash-header must be a string, not 1",
        Differs(541, CRASH),
    ),
    row({"exchange_type": "x-modulus-hash"}),
    row({"exchange_type": "x-random"}),
    row({"exchange_type": "x-recent-history"}),
    row({"exchange_type": "x-recent-history", "arguments": {"x-recent-history-length": 5}}),
    row(
        {"exchange_type": "x-recent-history", "arguments": {"x-recent-history-length": 0}},
        "Invalid argument 0, 'x-recent-history-length' must be a positive integer",
    ),
    row(
        {"exchange_type": "x-recent-history", "arguments": {"x-recent-history-length": "5"}},
        "Invalid argument <<\"5\">>, 'x-recent-history-length' must be a positive integer",
    ),
]

BINDINGS = [
    row(
        {"exchange": "headers", "arguments": {"x-match": "some"}},
        'Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x',
    ),
    row(
        {"exchange": "headers", "arguments": {"x-match": 1}},
        "Invalid x-match field type signedint (value 1); expected longstr",
    ),
    row({"exchange": "direct", "arguments": {"x-match": "some"}}),
    row({"exchange": "x-consistent-hash", "routing_key": "10"}),
    row({"exchange": "x-consistent-hash", "routing_key": "0"}, "The binding key must be greater than 0"),
    row({"exchange": "x-consistent-hash", "routing_key": "-3"}, "The binding key must be greater than 0"),
    row({"exchange": "x-consistent-hash", "routing_key": "k"}, 'The binding key must be an integer: <<"k">>'),
    row({"exchange": "x-consistent-hash", "routing_key": ""}, "The binding key must be an integer: <<>>"),
]

MESSAGES = [
    row({"expiration": "0"}),
    row({"expiration": "+5"}),
    row({"expiration": "abc"}, "invalid expiration 'abc': no_integer"),
    row({"expiration": ""}, "invalid expiration '': no_integer"),
    row({"expiration": " 5"}, "invalid expiration ' 5': no_integer"),
    row({"expiration": "10s"}, "invalid expiration '10s': {leftover_string,\"s\"}"),
    row({"expiration": "1.5"}, "invalid expiration '1.5': {leftover_string,\".5\"}"),
    row({"expiration": "-1"}, "invalid expiration '-1': {value_negative,-1}"),
    row({"expiration": "315360000001"}, "invalid expiration '315360000001': {value_too_large,315360000001}"),
    row({"headers": {"CC": ["a", 5]}}),
    row({"headers": {"CC": "a"}}, 'invalid message: {unacceptable_type_in_header,"CC",longstr}'),
    row({"headers": {"BCC": 5}}, 'invalid message: {unacceptable_type_in_header,"BCC",signedint}'),
    row({"headers": {"CC": None}}, 'invalid message: {unacceptable_type_in_header,"CC",void}'),
    row({"headers": {"x-delay": "soon"}}),
    row({"user_id": "somebody"}, "user_id property set to 'somebody' but authenticated user was 'guest'"),
]


@pytest.fixture
def check(broker, connect):
    """Tries something on a channel of its own and compares the answer with the row's."""

    def check(row, attempt, **names):
        channel = connect().channel()
        try:
            attempt(channel)
            answer = None
        except ChannelClosedByBroker as closed:
            assert closed.reply_code == 406
            answer = closed.reply_text.removeprefix("PRECONDITION_FAILED - ")
        except ConnectionClosedByBroker as closed:
            answer = closed.reply_code
        expected = row.answer
        if row.theirs and broker.name == "rabbitmq":
            expected = row.theirs.theirs
            if expected is ...:
                return
        if isinstance(expected, str):
            for word, name in names.items():
                expected = expected.replace(word.upper(), f"{word} '{name}' in vhost '/'")
        assert answer == expected

    return check


def rows(table):
    return pytest.mark.parametrize("row", table, ids=lambda row: str(row.given))


@rows(QUEUES)
def test_queue_arguments(check, name, row):
    queue = name("q")
    check(row, lambda channel: channel.queue_declare(queue, durable=True, arguments=row.given), queue=queue)


@rows(PROPERTIES)
def test_properties_that_a_type_of_queue_does_not_have(check, name, row):
    given = {"queue": name("q"), "durable": True} | row.given
    check(row, lambda channel: channel.queue_declare(**given), queue=given["queue"])


@rows(CONSUMERS)
def test_consumer_arguments(check, name, row):
    queue = name("q")

    def attempt(channel):
        channel.queue_declare(queue, exclusive=True)
        channel.basic_consume(queue, print, arguments=row.given)

    check(row, attempt, queue=queue)


@rows(STREAM_CONSUMERS)
def test_stream_consumer_arguments(check, name, row):
    queue = name("s")

    def attempt(channel):
        channel.queue_declare(queue, durable=True, arguments=STREAM)
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(queue, print, arguments=row.given)

    check(row, attempt, queue=queue)


@rows(EXCHANGES)
def test_exchange_arguments(check, name, row):
    exchange = name("x")
    check(row, lambda channel: channel.exchange_declare(exchange, **row.given), exchange=exchange)


@rows(BINDINGS)
def test_binding_arguments(check, name, row):
    exchange, queue = name("x"), name("q")

    def attempt(channel):
        channel.exchange_declare(exchange, row.given["exchange"])
        channel.queue_declare(queue, exclusive=True)
        channel.queue_bind(queue, **(row.given | {"exchange": exchange}))

    check(row, attempt)


@rows(MESSAGES)
def test_message_properties(check, name, row):
    queue = name("q")

    def attempt(channel):
        channel.queue_declare(queue, exclusive=True)
        channel.confirm_delivery()
        channel.basic_publish("", queue, b"x", pika.BasicProperties(**row.given))

    check(row, attempt)
