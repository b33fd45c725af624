"""Every byte stream of `cases.py` gets its answer, and the client beside it notices nothing."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from hostile.cases import CASES
from support.frames import Closed, Peer, channel_open, method

PROBE = 3  # a channel that no case leaves open


@pytest.fixture(scope="session")
def attack(broker):
    """Runs a case to its end. RabbitMQ takes 3 s to hang up on a stranger, so there all are run at once."""
    if broker.name != "rabbitmq":
        yield lambda case: run(broker, case)
        return
    with ThreadPoolExecutor(len(CASES)) as pool:
        running = {case.name: pool.submit(run, broker, case) for case in CASES}
        yield lambda case: running[case.name].result()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer(neighbour, attack, case):
    attack(case)


def run(broker, case):
    answer, _, code = case.answer_of(broker.name).partition(" ")
    with Peer(broker) as peer:
        peer.send(case.sent)
        EXPECT[answer](peer, case, code)


def expect_connection_close(peer, case, code):
    received = peer.until("connection.close")
    assert received.channel == 0
    _check_reply(received, case, code)
    peer.send(method("connection.close-ok", channel=0))
    peer.closed()


def expect_channel_close(peer, case, code):
    received = peer.until("channel.close", "connection.close")
    assert received.name == "channel.close", f"the whole connection was closed: {received.reply}"
    assert received.channel == 1
    _check_reply(received, case, code)
    peer.send(method("channel.close-ok"))
    expect_unharmed(peer)


def expect_header(peer, *_):
    with pytest.raises(Closed) as closed:
        peer.receive()
    assert closed.value.rest == b"AMQP\x00\x00\x09\x01"


def expect_refused(peer, *_):
    while True:
        try:
            received = peer.receive()
        except Closed:
            return
        assert received.name in ("connection.start", "connection.tune", "connection.close")
        if received.name == "connection.close":
            peer.send(method("connection.close-ok", channel=0))


def expect_hangs_up(peer, *_):
    with pytest.raises(Closed):
        while True:
            received = peer.receive()
            assert received.name != "connection.close", received.reply


def expect_unharmed(peer, *_):
    """A new channel opens: frames are answered in order, so all that was sent has been dealt with."""
    peer.send(channel_open(PROBE))
    while True:
        received = peer.receive()
        assert received.name not in ("connection.close", "channel.close"), received.reply
        if (received.name, received.channel) == ("channel.open-ok", PROBE):
            return


def _check_reply(received, case, code):
    actual, text = received.reply
    assert actual == int(code), text
    assert re.search(case.text, text), text


EXPECT = {
    "connection.close": expect_connection_close,
    "channel.close": expect_channel_close,
    "header": expect_header,
    "refused": expect_refused,
    "hangs": expect_hangs_up,
    "unharmed": expect_unharmed,
}
