"""Celery: tasks through a worker process, and their results through `rpc://`."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from celery import chain, group
from celery.exceptions import TaskRevokedError
from kombu import Queue

from stock.celery.worker import Worker, client, tasks
from support.waiting import eventually

TIMEOUT = 20  # seconds, for what is expected to come


@pytest.fixture(scope="module")
def app(broker):
    with client(broker) as app:
        yield app


@pytest.fixture(scope="module")
def worker(broker, app):
    with Worker(broker, "-c", "2") as worker:
        yield worker


@pytest.fixture
def todo(app, worker):
    return tasks(app)


def test_a_task_answers(todo):
    assert todo.add.delay(2, 3).get(TIMEOUT) == 5


def test_many_tasks_answer_each_to_its_own_result(todo):
    results = [todo.add.delay(number, number) for number in range(200)]
    assert [result.get(TIMEOUT) for result in results] == [2 * number for number in range(200)]


def test_an_error_travels_back(todo):
    result = todo.fail.delay("no luck")
    with pytest.raises(ValueError, match="no luck"):
        result.get(TIMEOUT)
    assert result.state == "FAILURE"
    assert "raise ValueError(text)" in result.traceback


def test_a_group_answers_in_order(todo):
    assert group(todo.add.s(number, 1) for number in range(20))().get(TIMEOUT) == list(range(1, 21))


def test_a_chain_passes_each_result_on(todo):
    assert chain(todo.add.s(1, 2), todo.add.s(3), todo.add.s(4))().get(TIMEOUT) == 10


def test_a_linked_task_is_called_with_the_result(todo):
    linked = todo.add.s(10)
    result = linked.freeze()
    todo.add.apply_async((1, 2), link=linked)
    assert result.get(TIMEOUT) == 13


def test_a_task_that_retries_is_sent_again_until_it_succeeds(todo):
    assert todo.stubborn.delay(3).get(TIMEOUT) == 4


def test_a_countdown_holds_a_task_back(todo):
    due = time.time() + 1
    assert due <= todo.when.apply_async(countdown=1).get(TIMEOUT) < due + 5


def test_tasks_run_in_the_order_of_their_eta(todo):
    """The worker raises its prefetch count for each task that it holds, so more may wait than the prefetch allows."""
    now = datetime.now(UTC)
    late = [todo.when.apply_async(eta=now + timedelta(seconds=1.5 + 0.2 * number)) for number in reversed(range(20))]
    assert todo.add.delay(1, 1).get(TIMEOUT) == 2, "waiting tasks block the others"
    ran = [result.get(TIMEOUT) for result in late[-8:]]
    assert ran == sorted(ran, reverse=True)
    for result in late[:-8]:
        result.revoke()


def test_an_expired_task_does_not_run(app, todo):
    result = todo.when.apply_async(expires=datetime.now(UTC) + timedelta(seconds=1), countdown=1.5)
    with pytest.raises(TaskRevokedError):
        result.get(TIMEOUT)


def test_an_expired_task_that_no_worker_took_leaves_the_queue(app, todo):
    """Celery gives the broker the `expires` as the message's expiration."""
    with app.connection_for_write() as connection:
        lonely = Queue("lonely")(connection.default_channel)
        lonely.declare()
        todo.add.apply_async((1, 1), queue="lonely", expires=2)
        eventually(lambda: lonely.queue_declare(passive=True).message_count == 1)
        eventually(lambda: lonely.queue_declare(passive=True).message_count == 0)
        lonely.delete()


def test_a_topic_exchange_routes_tasks_to_the_queue_of_their_kind(app, todo, worker):
    active = app.control.inspect([worker.name], limit=1, timeout=TIMEOUT).active_queues()[worker.name]
    assert {queue["name"] for queue in active} >= {"celery", "feeds", "images"}
    for key in ("feed.news.today", "feed", "image.png"):
        assert todo.add.apply_async((1, 2), exchange="media", routing_key=key).get(TIMEOUT) == 3


def test_a_rejected_task_is_dead_lettered(app, todo):
    with app.connection_for_write() as connection:
        refused = Queue("refused")(connection.default_channel)
        refused.declare()
        sent = todo.refuse.delay()

        def message():
            return refused.get(no_ack=True)

        dead = eventually(message, TIMEOUT)
        assert (dead.headers["id"], dead.headers["x-death"][0]["reason"]) == (sent.id, "rejected")
        assert dead.headers["x-first-death-queue"] == "refusing"
        refused.delete()


def test_compressed_tasks_and_other_serializers_arrive(todo):
    assert todo.total.apply_async((list(range(1000)),), compression="zlib").get(TIMEOUT) == 499500
    assert todo.total.apply_async((list(range(1000)),), compression="bzip2").get(TIMEOUT) == 499500


def test_a_result_queue_is_deleted_when_its_owner_goes(broker, worker, app):
    with client(broker) as other:
        assert tasks(other).add.delay(1, 2).get(TIMEOUT) == 3
        name = other.thread_oid

    def gone():
        with app.connection_for_write() as connection:
            try:
                connection.default_channel.queue_declare(name, passive=True)
            except connection.channel_errors:
                return True

    eventually(gone)


def test_the_highest_priority_runs_first(broker):
    with client(broker, queues="URGENT") as app:
        sent = [(priority, tasks(app).when.apply_async(priority=priority)) for priority in (1, 9, 0, 5, 9, 3, 10, 7)]
        with Worker(broker, "-P", "solo", "--prefetch-multiplier", "1", queues="URGENT"):
            ran = sorted((result.get(TIMEOUT), priority) for priority, result in sent)
    assert [priority for _, priority in ran] == [10, 9, 9, 7, 5, 3, 1, 0]
