"""A disk that is really full, in the middle of everything: a small file system of its own."""

import os
import subprocess
import threading
import time
from contextlib import suppress

import pika
import pytest

BODY = b"x" * 16_000
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def until(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


@pytest.fixture
def small(home):
    """A home with its data on a tmpfs of 16 MB, most of which `ballast` takes."""
    disk = home.directory / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("only who may mount a file system can have one that is full")
    home.data, home.ballast = disk / "data", disk / "ballast"
    home.ballast.write_bytes(bytes(10 << 20))
    yield home
    if home.broker:
        with suppress(ProcessLookupError):
            home.kill()
    subprocess.run(["umount", "-l", disk], check=True)


class Publisher(threading.Thread):
    """Publishes numbered messages, each when the one before is confirmed, until it is stopped or the broker goes."""

    def __init__(self, home, pause=0):
        super().__init__(daemon=True)
        self.pause = pause
        self.channel = home.connect().channel()
        self.channel.queue_declare("q", durable=True)
        self.channel.confirm_delivery()
        self.confirmed, self.stopped = -1, threading.Event()

    def run(self):
        with suppress(pika.exceptions.AMQPError):
            while not self.stopped.is_set():
                number = self.confirmed + 1
                self.channel.basic_publish("", "q", b"%d " % number + BODY, PERSISTENT)
                self.confirmed = number
                time.sleep(self.pause)


class Watcher:
    """Another connection that publishes, and hears of what is short."""

    def __init__(self, home):
        self.connection, self.heard = home.connect(), []
        self.connection.add_on_connection_blocked_callback(lambda *_: self.heard.append("blocked"))
        self.connection.add_on_connection_unblocked_callback(lambda *_: self.heard.append("unblocked"))
        self.channel = self.connection.channel()

    def hears(self, word):
        if not self.heard:
            self.channel.basic_publish("", "nobody", b"")  # only who publishes is told
        self.connection.process_data_events(0.05)
        return self.heard[-1:] == [word]


def prepare(home, *options, pause=0):
    """A broker with a queue `other` of ten messages, and one who fills the disk through `q`."""
    home.start("--segment-size", "1M", *options)
    channel = home.connect().channel()
    channel.queue_declare("other", durable=True)
    channel.confirm_delivery()
    for number in range(10):
        channel.basic_publish("", "other", b"%d" % number, PERSISTENT)
    publisher = Publisher(home, pause)
    publisher.start()
    return publisher


def take(home, queue):
    channel = home.connect().channel()
    got = iter(lambda: channel.basic_get(queue), (None, None, None))
    numbers = []
    for method, _, body in got:
        numbers.append(int(body.split()[0]))
        channel.basic_ack(method.delivery_tag)
    channel.queue_declare(queue, passive=True)  # so that the acks are processed
    return numbers


def free(home):
    stat = os.statvfs(home.data)
    return stat.f_bavail * stat.f_frsize


def test_publishers_wait_while_the_disk_is_full_and_consumers_go_on(small):
    publisher = prepare(small, "--disk-limit", "0")
    watcher = Watcher(small)
    until(lambda: watcher.hears("blocked"), "the broker says that it is blocked")
    assert free(small) < 1 << 20
    full = publisher.confirmed
    assert take(small, "other") == list(range(10))
    assert publisher.confirmed == full

    small.ballast.unlink()
    until(lambda: watcher.hears("unblocked"), "the broker says that it goes on")
    until(lambda: publisher.confirmed > full + 20, "messages are confirmed again")
    publisher.stopped.set()
    publisher.join(30)
    small.kill()
    small.start()
    assert take(small, "q") == list(range(publisher.confirmed + 1))
    assert take(small, "other") == []


def test_consuming_makes_room_on_a_full_disk(small):
    publisher = prepare(small, "--disk-limit", "0")
    watcher = Watcher(small)
    until(lambda: watcher.hears("blocked"), "the broker says that it is blocked")
    full = publisher.confirmed
    channel = small.connect().channel()
    taken = []
    while publisher.confirmed < full + 20:
        method, _, body = channel.basic_get("q")
        if method:
            taken.append(int(body.split()[0]))
            channel.basic_ack(method.delivery_tag)
    publisher.stopped.set()
    publisher.join(30)
    assert (taken + take(small, "q"))[: publisher.confirmed + 1] == list(range(publisher.confirmed + 1))


def test_a_broker_that_is_killed_on_a_full_disk_loses_nothing_and_starts_on_it(small):
    publisher = prepare(small, "--disk-limit", "0")
    watcher = Watcher(small)
    until(lambda: watcher.hears("blocked"), "the broker says that it is blocked")
    small.kill()
    publisher.join(30)
    confirmed = list(range(publisher.confirmed + 1))
    small.start("--segment-size", "1M", "--disk-limit", "0")
    assert take(small, "other") == list(range(10))
    assert take(small, "q")[: len(confirmed)] == confirmed


def test_publishers_are_held_back_before_the_disk_is_full(small):
    # The broker looks once a second.
    publisher = prepare(small, "--disk-limit", "4M", pause=0.02)
    watcher = Watcher(small)
    until(lambda: watcher.hears("blocked"), "the broker says that it is blocked")
    assert free(small) > 0
    full = publisher.confirmed
    small.ballast.unlink()
    until(lambda: watcher.hears("unblocked"), "the broker says that it goes on")
    until(lambda: publisher.confirmed > full + 5, "messages are confirmed again")
    publisher.stopped.set()
    publisher.join(30)
    assert take(small, "q") == list(range(publisher.confirmed + 1))
