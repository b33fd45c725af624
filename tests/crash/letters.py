"""The messages: who sent it and its number are in each, and the rest of it follows from these.

The first word of a publisher's name says what is special about its messages.
"""

import random
import re
import struct
from functools import lru_cache

from support import frames

PERSISTENT = 2
RANKED, UNIQUE, LATER, BRIEF = "ranked", "unique", "later", "brief"
RANKS = 5
# Property flags; headers, if any, are the first.
_HEADERS, _MODE, _PRIORITY, _MESSAGE_ID = 1 << 13, 1 << 12, 1 << 11, 1 << 7
_STAMP = re.compile(rb"([a-z.0-9]+) (\d+) ")


@lru_cache(maxsize=4096)
def body(publisher, number):
    """Mostly some hundred bytes, sometimes a page or two, rarely more than a frame takes."""
    chance = random.Random(f"{publisher}{number}")
    size = chance.choices(
        (chance.randrange(20, 300), chance.randrange(300, 9_000), chance.randrange(130_000, 300_000)),
        (1000, 20, 1),
    )[0]
    stamp = f"{publisher} {number} ".encode()
    return (stamp * (size // len(stamp) + 1))[: max(size, len(stamp))]


def rank(publisher):
    """The priority of its messages: of `ranked.3` 3, of others none."""
    kind, _, number = publisher.partition(".")
    return int(number) if kind == RANKED else None


def delay(number):
    """Of a delayed message, in milliseconds."""
    return 20 + number * 7919 % 600


def properties(publisher, number):
    """As on the wire: delivery mode and message id, and what is special."""
    flags, headers, rest = _MODE | _MESSAGE_ID, b"", bytes([PERSISTENT])
    if publisher == UNIQUE:
        headers = frames.shortstr("x-deduplication-header") + b"S" + frames.longstr(str(number))
    if publisher == LATER:
        headers = frames.shortstr("x-delay") + b"I" + struct.pack(">i", delay(number))
    if (priority := rank(publisher)) is not None:
        flags, rest = flags | _PRIORITY, rest + bytes([priority])
    if headers:
        flags, headers = flags | _HEADERS, frames.longstr(headers)
    return struct.pack(">H", flags) + headers + rest + frames.shortstr(f"{publisher}-{number}")


def header(received, name):
    """An integer among the headers that came; None when it is not there."""
    sizes = {b"l": ">q", b"I": ">i", b"s": ">h", b"L": ">q", b"i": ">I"}
    before, found, after = received.partition(frames.shortstr(name))
    return struct.unpack_from(sizes[after[:1]], after, 1)[0] if found else None


def without_headers(received):
    """Properties as they were published: a broker may count deliveries in a header (`x-delivery-count`)."""
    (flags,) = struct.unpack_from(">H", received)
    if not flags & _HEADERS:
        return received
    size = struct.unpack_from(">I", received, 2)[0]
    return struct.pack(">H", flags & ~_HEADERS) + received[6 + size :]


def frames_of(publisher, number, exchange, key):
    """A whole publish; the body is cut where the frame size ends."""
    content = body(publisher, number)
    parts = [frames.publish(exchange, key)]
    parts.append(frames.content_header(len(content), properties=properties(publisher, number)))
    most = 131072 - 8
    parts += [frames.body(content[at : at + most]) for at in range(0, len(content), most)]
    return b"".join(parts)


def sender(received):
    """(publisher, number) that a body names, or None."""
    match = _STAMP.match(received)
    return (match[1].decode(), int(match[2])) if match else None
