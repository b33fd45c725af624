"""The properties of messages, and their headers."""

import datetime
import decimal

import pytest

import warrenmq

EVERY = {
    "content_type": "application/x-test",
    "content_encoding": "identity",
    "priority": 5,
    "correlation_id": "c-1",
    "reply_to": "answers",
    "expiration": 60_000,
    "message_id": "m-1",
    "timestamp": 1_700_000_000,
    "type": "greeting",
    "user_id": "guest",
    "app_id": "tests",
}


def received(mq, **properties):
    queue = mq.queue("properties")
    queue.send(b"", **properties)
    return queue.get(no_ack=True)


def test_every_property_that_is_given_arrives(mq):
    message = received(mq, headers={"a": 1}, persistent=True, **EVERY)
    told = message.properties
    assert told == EVERY | {"headers": {"a": 1}, "delivery_mode": 2, "expiration": "60000"}
    assert (message.content_type, message.correlation_id, message.reply_to, message.type) == (
        "application/x-test",
        "c-1",
        "answers",
        "greeting",
    )
    assert message.headers == {"a": 1}


def test_what_is_not_given_is_absent(mq):
    message = received(mq)
    assert message.properties == {}
    assert message.headers == {}
    assert message.correlation_id is message.reply_to is message.type is message.content_type is None


def test_none_is_the_same_as_absent(mq):
    assert received(mq, **dict.fromkeys(EVERY), headers=None, persistent=None).properties == {}


def test_messages_to_a_durable_queue_are_persistent_unless_they_are_not_to_be(mq):
    queue = mq.queue("durable", durable=True)
    queue.send(b"")
    queue.send_many([b""])
    queue.send(b"", persistent=False)
    queue.send(b"", priority=1)
    modes = [queue.get(no_ack=True).properties.get("delivery_mode") for _ in range(4)]
    assert modes == [2, 2, None, 2]


def test_messages_to_a_transient_queue_are_persistent_if_they_are_to_be(mq):
    assert received(mq).properties.get("delivery_mode") is None
    assert received(mq, persistent=True).properties["delivery_mode"] == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", 256),
        ("priority", -1),
        ("priority", 1.0),
        ("priority", True),
        ("expiration", "60000"),
        ("expiration", 2**32),
        ("delay", -1),
        ("delay", 2**63),
        ("delay", 1.5),
        ("timestamp", -1),
        ("timestamp", datetime.datetime.now(datetime.UTC)),
        ("message_id", 5),
        ("type", "x" * 256),
        ("correlation_id", "\ud800"),
        ("headers", [("a", 1)]),
        ("persistent", 1),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_name_of_its_property(mq, name, value):
    with pytest.raises(warrenmq.InvalidArgument) as caught:
        received(mq, **{name: value})
    assert caught.value.reason.startswith(f"{name}: ")


def test_an_unknown_property_is_a_type_error(mq):
    with pytest.raises(TypeError, match="'colour' is no property of a message"):
        received(mq, colour="red")


def delayed(mq, **properties):
    queue = mq.queue("delayed")
    queue.send(b"", **properties)
    with queue.consume() as messages:
        message = messages.get(timeout=5)
        message.ack()
    headers = message.headers
    return headers | {"x-delay": abs(headers["x-delay"])}  # the exchange type turns its sign when the time is over


def test_a_delay_is_a_header(mq):
    assert delayed(mq, delay=1) == {"x-delay": 1}
    assert delayed(mq, delay=1, headers={"a": "b"}) == {"a": "b", "x-delay": 1}
    assert delayed(mq, delay=1, headers={"x-delay": 1}) == {"x-delay": 1}


def test_two_different_delays_are_refused(mq):
    with pytest.raises(warrenmq.InvalidArgument, match="delay: 1 differs from the header x-delay"):
        received(mq, delay=1, headers={"x-delay": 2})


def test_a_message_tells_how_often_it_came_back_and_why_it_was_dead_lettered(mq):
    plain = received(mq)
    assert (plain.delivery_count, plain.deaths) == (0, [])
    death = {"queue": "tasks", "reason": "expired", "count": 2, "routing-keys": ["tasks"], "time": NOON}
    message = received(mq, headers={"x-delivery-count": 3, "x-death": [death]})
    assert (message.delivery_count, message.deaths) == (3, [death])
    strange = received(mq, headers={"x-delivery-count": "many", "x-death": "twice"})
    assert (strange.delivery_count, strange.deaths) == (0, [])


NOON = datetime.datetime(2024, 2, 29, 12, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "",
        "é🐇",
        0,
        -(2**31),
        2**31,
        2**63 - 1,
        -(2**63),
        1.5,
        True,
        None,
        b"\xff\0",
        [1, "two", [3.0, None]],
        {"deep": {"deeper": [b""]}},
        NOON,
    ],
    ids=repr,
)
def test_a_header_arrives_with_its_type(mq, value):
    header = received(mq, headers={"value": value}).headers["value"]
    assert header == value
    assert type(header) is type(value)


def test_a_time_in_another_zone_arrives_as_the_same_moment(mq):
    elsewhere = NOON.astimezone(datetime.timezone(datetime.timedelta(hours=-7)))
    assert received(mq, headers={"at": elsewhere}).headers["at"] == NOON


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({"a": 2**63}, 'headers["a"]: an integer beyond 64 bits'),
        ({"a": [object()]}, 'headers["a"][0]: a object has no AMQP form'),
        ({"a": decimal.Decimal("1.5")}, 'headers["a"]: a Decimal has no AMQP form'),
        ({"a": {"b": datetime.datetime(2024, 1, 1)}}, 'headers["a"]["b"]: a datetime without a time zone'),
        ({"a": datetime.datetime(1969, 1, 1, tzinfo=datetime.UTC)}, 'headers["a"]: a time before 1970'),
        ({1: 2}, "headers: a key must be a str"),
        ({"k" * 256: 1}, "headers: a key is longer than 255 octets"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_header_without_an_amqp_form_is_refused_with_its_place(mq, headers, place):
    with pytest.raises(warrenmq.InvalidArgument) as caught:
        received(mq, headers=headers)
    assert caught.value.reason.startswith(place)


def test_headers_that_contain_themselves_are_refused(mq):
    headers = {}
    headers["me"] = headers
    with pytest.raises(warrenmq.InvalidArgument, match="nested too deep"):
        received(mq, headers=headers)
