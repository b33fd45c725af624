"""A million messages leave the process as large as it was, and what is closed gives back what it had."""

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")

WORDS = """
    import gc, os, subprocess, sys, threading, tracemalloc, warrenmq

    def resident(process="self"):
        "MiB in memory."
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20

    def had(what):
        return len(os.listdir(f"/proc/self/{what}"))

    HOST = "import sys, warrenmq; mq = warrenmq.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"

    def host(url):
        "Another process that has the directory."
        process = subprocess.Popen([sys.executable, "-c", HOST, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    def pass_on(mq, count):
        "Sends messages and receives them, a thousand at a time."
        tasks = mq.queue("tasks")
        messages = tasks.consume(prefetch=1000)
        for _ in range(count // 1000):
            tasks.send_many([b"x" * 128] * 1000)
            for _ in range(1000):
                message = next(messages)
                message.body
                message.ack()
        messages.cancel()
        gc.collect()
"""


@pytest.fixture
def play(run):
    """Runs a program that knows the words above."""
    return lambda program, **options: run(WORDS + program, timeout=120, **options)


# What is freed is kept for a while, so that by MiB more is in use at some moments than at others: the least of several
# looks afterwards is compared with the most of those before.
MILLION = """
    def look(mq, choose):
        sizes = []
        for _ in range(4):
            pass_on(mq, 50_000)
            sizes.append([resident(process) for process in processes])
        return list(map(choose, zip(*sizes)))

    with warrenmq.connect(url) as mq:
        pass_on(mq, 200_000)
        before = look(mq, max)
        pass_on(mq, 1_000_000)
        grown = [after - size for after, size in zip(look(mq, min), before)]
    assert max(grown) < 4, f"it grew by {grown} MiB"
    """


def test_a_million_messages_within_the_process_leave_it_as_large_as_it_was(play):
    play(
        """
    url, processes = "inproc://", ["self"]"""
        + MILLION
    )


def test_a_million_messages_through_another_process_leave_both_as_large_as_they_were(play, tmp_path):
    play(
        f"""
    url = "local:{tmp_path / "queues"}"
    other = host(url)
    processes = ["self", other.pid]"""
        + MILLION
        + """
    other.communicate()
    """
    )


def test_no_python_object_stays_behind_a_message(play):
    play("""
    with warrenmq.connect("inproc://") as mq:
        pass_on(mq, 10_000)
        tracemalloc.start()
        pass_on(mq, 10_000)
        before, _ = tracemalloc.get_traced_memory()
        pass_on(mq, 50_000)
        after, _ = tracemalloc.get_traced_memory()
    assert after - before < 20_000, f"{after - before} bytes stayed"
    """)


def test_what_is_closed_gives_back_its_descriptors_and_threads(play, tmp_path):
    play(f"""
    import time

    def use(url):
        with warrenmq.connect(url) as mq:
            mq.on("reconnected", print)
            address = mq.listen() if url == "inproc://" else None
            with mq.serve("double", lambda number, message: number * 2):
                assert mq.call("double", 21) == 42
            tasks = mq.queue("tasks")
            tasks.consume()
            tasks.send("left unacknowledged")
            if address:
                use(f"amqp://{{address}}")

    def given_back():
        # The runtime keeps a few threads of its own for some seconds; the broker closes its sockets in its own time.
        return had("fd") <= descriptors and had("task") <= threads + 4

    attached, hosted = "local:{tmp_path / "attached"}", "local:{tmp_path / "hosted"}"
    other = host(attached)
    urls = ["inproc://", attached, hosted]
    for url in urls:
        use(url)
    gc.collect()
    time.sleep(0.5)
    descriptors, threads = had("fd"), had("task")
    for _ in range(10):
        for url in urls:
            use(url)
    gc.collect()
    patience = time.monotonic() + 20
    while not given_back() and time.monotonic() < patience:
        time.sleep(0.05)
    assert given_back(), (descriptors, had("fd"), threads, had("task"), threading.enumerate())
    other.communicate()
    """)
