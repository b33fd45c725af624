"""Word by word: what each method is answered with, and with which words what is wrong is refused.

A case is a conversation on one channel: something is sent, and exactly these answers come, in this order. The
answers are RabbitMQ's; where WarrenMQ is meant to answer otherwise, the case says so and why (`dialect.py`).
"""

import re
import struct

import pytest

from hostile.dialect import CASES
from support.frames import (
    METHOD,
    PROTOCOL_HEADER,
    Closed,
    Peer,
    channel_open,
    connection_open,
    method,
    start_ok,
    table,
    tune_ok,
)
from support.methods import close_connection, qos


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_dialect(broker, case):
    with Peer(broker, timeout=10) as peer:
        talk(peer, case, broker.name)


def talk(peer, case, broker):
    capabilities = {"authentication_failure_close": True, **case.capabilities}
    greeting = start_ok(properties=table(capabilities=capabilities))
    peer.send(PROTOCOL_HEADER + greeting + tune_ok() + connection_open() + channel_open())
    peer.until("channel.open-ok")
    said = None
    for sent, answers in case.talk(broker):
        peer.send(sent)
        for answer in answers:
            said = listen(peer)
            assert said == answer
    nothing_more(peer, said or "")


def listen(peer):
    """The next answer in short; contents are passed over, their headers and bodies being told elsewhere."""
    while True:
        try:
            frame = peer.receive()
        except Closed:
            return "closed"
        if frame.kind == METHOD:
            break
    said = frame.name
    payload = frame.payload
    if said in ("connection.close", "channel.close", "basic.return"):
        code, text = frame.reply
        said += f" {code} {re.sub(r'amq.gen-[^ ]*', 'amq.gen', text)}"
    elif said == "queue.declare-ok":
        said += " {} {}".format(*struct.unpack(">II", payload[-8:]))
    elif said in ("queue.purge-ok", "queue.delete-ok"):
        said += " {}".format(*struct.unpack(">I", payload))
    elif said == "basic.get-ok":
        tag, again = struct.unpack_from(">QB", payload)
        said += f" {tag}{' again' if again else ''}, {struct.unpack('>I', payload[-4:])[0]} left"
    elif said == "basic.deliver":
        tag, again = struct.unpack_from(">QB", payload, 1 + payload[0])
        said += f" {tag}{' again' if again else ''}"
    elif said in ("basic.ack", "basic.nack"):
        tag, multiple = struct.unpack_from(">QB", payload)
        said += f" {tag}{' and before' if multiple else ''}"
    if said.startswith("connection.close "):
        peer.send(method("connection.close-ok", channel=0))
    return said


def nothing_more(peer, last):
    """What is asked now is answered next: so nothing else was to come."""
    if last.startswith("connection.close "):
        assert listen(peer) == "closed"
    elif last.startswith("channel.close "):
        peer.send(method("channel.close-ok") + channel_open())
        assert listen(peer) == "channel.open-ok"
    elif last == "channel.close-ok":
        peer.send(channel_open())
        assert listen(peer) == "channel.open-ok"
    elif last != "connection.close-ok":
        peer.send(qos())
        assert listen(peer) == "basic.qos-ok"
    if not last.startswith("connection.close"):
        peer.send(close_connection())  # after close-ok the exclusive queue is gone
        assert listen(peer) == "connection.close-ok"
