"""Remote calls."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import warrenmq


def fib(request, _):
    a, b = 0, 1
    for _ in range(request["n"]):
        a, b = b, a + b
    return a


def test_a_call_is_answered(mq):
    with mq.serve("fib", fib):
        assert [mq.call("fib", {"n": n}) for n in (30, 35, 40)] == [832040, 9227465, 102334155]


@pytest.mark.parametrize("body", [b"bytes", "text", {"json": [1, None]}, None, b"", ""])
def test_a_reply_keeps_the_form_of_what_the_handler_returns(mq, body):
    with mq.serve("echo", lambda value, message: value):
        assert mq.call("echo", body) == body


def test_a_raw_reply_is_the_message(mq):
    with mq.serve("echo", lambda value, message: message.properties["app_id"]):
        reply = mq.call("echo", 1, raw=True, app_id="caller")
    assert reply.text() == "caller"
    assert reply.correlation_id


def test_the_callers_of_many_threads_each_get_their_own_answer(mq):
    with mq.serve("echo", lambda value, message: value, workers=2), ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda n: mq.call("echo", n), range(2000))) == list(range(2000))


def test_several_servers_share_the_load(mq):
    served = [[], []]

    def handler(calls):
        def handle(value, message):
            calls.append(value)
            time.sleep(0.01)

        return handle

    with mq.serve("work", handler(served[0])), mq.serve("work", handler(served[1])), ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: mq.call("work", n), range(20)))
    assert sorted(served[0] + served[1]) == list(range(20))
    assert min(map(len, served)) >= 5


def test_an_exception_of_the_handler_becomes_a_remote_error(mq):
    class Insufficient(Exception):
        code = "INSUFFICIENT"

    def handler(value, message):
        if value == "coded":
            raise Insufficient("not enough")
        return 1 // value

    with mq.serve("divide", handler):
        with pytest.raises(warrenmq.RemoteError) as caught:
            mq.call("divide", 0)
        error = caught.value
        assert (error.code, error.reply_code, error.remote_code) == ("REMOTE", 1009, "ZeroDivisionError")
        assert "division" in error.reason
        assert error.reason in str(error)
        assert error.operation == "call"
        with pytest.raises(warrenmq.RemoteError, match="not enough") as caught:
            mq.call("divide", "coded")
        assert caught.value.remote_code == "INSUFFICIENT"
        assert mq.call("divide", 0, raw=True).type == "error"
        assert mq.call("divide", 1) == 1


def test_a_reply_that_cannot_be_sent_as_it_is_becomes_a_remote_error(mq):
    with mq.serve("bad", lambda value, message: {1, 2}), pytest.raises(warrenmq.RemoteError, match="a set has no JSON"):
        mq.call("bad", 1)


def test_a_request_that_is_not_what_its_content_type_says_becomes_a_remote_error(mq):
    with mq.serve("echo", lambda value, message: value), pytest.raises(warrenmq.RemoteError, match="not JSON"):
        mq.call("echo", b"{", content_type="application/json")


def test_a_call_to_a_queue_that_is_not_there_fails_at_once(mq):
    begin = time.monotonic()
    with pytest.raises(warrenmq.Unroutable) as caught:
        mq.call("nobody", 1)
    assert caught.value.code == "NO_ROUTE"
    assert "'nobody'" in str(caught.value)
    assert time.monotonic() - begin < 1


def test_a_call_that_takes_too_long_times_out_and_its_late_reply_harms_nobody(mq):
    slow = threading.Event()

    def handler(value, message):
        if value == "slow":
            slow.wait(5)
        return value

    with mq.serve("echo", handler):
        with pytest.raises(TimeoutError) as caught:
            mq.call("echo", "slow", timeout=0.05)
        assert caught.value.code == "TIMEOUT"
        slow.set()
        assert [mq.call("echo", n) for n in range(10)] == list(range(10))


def test_a_request_without_a_reply_address_is_handled_and_acknowledged(mq, caplog):
    handled = threading.Event()

    def handler(value, message):
        handled.set()
        raise RuntimeError("told to the log, since nobody waits")

    with mq.serve("events", handler):
        mq.queue("events").send("no reply, please")
        assert handled.wait(5)
    assert mq.queue("events").info().message_count == 0
    assert "nobody waits for its reply" in caplog.text


def test_serving_declares_the_queue_unless_it_is_there(mq):
    mq.queue("there", durable=True)
    with mq.serve("there", fib), mq.serve("new", fib), mq.serve("lasting", fib, durable=True):
        assert mq.call("there", {"n": 1}) == mq.call("new", {"n": 1}) == 1
        assert mq.queue("lasting", durable=True).consumer_count == 1


def test_a_closed_server_takes_no_more_requests_and_finishes_those_it_has(mq):
    begun = threading.Event()

    def handler(value, message):
        begun.set()
        time.sleep(0.1)
        return value

    server = mq.serve("work", handler)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(mq.call, "work", 7)
        begun.wait(5)
        server.close()
        assert answer.result() == 7
    server.wait()
    server.close()
    with pytest.raises(TimeoutError):
        mq.call("work", 1, timeout=0.02)
    assert mq.queue("work").info() == warrenmq.QueueInfo("work", 1, 0)


def test_a_server_may_close_itself(mq):
    def handler(value, message):
        server.close()
        return "bye"

    server = mq.serve("once", handler)
    assert mq.call("once", 1) == "bye"
    server.wait(5)


def test_a_server_ends_when_its_connection_closes():
    mq = warrenmq.connect("inproc://")
    server = mq.serve("work", fib)
    mq.close()
    server.wait(5)


def test_a_call_fails_when_its_connection_closes(mq):
    mq.queue("silent")
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(mq.call, "silent", 1)
        time.sleep(0.05)
        mq.close()
        with pytest.raises(warrenmq.Closed):
            answer.result(5)


def test_a_second_connection_never_sees_the_answers_of_the_first():
    with (
        warrenmq.connect("inproc://calls") as server,
        warrenmq.connect("inproc://calls") as one,
        warrenmq.connect("inproc://calls") as two,
        server.serve("echo", lambda value, message: value),
        ThreadPoolExecutor(2) as threads,
    ):
        mine = threads.submit(lambda: [one.call("echo", f"one {n}") for n in range(500)])
        yours = threads.submit(lambda: [two.call("echo", f"two {n}") for n in range(500)])
        assert mine.result() == [f"one {n}" for n in range(500)]
        assert yours.result() == [f"two {n}" for n in range(500)]
