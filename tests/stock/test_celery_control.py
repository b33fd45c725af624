"""Celery: events, remote control, and workers that end well or badly."""

import os
import signal
import sys
import threading
from contextlib import contextmanager

import pytest
from celery.exceptions import TaskRevokedError
from kombu import Queue

from stock.celery.worker import Worker, client, tasks
from support.programs import Program
from support.waiting import eventually

TIMEOUT = 20  # seconds


@pytest.fixture(scope="module")
def app(broker):
    with client(broker) as app:
        yield app


@pytest.fixture(scope="module")
def worker(broker, app):
    with Worker(broker, "-c", "2") as worker:
        yield worker


@pytest.fixture
def todo(app):
    return tasks(app)


@pytest.fixture
def gate(tmp_path):
    """Where tasks wait; opened when the test is over, so that none waits for ever."""
    yield tmp_path
    (tmp_path / "open").touch()


def opened(gate):
    (gate / "open").touch()


def holding(gate, count=1):
    """The processes that wait at the gate, when there are so many."""
    return eventually(lambda: (files := [int(file.name) for file in gate.iterdir()]) and len(files) >= count and files)


def inspect(app, worker):
    return app.control.inspect([worker.name], timeout=TIMEOUT, limit=1)


@contextmanager
def events(app):
    """Celery's monitor: a list that grows by what workers and clients say."""
    seen, ready, done = [], threading.Event(), threading.Event()

    def watch():
        with app.connection_for_read() as configured:
            receiver = app.events.Receiver(configured, handlers={"*": seen.append})
            with receiver.consumer_context() as (connection, _, _):
                ready.set()
                while not done.is_set():
                    try:
                        connection.drain_events(timeout=0.1)
                    except TimeoutError:
                        continue

    watching = threading.Thread(target=watch)
    watching.start()
    assert ready.wait(TIMEOUT)
    try:
        yield seen
    finally:
        done.set()
        watching.join()


def kinds(seen, task_id):
    return [event["type"] for event in list(seen) if event.get("uuid") == task_id]


def test_a_monitor_sees_the_life_of_a_task(app, worker, todo):
    with events(app) as seen:
        sent = todo.add.delay(1, 2)
        eventually(lambda: "task-succeeded" in kinds(seen, sent.id))
        failed = todo.fail.delay("no luck")
        eventually(lambda: "task-failed" in kinds(seen, failed.id))
        assert set(kinds(seen, sent.id)) == {"task-sent", "task-received", "task-started", "task-succeeded"}
        (event,) = [e for e in seen if e["type"] == "task-succeeded" and e["uuid"] == sent.id]
        assert (event["result"], event["hostname"]) == ("3", worker.name)
        eventually(lambda: any(e["type"] == "worker-heartbeat" and e["hostname"] == worker.name for e in list(seen)))


def test_a_worker_answers_a_ping(app, worker):
    assert app.control.ping(destination=[worker.name], timeout=TIMEOUT, limit=1) == [{worker.name: {"ok": "pong"}}]


def test_the_command_line_sees_the_worker(broker, app, worker):
    with Program(sys.executable, "-m", "celery", "-b", broker.url, "inspect", "ping", "-d", worker.name) as status:
        assert status.wait(TIMEOUT) == 0
        assert "1 node online." in status.output


def test_a_worker_tells_what_it_runs_and_what_it_holds_back(app, worker, todo, gate):
    running, waiting = todo.hold.delay(str(gate)), todo.add.apply_async((1, 2), countdown=60)
    holding(gate)
    assert [task["id"] for task in inspect(app, worker).active()[worker.name]] == [running.id]
    assert [task["request"]["id"] for task in inspect(app, worker).scheduled()[worker.name]] == [waiting.id]
    assert "stock.celery.tasks.add" in inspect(app, worker).registered()[worker.name]
    assert inspect(app, worker).stats()[worker.name]["broker"]["transport"] == "amqp"
    opened(gate)
    running.get(TIMEOUT)
    waiting.revoke()


def test_a_revoked_task_does_not_run(app, worker, todo):
    waiting = todo.add.apply_async((1, 2), countdown=1)
    app.control.revoke(waiting.id, reply=True, destination=[worker.name], timeout=TIMEOUT, limit=1)
    with pytest.raises(TaskRevokedError):
        waiting.get(TIMEOUT)


