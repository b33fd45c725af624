"""What is sent is what is received, or an error says where it would not have been."""

import datetime
import decimal
import enum
import math
import sys

import pytest

import warrenmq

MAX_SAFE = 2**53 - 1


def there_and_back(mq, body):
    queue = mq.queue("there-and-back")
    assert queue.send(body).routed
    return queue.get(no_ack=True)


@pytest.mark.parametrize("body", [b"", b"\0\xff", bytes(range(256)) * 300, b"x" * (16 << 20)], ids=len)
def test_bytes_arrive_as_they_were_sent_without_a_content_type(mq, body):
    message = there_and_back(mq, body)
    assert message.body == body
    assert message.value() == body
    assert message.content_type is None


def test_large_bytes_are_lent_to_a_broker_within_the_process_until_the_message_is_gone():
    body = bytes(1 << 20)
    before = sys.getrefcount(body)
    with warrenmq.connect("inproc://lent") as mq:
        queue = mq.queue("lent")
        queue.send(body)
        assert sys.getrefcount(body) > before
        queue.purge()
        assert sys.getrefcount(body) == before


def test_of_a_subclass_of_bytes_nothing_is_lent(mq):
    class Fancy(bytes):
        pass

    body = Fancy(1 << 20)
    before = sys.getrefcount(body)
    assert there_and_back(mq, body).body == body
    mq.queue("waits").send(body)
    assert sys.getrefcount(body) == before


@pytest.mark.parametrize("body", [bytearray(b"abc"), memoryview(b"abc"), memoryview(b"aXbXcX")[::2]], ids=repr)
def test_whatever_holds_bytes_is_sent_as_bytes(mq, body):
    assert there_and_back(mq, body).body == b"abc"


def test_a_memoryview_of_wide_items_is_sent_as_its_octets(mq):
    assert there_and_back(mq, memoryview(b"abcd").cast("I")).body == b"abcd"


@pytest.mark.parametrize("body", ["", "grüße, 世界 🐇", "a\0b"])
def test_text_arrives_as_text(mq, body):
    message = there_and_back(mq, body)
    assert message.text() == message.value() == body
    assert message.body == body.encode()
    assert message.content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "body",
    [
        {"n": 30, "nested": {"list": [1, 2.5, None, True, False, 'é\n"\\']}},
        [],
        {},
        None,
        True,
        0,
        -1.5,
        1e300,
        5e-324,
        0.1,
        MAX_SAFE,
        -MAX_SAFE,
        ["\x7f"],
    ],
    ids=repr,
)
def test_anything_else_arrives_as_what_its_json_stands_for(mq, body):
    message = there_and_back(mq, body)
    assert message.json() == message.value() == body
    assert type(message.json()) is type(body)
    assert message.content_type == "application/json"


def test_a_tuple_arrives_as_a_list(mq):
    assert there_and_back(mq, (1, (2, 3))).json() == [1, [2, 3]]


def test_members_of_an_int_or_str_enumeration_arrive_as_their_values(mq):
    class Number(enum.IntEnum):
        ONE = 1

    class Word(enum.StrEnum):
        A = "a"

    assert there_and_back(mq, {Word.A: Number.ONE}).json() == {"a": 1}


class Anything:
    pass


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (MAX_SAFE + 1, "body: an integer beyond ±(2^53-1) is not exact in JSON; send it as a string"),
        (-MAX_SAFE - 1, "body: an integer beyond"),
        ({"id": 10**30}, "body.id: an integer beyond"),
        ([0, {"x": math.nan}], "body[1].x: NaN and infinities have no JSON form"),
        ([math.inf], "body[0]: NaN and infinities"),
        (
            {"items": [0, 0, 0, {"when": datetime.datetime.now(datetime.UTC)}]},
            "body.items[3].when: a date has no JSON form; send its isoformat()",
        ),
        ({"day": datetime.date.today()}, "body.day: a date has no JSON form"),
        ({"a b": b"bytes"}, 'body["a b"]: bytes have no JSON form'),
        ({"raw": bytearray()}, "body.raw: bytes have no JSON form"),
        ({"n": {1: 2}}, "body.n: a key that is not a str"),
        ({None: 1}, "body: a key that is not a str"),
        ({"s": {1, 2}}, "body.s: a set has no JSON form; send a list"),
        ({"d": decimal.Decimal(1)}, "body.d: a Decimal has no JSON form"),
        ([Anything()], "body[0]: a Anything has no JSON form"),
        (Anything(), "body: a Anything has no JSON form"),
        ("\ud800", "body: a lone surrogate has no UTF-8 form"),
        ({"t": "\ud800"}, "body.t: a lone surrogate has no UTF-8 form"),
        ({"\ud800": 1}, "body: a lone surrogate has no UTF-8 form"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_json_would_change_is_refused_with_its_place(mq, body, place):
    queue = mq.queue("refused")
    with pytest.raises(warrenmq.InvalidArgument) as caught:
        queue.send(body)
    assert caught.value.reason.startswith(place)
    assert queue.info().message_count == 0


def test_what_contains_itself_is_refused(mq):
    body = []
    body.append(body)
    with pytest.raises(warrenmq.InvalidArgument, match="contains itself"):
        mq.queue("refused").send({"loop": body})


def test_json_that_nests_deeply_is_taken_up_to_a_limit(mq):
    body = []
    for _ in range(200):
        body = [body]
    assert there_and_back(mq, body).json() == body


def test_a_body_that_is_not_json_is_an_error_that_keeps_the_cause(mq):
    message = there_and_back(mq, b"{")
    with pytest.raises(warrenmq.InvalidArgument, match="not JSON") as caught:
        message.json()
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.operation == "message.json"


@pytest.mark.parametrize("body", [b"NaN", b"[Infinity]", b"-Infinity"])
def test_nan_is_not_json(mq, body):
    with pytest.raises(warrenmq.InvalidArgument, match="is not JSON"):
        there_and_back(mq, body).json()


def test_a_body_that_is_not_utf_8_is_an_error_as_text(mq):
    with pytest.raises(warrenmq.InvalidArgument, match="not UTF-8"):
        there_and_back(mq, b"\xff").text()


def test_integers_that_come_in_are_exact_whatever_their_size(mq):
    assert there_and_back(mq, b"123456789012345678901234567890").json() == 123456789012345678901234567890


@pytest.mark.parametrize(
    ("content_type", "value"),
    [
        ("application/json; charset=utf-8", [1]),
        ("APPLICATION/JSON", [1]),
        ("text/html", "[1]"),
        ("Text/Plain", "[1]"),
        ("application/octet-stream", b"[1]"),
        ("tex", b"[1]"),
    ],
)
def test_value_goes_by_the_content_type(mq, content_type, value):
    queue = mq.queue("typed")
    queue.send(b"[1]", content_type=content_type)
    assert queue.get(no_ack=True).value() == value


def test_a_content_type_that_is_given_stays(mq):
    queue = mq.queue("typed")
    queue.send({"a": 1}, content_type="application/vnd.x+json")
    assert queue.get(no_ack=True).content_type == "application/vnd.x+json"


def test_the_body_is_made_once(mq):
    message = there_and_back(mq, b"same")
    assert message.body is message.body
