"""Named options that stand for arguments of queues and consumers."""

import datetime

import pytest

import warrenmq
from warrenmq import _arguments

QUEUE = {
    "ttl": ("x-message-ttl", 60_000),
    "expires": ("x-expires", 60_000),
    "max_length": ("x-max-length", 10),
    "max_length_bytes": ("x-max-length-bytes", 1000),
    "overflow": ("x-overflow", "reject-publish"),
    "dead_letter_exchange": ("x-dead-letter-exchange", ""),
    "dead_letter_strategy": ("x-dead-letter-strategy", "at-least-once"),
    "dead_letter_routing_key": ("x-dead-letter-routing-key", "elsewhere"),
    "max_priority": ("x-max-priority", 5),
    "single_active_consumer": ("x-single-active-consumer", True),
    "delivery_limit": ("x-delivery-limit", 3),
    "consumer_timeout": ("x-consumer-timeout", 60_000),
    "type": ("x-queue-type", "quorum"),
    "deduplication": ("x-message-deduplication", True),
    "deduplication_header": ("x-deduplication-header", "id"),
    "deduplication_cache_size": ("x-cache-size", 100),
    "deduplication_cache_ttl": ("x-cache-ttl", 60_000),
    "max_age": ("x-max-age", "7D"),
}


def test_every_option_has_a_text_and_a_test():
    assert set(warrenmq.QueueArguments.__annotations__) == set(_arguments._QUEUE) == set(QUEUE)


@pytest.mark.parametrize("option", QUEUE)
def test_an_option_stands_for_its_argument(option):
    argument, value = QUEUE[option]
    assert _arguments.of_queue(None, {option: value}) == {argument: value}


def test_a_queue_that_is_declared_by_option_is_the_same_by_argument(mq):
    mq.queue("tasks", ttl=60_000)
    assert mq.queue("tasks", arguments={"x-message-ttl": 60_000}).name == "tasks"
    with pytest.raises(warrenmq.PreconditionFailed):
        mq.queue("tasks", ttl=1)


def test_options_and_arguments_go_together(mq):
    mq.queue("tasks", ttl=60_000, arguments={"x-max-length": 10})
    assert mq.queue("tasks", max_length=10, arguments={"x-message-ttl": 60_000}).name == "tasks"


def test_what_is_given_both_ways_has_to_be_the_same(mq):
    assert mq.queue("tasks", ttl=60_000, arguments={"x-message-ttl": 60_000}).name == "tasks"
    with pytest.raises(warrenmq.InvalidArgument) as caught:
        mq.queue("tasks", ttl=1, arguments={"x-message-ttl": 2})
    assert caught.value.reason == "ttl: 1 differs from arguments['x-message-ttl']: 2"
    with pytest.raises(warrenmq.InvalidArgument, match="priority: 1 differs"):
        mq.queue("tasks", ttl=60_000).consume(priority=1, arguments={"x-priority": 2})


def test_none_is_the_same_as_absent(mq):
    mq.queue("tasks", ttl=None, type=None)
    assert mq.queue("tasks").name == "tasks"


def test_an_unknown_option_is_a_type_error(mq):
    with pytest.raises(TypeError, match="'colour' is no option"):
        mq.queue("tasks", colour="red")


def test_arguments_that_are_given_are_not_changed(mq):
    arguments = {"x-max-length": 10}
    mq.queue("tasks", ttl=60_000, arguments=arguments)
    assert arguments == {"x-max-length": 10}


def test_a_consumer_of_higher_priority_is_served_first(mq):
    queue = mq.queue("tasks")
    with queue.consume() as low, queue.consume(priority=10) as high:
        queue.send("x")
        assert high.get(timeout=5).text() == "x"
        assert low.get(timeout=0) is None


def test_an_offset_is_sent_as_what_it_is():
    noon = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
    for offset in ("first", 7, noon, "1h"):
        assert _arguments.of_consumer(None, None, offset, False) == {"x-stream-offset": offset}
        assert _arguments.of_consumer(None, None, offset, True) == {"x-stream-offset": offset}
    assert _arguments.of_consumer(None, None, None, True) == {"x-stream-offset": "next"}
    assert _arguments.of_consumer({"x": 1}, None, None, False) == {"x": 1}
    assert _arguments.of_consumer(None, None, None, False) is None


@pytest.mark.parametrize(
    ("offset", "bodies"),
    [
        ("first", ["0", "1", "2"]),
        (1, ["1", "2"]),
        (datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), ["0", "1", "2"]),
    ],
    ids=str,
)
def test_a_stream_is_read_from_its_offset(mq, offset, bodies):
    stream = mq.queue("stream", durable=True, type="stream")
    stream.send_many(["0", "1", "2"])
    with stream.consume(offset=offset) as messages:
        assert [messages.get(timeout=5).text() for _ in bodies] == bodies


def test_a_reader_of_a_stream_leaves_it_as_it_was(mq):
    stream = mq.queue("stream", durable=True, type="stream")
    with stream.consume() as following:
        stream.send_many(["0", "1", "2"])
        first = following.get(timeout=5)
        following.cancel()  # with others that were fetched, of which none can be put back
        first.ack()
    with stream.consume(offset="first") as messages:
        assert [messages.get(timeout=5).text() for _ in range(3)] == ["0", "1", "2"]
    assert stream.send("3").routed


def test_a_queue_that_knows_a_message_does_not_take_it_again(mq):
    queue = mq.queue("once", deduplication=True, deduplication_header="id")
    for number in (1, 1, 2):
        queue.send(b"", headers={"id": number})
    assert queue.info().message_count == 2
