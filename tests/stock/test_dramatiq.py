"""Dramatiq: tasks over pika, delays through a queue of their own, and a queue for what has failed for good."""

import time
from collections import deque

import dramatiq
import pytest
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import AgeLimit, Retries

from support.proxy import Proxy
from support.waiting import eventually

QUICK = {"min_backoff": 100, "max_backoff": 200}  # milliseconds


@pytest.fixture
def tasks(broker):
    """Dramatiq's broker, with confirms and priorities, through a network that can fail (`tasks.network`)."""
    with Proxy(broker) as proxy:
        tasks = RabbitmqBroker(
            url=proxy.url, middleware=[AgeLimit(), Retries()], confirm_delivery=True, max_priority=10
        )
        tasks.network = proxy
        yield tasks
        tasks.close()


@pytest.fixture
def working(tasks):
    """Starts a worker; it is stopped after the test."""
    started = []

    def start(threads=2):
        started.append(dramatiq.Worker(tasks, worker_timeout=100, worker_threads=threads))
        started[-1].start()

    yield start
    for worker in started:
        worker.stop()


def counts(tasks, queue):
    """How many messages wait in a queue, in its delay queue and among its dead letters."""
    return tasks.get_queue_message_counts(queue)


def test_every_task_is_done_once(tasks, working, name):
    done = deque()

    @dramatiq.actor(broker=tasks, queue_name=name("default"))
    def work(number):
        done.append(number)

    for number in range(100):
        work.send(number)
    working(4)
    tasks.join(work.queue_name, timeout=20_000)
    assert sorted(done) == list(range(100))


def test_a_delayed_task_waits(tasks, working, name):
    done = deque()

    @dramatiq.actor(broker=tasks, queue_name=name("default"))
    def work():
        done.append(time.monotonic())

    sent = time.monotonic()
    work.send_with_options(delay=500)
    working()
    eventually(lambda: done)
    assert done[0] - sent >= 0.5


def test_a_failing_task_is_tried_again_and_then_kept_among_the_dead(tasks, working, name):
    tried = deque()

    @dramatiq.actor(broker=tasks, queue_name=name("default"), max_retries=2, **QUICK)
    def work():
        tried.append(1)
        raise ValueError("no luck")

    work.send()
    working()
    eventually(lambda: len(tried) == 3, within=20)
    eventually(lambda: counts(tasks, work.queue_name) == (0, 0, 1))


def test_the_highest_priority_is_delivered_first(tasks, working, name):
    done = deque()

    @dramatiq.actor(broker=tasks, queue_name=name("default"))
    def work(priority):
        done.append(priority)

    for priority in (1, 9, 5):
        work.send_with_options(args=(priority,), broker_priority=priority)
    working(1)
    eventually(lambda: len(done) == 3)
    assert list(done) == [9, 5, 1]


def test_a_worker_goes_on_after_a_cut(tasks, working, name):
    done = deque()

    @dramatiq.actor(broker=tasks, queue_name=name("default"))
    def work(number):
        done.append(number)

    working()
    for number in range(3):
        work.send(number)
        eventually(lambda number=number: number in done, within=20)
        tasks.network.cut()
