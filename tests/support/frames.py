"""AMQP 0-9-1 frames by hand: enough to say wrong things, and to read what the server answers."""

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = b"\xce"
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

# (class, method) of what the suites send and expect, by the names of the specification.
METHODS = {
    "connection.start": (10, 10),
    "connection.start-ok": (10, 11),
    "connection.secure": (10, 20),
    "connection.secure-ok": (10, 21),
    "connection.tune": (10, 30),
    "connection.tune-ok": (10, 31),
    "connection.open": (10, 40),
    "connection.open-ok": (10, 41),
    "connection.close": (10, 50),
    "connection.close-ok": (10, 51),
    "connection.blocked": (10, 60),
    "connection.unblocked": (10, 61),
    "connection.update-secret": (10, 70),
    "connection.update-secret-ok": (10, 71),
    "channel.open": (20, 10),
    "channel.open-ok": (20, 11),
    "channel.flow": (20, 20),
    "channel.flow-ok": (20, 21),
    "channel.close": (20, 40),
    "channel.close-ok": (20, 41),
    "access.request": (30, 10),
    "access.request-ok": (30, 11),
    "exchange.declare": (40, 10),
    "exchange.declare-ok": (40, 11),
    "exchange.delete": (40, 20),
    "exchange.delete-ok": (40, 21),
    "exchange.bind": (40, 30),
    "exchange.bind-ok": (40, 31),
    "exchange.unbind": (40, 40),
    "exchange.unbind-ok": (40, 51),
    "queue.declare": (50, 10),
    "queue.declare-ok": (50, 11),
    "queue.bind": (50, 20),
    "queue.bind-ok": (50, 21),
    "queue.purge": (50, 30),
    "queue.purge-ok": (50, 31),
    "queue.delete": (50, 40),
    "queue.delete-ok": (50, 41),
    "queue.unbind": (50, 50),
    "queue.unbind-ok": (50, 51),
    "basic.qos": (60, 10),
    "basic.qos-ok": (60, 11),
    "basic.consume": (60, 20),
    "basic.consume-ok": (60, 21),
    "basic.cancel": (60, 30),
    "basic.cancel-ok": (60, 31),
    "basic.publish": (60, 40),
    "basic.return": (60, 50),
    "basic.deliver": (60, 60),
    "basic.get": (60, 70),
    "basic.get-ok": (60, 71),
    "basic.get-empty": (60, 72),
    "basic.ack": (60, 80),
    "basic.reject": (60, 90),
    "basic.recover-async": (60, 100),
    "basic.recover": (60, 110),
    "basic.recover-ok": (60, 111),
    "basic.nack": (60, 120),
    "confirm.select": (85, 10),
    "confirm.select-ok": (85, 11),
    "tx.select": (90, 10),
    "tx.select-ok": (90, 11),
    "tx.commit": (90, 20),
    "tx.commit-ok": (90, 21),
    "tx.rollback": (90, 30),
    "tx.rollback-ok": (90, 31),
}
NAMES = {ids: name for name, ids in METHODS.items()}


def shortstr(value):
    data = value if isinstance(value, bytes) else value.encode()
    return bytes([len(data)]) + data


def longstr(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">I", len(data)) + data


def table(**fields):
    """A field table of booleans, strings and nested tables; a `bytes` value is taken as encoded already."""
    encoded = b""
    for key, value in fields.items():
        encoded += shortstr(key)
        if isinstance(value, bytes):
            encoded += value
        elif isinstance(value, bool):
            encoded += b"t" + bytes([value])
        elif isinstance(value, dict):
            encoded += b"F" + table(**value)
        else:
            encoded += b"S" + longstr(value)
    return longstr(encoded)


def frame(kind, channel, payload, *, size=None, end=END):
    """One frame; `size` and `end` let it lie."""
    return struct.pack(">BHI", kind, channel, len(payload) if size is None else size) + payload + end


def method(name, arguments=b"", channel=1):
    ids = METHODS[name] if isinstance(name, str) else name
    return frame(METHOD, channel, struct.pack(">HH", *ids) + arguments)


def content_header(size, *, channel=1, class_id=60, weight=0, properties=b"\x00\x00"):
    return frame(HEADER, channel, struct.pack(">HHQ", class_id, weight, size) + properties)