def test_a_running_task_is_terminated(app, worker, todo, gate):
    running = todo.hold.delay(str(gate))
    holding(gate)
    app.control.revoke(running.id, terminate=True, signal="SIGKILL")
    with pytest.raises(TaskRevokedError):
        running.get(TIMEOUT)
    assert todo.add.delay(1, 2).get(TIMEOUT) == 3


def test_a_rate_limit_slows_a_task_down(app, worker, todo):
    def limit(rate):
        return app.control.rate_limit(
            "stock.celery.tasks.when", rate, reply=True, destination=[worker.name], timeout=TIMEOUT, limit=1
        )

    assert limit("5/s") == [{worker.name: {"ok": "new rate limit set successfully"}}]
    ran = sorted(result.get(TIMEOUT) for result in [todo.when.delay() for _ in range(6)])
    limit(0)
    assert ran[-1] - ran[0] > 0.7


def test_a_worker_takes_up_and_leaves_a_queue_when_told(app, worker, todo):
    asked = {"reply": True, "destination": [worker.name], "timeout": TIMEOUT, "limit": 1}
    added = app.control.add_consumer("extra", **asked)
    assert added == [{worker.name: {"ok": "add consumer extra"}}]
    assert todo.add.apply_async((1, 2), queue="extra").get(TIMEOUT) == 3
    assert app.control.cancel_consumer("extra", **asked) == [{worker.name: {"ok": "no longer consuming from extra"}}]
    with app.connection_for_write() as connection:
        extra = Queue("extra")(connection.default_channel)
        todo.add.apply_async((1, 2), queue="extra")
        assert eventually(lambda: extra.get(no_ack=True)), "the worker still consumes"
        extra.delete()


def test_every_worker_hears_a_broadcast_task(broker, app, worker, todo):
    with Worker(broker, "-P", "solo") as second:
        todo.shout.delay("a broadcast")
        worker.printed("heard a broadcast")
        second.printed("heard a broadcast")
        assert sorted(reply for each in app.control.ping(timeout=TIMEOUT, limit=2) for reply in each) == sorted(
            [worker.name, second.name]
        )
        app.control.shutdown(destination=[second.name])
        assert second.wait() == 0, second.output


def test_an_unacked_task_of_a_killed_worker_is_done_by_another(broker, app, worker, todo, gate):
    """The queue is the test's own, so that the first worker is sure to have the task first."""
    with Worker(broker, "-c", "1", "-Q", "late") as doomed:
        result = todo.hold_unacked.apply_async((str(gate),), queue="late")
        (first,) = holding(gate)
        doomed.kill()
    with Worker(broker, "-c", "1", "-Q", "late"):
        second = next(process for process in holding(gate, 2) if process != first)
        opened(gate)
        assert result.get(TIMEOUT) == second


def test_a_task_whose_process_is_killed_is_redelivered(app, worker, todo, gate):
    result = todo.hold_unacked.delay(str(gate))
    (first,) = holding(gate)
    os.kill(first, signal.SIGKILL)
    second = next(process for process in holding(gate, 2) if process != first)
    opened(gate)
    assert result.get(TIMEOUT) == second


def test_a_warm_shutdown_finishes_what_runs_and_gives_back_the_rest(broker, app, todo, gate):
    with Worker(broker, "-c", "1", "-Q", "warm") as worker:
        running = todo.hold.apply_async((str(gate),), queue="warm")
        holding(gate)
        waiting = [todo.add.apply_async((1, number), queue="warm") for number in range(3)]
        eventually(lambda: len(inspect(app, worker).reserved()[worker.name]) == 3)
        worker.signal(signal.SIGTERM)
        worker.printed("Warm shutdown")
        opened(gate)
        assert isinstance(running.get(TIMEOUT), int)
        assert worker.wait() == 0, worker.output
    with app.connection_for_write() as connection:
        warm = Queue("warm")(connection.default_channel)
        returned = [warm.get(no_ack=True) for _ in range(3)]
        assert [message.headers["id"] for message in returned] == [result.id for result in waiting]
        assert all(message.delivery_info["redelivered"] for message in returned)
        warm.delete()
