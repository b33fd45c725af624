"""A blocking client that keeps nothing to itself: each frame from the broker is handed on as it came."""

import struct
from dataclasses import dataclass

from support import frames, methods
from support.frames import BODY, HEADER, Closed, Peer

CONNECTION_FORCED = 320  # the broker is stopping
DELIVERED = {"basic.deliver", "basic.get-ok", "basic.return"}


def _unexpected(taken):
    raise AssertionError(f"the broker sent {taken} instead of an answer")


class Refused(Exception):
    """The broker closed the channel or the connection; the code and text say why."""

    def __init__(self, frame):
        self.code, text = frame.reply
        super().__init__(f"{frame.name}: {self.code} {text}")


@dataclass
class Content:
    """A message that came: by which method, with its arguments; `properties` as they were on the wire."""

    name: str
    tag: int
    redelivered: bool
    properties: bytes
    body: bytes


class Client(Peer):
    """Connected, with one channel open. Raises Closed when the broker goes, Refused when it objects."""

    def __init__(self, broker):
        super().__init__(broker)
        self._reader = self.socket.makefile("rb", buffering=1 << 16)
        self.send(frames.CHANNEL)
        self._open("channel.open-ok")

    def __exit__(self, *_):
        self._reader.close()
        super().__exit__()

    def take(self):
        """What comes next: a Frame with a method, or a Content."""
        frame = self.receive()
        if frame.name == "connection.close":
            raise Closed() if frame.reply[0] == CONNECTION_FORCED else Refused(frame)
        if frame.name == "channel.close":
            self.send(frames.method("channel.close-ok") + frames.channel_open())
            self._open("channel.open-ok")
            raise Refused(frame)
        return self._content(frame) if frame.name in DELIVERED else frame

    def call(self, request, answer, aside=_unexpected):
        """Send a method and return its answer. What comes before it goes to `aside`."""
        self.send(request)
        while getattr(taken := self.take(), "name", None) != answer:
            aside(taken)
        return taken

    def ready(self, queue, aside):
        """Messages that wait in a queue."""
        payload = self.call(methods.declare(queue, bits=1), "queue.declare-ok", aside).payload
        return struct.unpack_from(">I", payload, 1 + payload[0])[0]

    def _open(self, answer):
        while (frame := self.receive()).name != answer:
            if frame.name == "connection.close":
                raise Refused(frame)

    def _content(self, frame):
        at = 1 + frame.payload[0] if frame.name == "basic.deliver" else 0
        tag, redelivered = struct.unpack_from(">Q?", frame.payload, at) if frame.name != "basic.return" else (0, False)
        header = self.receive()
        assert header.kind == HEADER, f"no content header after {frame.name}: {header}"
        size = struct.unpack_from(">Q", header.payload, 4)[0]
        parts, left = [], size
        while left > 0:
            part = self.receive()
            assert part.kind == BODY, f"no body after the header of {frame.name}: {part}"
            parts.append(part.payload)
            left -= len(part.payload)
        return Content(frame.name, tag, redelivered, header.payload[12:], b"".join(parts))

    def _exactly(self, count):
        """Many small frames: read through a buffer."""
        try:
            received = self._reader.read(count)
        except ConnectionResetError:
            received = b""
        if len(received) < count:
            raise Closed(received)
        return received
