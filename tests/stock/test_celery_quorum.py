"""Celery on quorum queues: it drops its global prefetch and lets the broker hold tasks until they are due."""

import time

import pytest

from stock.celery.worker import Worker, client, tasks

TIMEOUT = 20  # seconds


@pytest.fixture(scope="module")
def app(broker):
    with client(broker, queues="QUORUM") as app:
        yield app


@pytest.fixture(scope="module")
def worker(broker, app):
    with Worker(broker, "-c", "2", queues="QUORUM") as worker:
        yield worker


@pytest.fixture
def todo(app, worker):
    return tasks(app)


def test_the_worker_takes_the_queue_for_a_quorum_queue(worker):
    worker.printed("Global QoS is disabled")


def test_tasks_answer(todo):
    results = [todo.add.delay(number, 1) for number in range(50)]
    assert [result.get(TIMEOUT) for result in results] == list(range(1, 51))


def test_a_countdown_is_kept_by_the_broker(app, worker, todo):
    """The task passes a queue for each bit of its delay, and reaches the worker when it is due, not before."""
    due = time.time() + 3
    late = todo.when.apply_async(countdown=3)
    soon = todo.when.apply_async(countdown=1)
    assert soon.get(TIMEOUT) < due
    held = app.control.inspect([worker.name], timeout=TIMEOUT, limit=1).scheduled()
    assert held == {worker.name: []}, "the worker holds the task itself"
    assert due <= late.get(TIMEOUT) < due + 5


def test_a_retry_is_kept_by_the_broker_too(todo):
    assert todo.stubborn.delay(2, pause=1).get(TIMEOUT) == 3  # whole seconds: Celery's countdown is an integer here
