"""A process that forks: the child is told that what it has is the parent's, and can start afresh."""

import pytest

# The parent holds everything that there is, and has threads in the middle of everything, when it forks.
BUSY = """
    import os, threading, time, warrenmq

    broker = warrenmq.connect("inproc://busy")
    mq = warrenmq.connect(f"amqp://{broker.listen()}") if "AMQP" else broker
    queue, exchange, channel = mq.queue("tasks"), mq.exchange("x", "fanout"), mq.channel()
    consumer, quiet = queue.consume(), mq.queue("quiet").consume()
    queue.send_many(["a"] * 5)
    message = next(consumer)
    server = mq.serve("double", lambda n, message: 2 * n)
    assert mq.call("double", 21) == 42

    def produce():
        while True:
            queue.send(b"x" * 100)
            if queue.info().message_count > 10_000:
                queue.purge()

    def receive():
        for message in queue.consume():
            message.ack()

    for work in produce, receive, quiet.get:
        threading.Thread(target=work, daemon=True).start()
    time.sleep(0.05)
"""

CHILD = """
    def in_child():
        for use in (
            lambda: queue.send("x"), lambda: queue.send_many(["x"]), lambda: exchange.publish("x"), queue.get,
            queue.info, queue.consume, mq.channel, lambda: channel.queue("y"), lambda: mq.call("double", 1),
            consumer.get, consumer.cancel, lambda: next(consumer), message.ack, message.nack, broker.listen, mq.close,
        ):
            try:
                use()
            except warrenmq.Forked as error:
                assert error.reply_code == 1008 and "open a new connection" in str(error)
            else:
                raise AssertionError("the child could use the parent's connection")
        assert message.text() == "a"
        assert not mq.is_open
        with warrenmq.connect("inproc://busy") as own:
            tasks = own.queue("tasks")
            assert tasks.message_count == 0
            tasks.send("mine")
            with tasks.consume() as mine:
                got = next(mine)
                got.ack()
                assert got.text() == "mine"
            with own.serve("triple", lambda n, message: 3 * n):
                assert own.call("triple", 2) == 6
            own.listen()
"""


@pytest.fixture(params=["inproc", "amqp"])
def busy(request):
    """The parent's program, up to the fork."""
    return BUSY.replace('"AMQP"', str(request.param == "amqp"))


def test_in_the_child_of_a_fork_the_connections_of_the_parent_say_so_and_new_ones_work(run, busy):
    program = busy + CHILD
    program += """
    for _ in range(10):
        child = os.fork()
        if child == 0:
            in_child()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
    assert mq.call("double", 21) == 42
    print("parent goes on")
    """
    assert run(program, timeout=60) == "parent goes on\n"


def test_a_child_that_exits_as_python_does_does_not_hang(run, busy):
    program = busy
    program += """
    import sys

    for _ in range(5):
        child = os.fork()
        if child == 0:
            fresh = warrenmq.connect("inproc://fresh")
            left_open = fresh.queue("q").consume()
            del queue, exchange, channel, consumer, quiet, message, server, mq, broker
            sys.exit(7)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, status
    print("done")
    """
    assert run(program, timeout=60) == "done\n"


def test_children_of_children_work_too(run):
    program = """
    import os, warrenmq

    def generation(left):
        with warrenmq.connect("inproc://line") as mq:
            queue = mq.queue("tasks")
            assert queue.message_count == 0
            queue.send("x")
            assert queue.get(no_ack=True).text() == "x"
            if left:
                child = os.fork()
                if child == 0:
                    generation(left - 1)
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0

    generation(5)
    print("done")
    """
    assert run(program, timeout=60) == "done\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works_by_any_method(tmp_path, method):
    import subprocess
    import sys

    program = tmp_path / "program.py"
    program.write_text(f"""
import multiprocessing, warrenmq

mq = warrenmq.connect("inproc://parent")
mq.queue("tasks").send("the parent's")

def work(n):
    with warrenmq.connect("inproc://parent") as own:
        queue = own.queue(f"tasks {{n}}")
        queue.send({{"n": n}})
        return queue.get(no_ack=True).json()["n"]

def fail(_):
    with warrenmq.connect("inproc://") as own:
        own.queue("missing", passive=True)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    with context.Pool(2) as pool:
        assert pool.map(work, range(20)) == list(range(20))
        try:
            pool.map(fail, [1])
        except warrenmq.NotFound as error:
            print(error.reply_code)
    assert mq.queue("tasks").info().message_count == 1
""")
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "404\n"), ended.stderr
