"""Files that were damaged: the rest is served, and what is wrong is said and mended."""

import pika
import pytest

MESSAGES = 100


def segments(home):
    return sorted(home.data.glob("queues/*/*.segment"))


@pytest.fixture
def damaged(home):
    """A directory with a queue of which one message cannot be read."""
    home.start()
    channel = home.connect().channel()
    channel.queue_declare("q", durable=True)
    channel.confirm_delivery()
    for number in range(MESSAGES):
        channel.basic_publish("", "q", b"message %d" % number, pika.BasicProperties(delivery_mode=2))
    home.stop()
    (segment,) = segments(home)
    content = bytearray(segment.read_bytes())
    content[content.index(b"message 50")] ^= 0xFF
    segment.write_bytes(content)
    return home


def test_the_rest_of_a_damaged_queue_is_served_and_the_damage_is_set_aside(damaged):
    damaged.start()
    channel = damaged.connect().channel()
    got = [body for _, _, body in iter(lambda: channel.basic_get("q", auto_ack=True), (None, None, None))]
    assert got == [b"message %d" % number for number in range(MESSAGES) if number != 50]
    (aside,) = damaged.data.glob("queues/*/damaged-*")
    assert b"essage 50" in aside.read_bytes()


def test_check_names_the_place_and_repair_mends_it(damaged):
    (segment,) = segments(damaged)
    found = damaged.command("check", damaged.data)
    assert found.returncode == 1
    assert "queue 'q' in vhost '/'" in found.stdout and f"{segment}, offset " in found.stdout, found.stdout
    assert "--repair" in found.stderr
    mended = damaged.command("check", damaged.data, "--repair")
    assert mended.returncode == 0 and "mended" in mended.stdout, mended
    assert damaged.command("check", damaged.data).stdout.startswith("queue 'q' in vhost '/' (1): 99 messages")


def test_a_directory_that_a_broker_has_is_not_checked(home):
    home.start()
    refused = home.command("check", home.data)
    assert refused.returncode == 1 and "in use by process" in refused.stderr, refused
