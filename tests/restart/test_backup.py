"""Backups: everything that was confirmed before is in them, whoever has the directory, and half of one is none."""

import signal
import threading
from contextlib import suppress

import pytest

from restart.everything import assert_furnished, confirming, furnish, publish, take


def backup(home, target):
    made = home.command("backup", home.data, target)
    assert made.returncode == 0, made.stderr
    checked = home.command("check", target)
    assert checked.returncode == 0, checked.stdout


def restore(home, source):
    (home.directory / "restored").mkdir()  # an empty one, as a mount is
    made = home.command("restore", source, home.directory / "restored")
    assert made.returncode == 0, made.stderr
    home.data = home.directory / "restored"


@pytest.mark.parametrize("owner", ["running", "stopped", "killed"])
def test_everything_that_is_kept_is_in_a_backup(home, owner):
    home.start()
    furnish(confirming(home))
    if owner == "stopped":
        home.stop()
    if owner == "killed":
        home.kill()
    copy = home.directory / "copy"
    backup(home, copy)
    if owner == "running":  # what happens now is not in it
        confirming(home).queue_purge("plain")
        confirming(home).queue_delete("quorum")
        home.kill()
    restore(home, copy)
    home.start()
    assert_furnished(home)


def test_a_backup_under_load_has_all_that_was_confirmed_before_and_in_order(home):
    home.start("--segment-size", "64K")
    done, enough, confirmed, answered = threading.Event(), threading.Semaphore(0), {}, []

    def load(queue):
        channel = confirming(home)
        channel.queue_declare(queue, durable=True)
        number = 0
        while not done.is_set():
            publish(channel, queue, b"%d " % number + b"x" * 500)
            confirmed[queue] = number
            number += 1
            enough.release()

    def declare():
        channel = confirming(home)
        while not done.is_set():  # a definition for messages that come after the moment of the messages
            name = f"new.{len(answered)}"
            channel.queue_declare(name, durable=True)
            publish(channel, name, b"0")
            answered.append(name)

    threads = [threading.Thread(target=load, args=(f"q{number}",)) for number in range(4)]
    threads.append(threading.Thread(target=declare))
    for thread in threads:
        thread.start()
    copies = []
    for round_ in range(3):
        for _ in range(200):
            assert enough.acquire(timeout=30)
        before, declared = dict(confirmed), len(answered)
        copies.append((home.directory / f"copy.{round_}", before, declared))
        backup(home, copies[-1][0])
    done.set()
    for thread in threads:
        thread.join()
    home.stop()

    for copy, before, declared in copies:
        home.data = copy
        home.start()
        channel = home.connect().channel()
        for queue, last in before.items():
            numbers = [int(body.split()[0]) for body, _, _ in take(channel, queue)]
            assert numbers == list(range(len(numbers))) and len(numbers) > last
        for name in answered[:declared]:
            assert channel.basic_get(name, auto_ack=True)[2] == b"0", name
        home.stop()


def test_a_backup_that_is_cut_short_is_not_there_and_the_next_one_is(home):
    home.start()
    furnish(confirming(home))
    copy = home.directory / "copy"
    half = home.directory / ".copy.partial"
    (half / "queues" / "1").mkdir(parents=True)
    (half / "queues" / "1" / "000.delivered").write_bytes(b"\0" * 16)
    assert "NOT_FOUND" in home.command("restore", half, home.directory / "restored").stderr
    backup(home, copy)
    assert not half.exists()


def test_a_broker_stops_while_a_backup_is_made_and_leaves_none_or_a_whole_one(home):
    home.start()
    furnish(confirming(home))
    copy = home.directory / "copy"
    made = threading.Thread(target=home.command, args=("backup", home.data, copy))
    made.start()
    home.broker.process.send_signal(signal.SIGTERM)
    assert home.broker.process.wait(30) == 0
    made.join()
    assert not copy.exists() or home.command("check", copy).returncode == 0


def test_what_cannot_be_backed_up_or_restored_is_said(home):
    running = home.start()
    furnish(confirming(home))
    copy, other, used = (home.directory / name for name in ("copy", "other", "used"))
    used.mkdir()
    (used / "letter.txt").touch()

    def refused(*arguments):
        done = home.command(*arguments)
        assert done.returncode == 1, done
        return done.stderr

    assert "something in this directory" in refused("backup", home.data, used)
    assert "in the directory of which" in refused("backup", home.data, home.data / "copy")
    assert "no data of a broker" in refused("backup", used, copy)
    backup(home, copy)
    assert f"is in use by process {running.process.pid}" in refused("restore", copy, home.data)
    assert "something in this directory" in refused("restore", copy, used)
    assert "no data of a broker" in refused("restore", used, other)
    (segment,) = copy.glob("queues/1/*.segment")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:200] + b"damaged" + whole[207:])
    assert "damaged in 1 places" in refused("restore", copy, other)
    segment.write_bytes(whole)
    (copy / "format").write_text("WarrenMQ data, format 2\n")
    assert "newer version: format 2" in refused("restore", copy, other)
    assert sorted(path.name for path in home.directory.iterdir()) == ["copy", "data", "used"]
    with suppress(ProcessLookupError):
        home.kill()