def body(data, channel=1):
    return frame(BODY, channel, data)


def publish(exchange="", routing_key="", bits=0, channel=1):
    """basic.publish without its content; bits: 1 mandatory, 2 immediate."""
    arguments = b"\x00\x00" + shortstr(exchange) + shortstr(routing_key) + bytes([bits])
    return method("basic.publish", arguments, channel)


def message(data=b"x", exchange="", routing_key="", channel=1):
    """A whole publish: method, header, and the body in one frame."""
    frames = publish(exchange, routing_key, channel=channel) + content_header(len(data), channel=channel)
    return frames + (body(data, channel) if data else b"")


def start_ok(mechanism="PLAIN", response=b"\x00guest\x00guest", properties=None, locale="en_US"):
    known = table(capabilities={"authentication_failure_close": True}) if properties is None else properties
    return method("connection.start-ok", known + shortstr(mechanism) + longstr(response) + shortstr(locale), 0)


def tune_ok(channel_max=100, frame_max=131072, heartbeat=0):
    return method("connection.tune-ok", struct.pack(">HIH", channel_max, frame_max, heartbeat), 0)


def connection_open(vhost="/"):
    return method("connection.open", shortstr(vhost) + b"\x00\x00", 0)


def channel_open(channel=1):
    return method("channel.open", b"\x00", channel)


def queue_declare(queue, bits=0, arguments=b"\x00\x00\x00\x00", channel=1):
    """bits: 1 passive, 2 durable, 4 exclusive, 8 auto-delete, 16 no-wait."""
    return method("queue.declare", b"\x00\x00" + shortstr(queue) + bytes([bits]) + arguments, channel)


# A client may send all this without reading: the server's answers wait in the socket.
GREETING = PROTOCOL_HEADER + start_ok()
OPENED = GREETING + tune_ok() + connection_open()
CHANNEL = OPENED + channel_open()


@dataclass
class Frame:
    """A frame from the server. For a method, `name` is the specification's and `payload` its arguments."""

    kind: int
    channel: int
    payload: bytes
    name: str = ""

    @property
    def reply(self):
        """(code, text) of a close or a return."""
        (code,) = struct.unpack_from(">H", self.payload)
        return code, self.payload[3 : 3 + self.payload[2]].decode()


class Closed(Exception):
    """The server has closed the socket. `rest` is what came before and was no whole frame."""

    def __init__(self, rest=b""):
        super().__init__(f"closed by the server after {rest!r}")
        self.rest = rest


class Peer:
    """A TCP connection to the server that sends any bytes and reads frames."""

    def __init__(self, broker, timeout=20):
        self.socket = socket.create_connection((broker.host, broker.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heartbeats = 0  # received so far
        self._input = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Send what the server will take: it may hang up before it has read all."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def receive(self, answer_heartbeats=False):
        """The next frame that is not a heartbeat. Raises Closed, or TimeoutError."""
        while True:
            header = self._exactly(7)
            if header.startswith(b"AMQP"):
                raise Closed(header + self._exactly(1))
            kind, channel, size = struct.unpack(">BHI", header)
            payload = self._exactly(size + 1)
            assert payload[-1:] == END, f"the server's frame ends in {payload[-1:]!r}"
            if kind == METHOD:
                ids = struct.unpack_from(">HH", payload)
                return Frame(kind, channel, payload[4:-1], NAMES.get(ids, f"{ids[0]}.{ids[1]}"))
            if kind != HEARTBEAT:
                return Frame(kind, channel, payload[:-1])
            self.heartbeats += 1
            if answer_heartbeats:
                self.send(frame(HEARTBEAT, 0, b""))

    def until(self, *names):
        """The next method of one of these names; others before it are passed over."""
        while True:
            if (received := self.receive()).name in names:
                return received

    def reset(self):
        """Drop the connection with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def closed(self):
        """Read to the end of the connection; raises TimeoutError if it stays open."""
        try:
            while True:
                self.receive()
        except Closed:
            pass

    def _exactly(self, count):
        while len(self._input) < count:
            try:
                received = self.socket.recv(65536)
            except ConnectionResetError:
                received = b""
            if not received:
                raise Closed(self._input)
            self._input += received
        taken, self._input = self._input[:count], self._input[count:]
        return taken
