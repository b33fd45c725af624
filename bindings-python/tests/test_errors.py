"""Errors: one class for each kind, nothing dropped on the way."""

import copy
import pickle

import pytest

import warrenmq
from warrenmq import _native, errors


@pytest.mark.parametrize(("code", "number"), _native.KINDS.items())
def test_every_kind_has_a_class_of_its_own_whose_text_begins_with_its_number(code, number):
    cls = errors.CLASSES[code]
    assert issubclass(cls, warrenmq.Error)
    assert cls.__doc__.startswith(f"{number}: ")
    assert getattr(warrenmq, cls.__name__) is cls


def test_there_are_no_classes_without_a_kind():
    assert set(errors.CLASSES) == set(_native.KINDS)
    assert len(set(errors.CLASSES.values())) == len(errors.CLASSES)


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (warrenmq.Timeout, TimeoutError),
        (warrenmq.Unreachable, ConnectionError),
        (warrenmq.InvalidArgument, ValueError),
    ],
)
def test_what_python_has_an_exception_for_is_that_exception_too(cls, builtin):
    assert issubclass(cls, builtin)


@pytest.fixture
def error(mq):
    with pytest.raises(warrenmq.NotFound) as caught:
        mq.queue("missing", passive=True)
    return caught.value


def test_an_error_says_what_was_attempted_on_what_why_it_failed_and_what_to_do(error):
    assert error.code == "NOT_FOUND"
    assert error.reply_code == 404
    assert error.reply_text == "NOT_FOUND - no queue 'missing' in vhost '/'"
    assert error.operation == "queue.declare"
    assert error.entity.startswith("queue 'missing'")
    assert error.reason == "no queue 'missing' in vhost '/'"
    advice = f" ({error.advice})" if error.advice else ""
    assert str(error) == f"{error.operation} {error.entity}: {error.reply_text}{advice}"


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_an_error_can_travel_to_another_process(error, again):
    other = again(error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)


def test_a_time_out_can_travel_too(mq):
    mq.queue("silent")
    with pytest.raises(warrenmq.Timeout) as caught:
        mq.call("silent", 1, timeout=0.01)
    other = pickle.loads(pickle.dumps(caught.value))
    assert (other.reason, str(other)) == (caught.value.reason, str(caught.value))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://me:secret@host", "unknown scheme 'redis'"),
        ("", "unknown scheme ''"),
        ("inproc", "unknown scheme"),
    ],
)
def test_a_url_that_cannot_be_read_is_an_invalid_argument_and_tells_no_password(url, reason):
    with pytest.raises(warrenmq.InvalidArgument) as caught:
        warrenmq.connect(url)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.operation == "connect"


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_time_out_that_is_no_time_is_refused(timeout):
    with pytest.raises(warrenmq.InvalidArgument, match="timeout"):
        warrenmq.connect("inproc://", timeout=timeout)
