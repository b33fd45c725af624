"""`local:PATH`: what is durable is there again."""

import subprocess
import sys

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


def test_another_process_is_told_who_has_the_directory(url):
    program = "import sys, warrenmq; mq = warrenmq.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(errors.ResourceLocked, match=f"in use by process {holder.pid}"):
            warrenmq.connect(url)
        holder.stdin.close()
        assert holder.wait(10) == 0
    warrenmq.connect(url).close()


def test_a_transaction_that_was_committed_is_kept(url):
    with warrenmq.connect(url) as mq, mq.channel() as channel:
        tasks = channel.queue("tasks", durable=True)
        with channel.transaction():
            tasks.send("kept")
    with warrenmq.connect(url) as mq:
        assert mq.queue("tasks", durable=True).get(no_ack=True).text() == "kept"
