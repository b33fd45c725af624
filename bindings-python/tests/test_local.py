"""`local:PATH`: what is durable is there again, and processes share it."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

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


def stop(process):
    """Returns when it has stopped: the signal alone may find it at work for a while."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


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
        assert process.wait(20) in (0, -signal.SIGKILL)


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
    stop(other)
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
        mq = warrenmq.connect(sys.argv[1], listen="127.0.0.1:0")
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        print(child, *mq.listening, flush=True)
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", program, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        child, address = parent.stdout.readline().split()
        try:
            with warrenmq.connect(url) as mq:
                reconnected = threading.Event()
                mq.on("reconnected", lambda _: reconnected.set())
                parent.kill()
                assert reconnected.wait(10)
                assert mq.queue("tasks", durable=True).send("hello").confirmed
                assert status(url)["host"]["process"] == os.getpid()
                host, port = address.split(":")
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((host, int(port)))
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_host_that_hangs_is_named_to_who_awaits_something_and_goes_on_where_it_was(url, other):
    with warrenmq.connect(url, host_timeout=2) as mq:
        heard = queue.Queue()
        for event in ("unresponsive", "responsive", "reconnected"):
            mq.on(event, lambda about, event=event: heard.put((event, about)))
        tasks = mq.queue("tasks", durable=True)
        tasks.send("before")
        stop(other)
        begun = time.monotonic()
        named = f"process {other.pid}, which has the directory, has given no sign of life for 2s"
        with pytest.raises(errors.Timeout, match=named):
            tasks.send("unknown")
        assert time.monotonic() - begun < 5
        with pytest.raises(errors.Timeout, match=named):
            tasks.get()
        event, error = heard.get(timeout=5)
        assert (event, type(error)) == ("unresponsive", errors.Timeout)
        assert str(other.pid) in str(error)
        other.send_signal(signal.SIGCONT)
        assert heard.get(timeout=10) == ("responsive", None)
        # What was fetched for nobody is back, and what nobody knew of is there.
        assert sorted(tasks.get(no_ack=True).text() for _ in range(2)) == ["before", "unknown"]
        assert mq.call("double", 4, timeout=10) == 8
        assert heard.empty()


def test_when_a_host_that_hangs_is_killed_another_takes_over(url, other):
    with warrenmq.connect(url, host_timeout=2) as mq:
        heard = queue.Queue()
        for event in ("unresponsive", "reconnected"):
            mq.on(event, lambda _, event=event: heard.put(event))
        tasks = mq.queue("tasks", durable=True)
        stop(other)
        assert heard.get(timeout=10) == "unresponsive"
        with pytest.raises(errors.Timeout, match=f"process {other.pid}"):
            tasks.send("hello")
        other.kill()
        assert heard.get(timeout=10) == "reconnected"
        # It was reported as unknown; what is sent now is not.
        assert tasks.send("again").confirmed
        got = [message.text() for message in iter(lambda: tasks.get(no_ack=True), None)]
        assert got[-1] == "again"
        assert set(got[:-1]) <= {"hello"}
        other.wait()


def test_a_host_that_ends_hands_over_messages_that_are_not_durable(url):
    program = """if True:
        import sys, warrenmq
        mq = warrenmq.connect(sys.argv[1])
        passing = mq.queue("passing")
        for number in range(10):
            passing.send(number, persistent=number % 2 == 0)
        print("sent", flush=True)
        sys.stdin.read()
        {end}
    """
    for end in ("mq.close()", "sys.exit(0)", "pass"):
        program_ = program.replace("{end}", end)
        host = subprocess.Popen(
            [sys.executable, "-c", program_, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with host:
            assert host.stdout.readline() == "sent\n"
            with warrenmq.connect(url) as mq:
                reconnected = threading.Event()
                mq.on("reconnected", lambda _, event=reconnected: event.set())
                passing = mq.queue("passing", passive=True)
                first = passing.get()
                assert first.json() == 0
                host.stdin.close()
                assert host.wait(20) == 0
                assert reconnected.wait(10)
                got = [passing.get(no_ack=True) for _ in range(10)]
                assert [(message.json(), message.redelivered) for message in got] == [
                    (number, number == 0) for number in range(10)
                ]
                assert passing.get() is None


def test_amqp_clients_come_in_where_a_host_listens(url, other):
    with warrenmq.connect(url, listen="127.0.0.1:0") as mq:
        assert mq.listening == []  # another process hosts
        reconnected = threading.Event()
        mq.on("reconnected", lambda _: reconnected.set())
        other.stdin.close()
        assert other.wait(20) == 0
        assert reconnected.wait(10)
        mq.queue("tasks", durable=True).send("hello")
        deadline = time.monotonic() + 10
        while not mq.listening:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (address,) = mq.listening
        with warrenmq.connect(f"amqp://guest:guest@{address}") as client:
            assert client.queue("tasks", durable=True).get(no_ack=True).text() == "hello"
        assert f"amqp://{address}" in status(url)["host"]["listening"]
    with warrenmq.connect(url, listen=["127.0.0.1:0", "127.0.0.1:0"]) as mq:
        assert len(mq.listening) == 2
        assert [f"amqp://{address}" for address in mq.listening] == status(url)["host"]["listening"]
    with pytest.raises(errors.Unsupported):
        warrenmq.connect("amqp://127.0.0.1:1", listen="127.0.0.1:0")


def status(url):
    told = subprocess.run(
        [sys.executable, "-m", "warrenmq", "status", "--json", "--over", "0", url.removeprefix("local:")],
        capture_output=True,
        check=True,
        text=True,
    )
    return json.loads(told.stdout)


def test_the_status_of_a_directory_names_who_hosts_and_who_is_attached(url, other):
    with warrenmq.connect(url, name="looker") as mq:
        tasks = mq.queue("tasks", durable=True)
        tasks.send("hello")
        told = status(url)
        assert (told["host"]["process"], told["host"]["version"]) == (other.pid, warrenmq.__version__)
        assert sys.executable in told["host"]["command"]
        processes = {one["process"]: one for one in told["attached"]}
        assert set(processes) == {other.pid, os.getpid()}
        assert processes[os.getpid()]["name"] == "looker"
        assert processes[other.pid]["consumers"] == 1
        queues = {one["name"]: one for one in told["queues"]}
        assert (queues["tasks"]["ready"], queues["tasks"]["counts"]["published"]) == (1, 1)
