"""The messages: who sent it and its number are in each, and the rest of it follows from these."""

import random
import re
import struct
from functools import lru_cache

from support import frames

PERSISTENT = 2
_MODE, _MESSAGE_ID, _HEADERS = 1 << 12, 1 << 7, 1 << 13  # property flags; headers, if any, are the first
_STAMP = re.compile(rb"([a-z.]+) (\d+) ")


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


def properties(publisher, number):
    """Delivery mode and message id, as on the wire."""
    return struct.pack(">HB", _MODE | _MESSAGE_ID, PERSISTENT) + frames.shortstr(f"{publisher}-{number}")


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
