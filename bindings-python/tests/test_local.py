"""`local:PATH`: what is durable is there again, and processes share it."""

import os
import signal
import subprocess
import sys
import threading

import pytest

import warrenmq
from warrenmq import errors


@pytest.fixture
def url(tmp_path):
    return f"local:{tmp_path / 'queues'}"


def test_what_was_sent_is_there_when_the_directory_is_opened_again(url):
    with warrenmq.connect(url) as mq:
        assert mq.transport == "local"
        tasks = mq.queue("tasks", durable=True)
        for number in range(3):
            assert tasks.send({"n": number}).confirmed
    with warrenmq.connect(url) as mq:
        tasks = mq.queue("tasks", durable=True)
        first = tasks.get()
        assert (first.json(), first.redelivered) == ({"n": 0}, False)
        first.ack()
        assert tasks.get().json() == {"n": 1}
    with warrenmq.connect(url) as mq:
        tasks = mq.queue("tasks", durable=True)
        got = [tasks.get(no_ack=True) for _ in range(2)]
        assert [(message.json()["n"], message.redelivered) for message in got] == [(1, True), (2, False)]
        assert tasks.get() is None


def test_connections_of_one_process_share_the_directory(url):
    with warrenmq.connect(url) as one, warrenmq.connect(url) as other:
        one.queue("tasks", durable=True).send("hello")
        assert other.queue("tasks", durable=True).get(no_ack=True).text() == "hello"


@pytest.fixture
def other(url):
    """Another process with the directory open, until its standard input ends. It answers what it is sent."""
    program = """if True:
        import sys, warrenmq
        with warrenmq.connect(sys.argv[1]) as mq:
            print("open", flush=True)
            mq.serve("double", lambda number, message: number * 2)
            sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", program, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "open\n"
        yield process
        process.send_signal(signal.SIGCONT)
        process.stdin.close()
        assert process.wait(20) == 0


def test_two_processes_share_a_directory_whoever_was_first(url, other):
    with warrenmq.connect(url) as mq:
        assert mq.transport == "local"
        assert [mq.call("double", number, timeout=10) for number in range(50)] == [n * 2 for n in range(50)]
        tasks = mq.queue("tasks", durable=True)
        tasks.send_many([{"n": number} for number in range(1000)])
        got = []
        for message in tasks.consume(prefetch=100):
            got.append(message.json()["n"])
            message.ack()
            if len(got) == 1000:
                break
        assert got == list(range(1000))


def test_a_process_that_has_the_directory_and_is_stopped_is_named(url, other):
    other.send_signal(signal.SIGSTOP)
    with pytest.raises(errors.Timeout, match=f"in use by process {other.pid}, which does not answer"):
        warrenmq.connect(url, timeout=0.3)
    other.send_signal(signal.SIGCONT)
    warrenmq.connect(url).close()


def test_a_child_of_a_fork_opens_a_connection_of_its_own(url):
    with warrenmq.connect(url) as mq:
        answers = mq.queue("answers", durable=True)
        child = os.fork()
        if child == 0:
            with warrenmq.connect(url) as mine:
                mine.queue("answers", durable=True).send("from the child")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert answers.get(no_ack=True).text() == "from the child"


def test_a_transaction_that_was_committed_is_kept(url):
    with warrenmq.connect(url) as mq, mq.channel() as channel:
        tasks = channel.queue("tasks", durable=True)
        with channel.transaction():
            tasks.send("kept")
    with warrenmq.connect(url) as mq:
        assert mq.queue("tasks", durable=True).get(no_ack=True).text() == "kept"


def test_a_child_that_outlives_its_parent_does_not_keep_the_directory(url):
    program = """if True:
        import os, sys, time, warrenmq
        mq = warrenmq.connect(sys.argv[1])
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        print(child, flush=True)
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", program, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        child = int(parent.stdout.readline())
        try:
            with warrenmq.connect(url) as mq:
                reconnected = threading.Event()
                mq.on("reconnected", lambda _: reconnected.set())
                parent.kill()
                assert reconnected.wait(10)
                assert mq.queue("tasks", durable=True).send("hello").confirmed
        finally:
            os.kill(child, signal.SIGKILL)
