"""Any thread may use anything: with the GIL, which is made to change hands all the time here, and without it."""

import collections
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import warrenmq

THREADS, MESSAGES = 8, 4000


@pytest.fixture(autouse=True)
def _restless():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def all_at_once(work):
    """Has every thread do it, and raises what failed in one."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, range(THREADS)))


def test_a_consumer_gives_each_message_to_one_thread(mq):
    tasks = mq.queue("tasks")
    all_at_once(lambda thread: tasks.send_many(str(thread * MESSAGES + n) for n in range(MESSAGES)))
    consumer = tasks.consume(prefetch=100)

    def take(_):
        taken = []
        while (message := consumer.get(timeout=0.5)) is not None:
            taken.append(int(message.text()))
            message.ack()
        return taken

    taken = collections.Counter(number for numbers in all_at_once(take) for number in numbers)
    assert taken == dict.fromkeys(range(THREADS * MESSAGES), 1)
    consumer.cancel()
    assert tasks.info().message_count == 0


def test_a_message_is_settled_by_one_thread_and_its_body_is_the_same_for_all(mq):
    tasks = mq.queue("tasks")
    tasks.send_many([b"x" * 1000] * 200)
    messages = [tasks.get() for _ in range(200)]

    def use(_):
        settled, bodies = 0, []
        for message in messages:
            bodies.append(message.body)
            try:
                message.ack()
                settled += 1
            except warrenmq.PreconditionFailed:
                pass
        return settled, bodies

    results = all_at_once(use)
    assert sum(settled for settled, _ in results) == len(messages)
    first = results[0][1]
    assert all(one is other for _, bodies in results for one, other in zip(bodies, first, strict=True))


def test_bodies_and_headers_may_be_changed_by_others_while_they_are_sent(mq):
    """What is sent is one of the states that they went through, and nobody crashes."""
    tasks = mq.queue("tasks")
    shared, headers = {"list": [0] * 50, "text": "x"}, {"n": 0}

    def send_or_change(thread):
        for number in range(300):
            if thread % 2:
                shared["list"].append(number)
                shared["list"].pop(0)
                shared[f"key {number % 10}"] = number
                shared.pop(f"key {(number + 5) % 10}", None)
                headers["n"] = number
            else:
                tasks.send(shared, headers=headers)

    all_at_once(send_or_change)
    for _ in range(THREADS // 2 * 300):
        message = tasks.get(no_ack=True)
        assert message.json()["text"] == "x"
        assert 0 <= message.properties["headers"]["n"] < 300
