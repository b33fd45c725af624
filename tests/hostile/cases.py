"""Malformed and hostile byte streams, and what the server must answer.

Each case is all that one client sends, in one go. The answers:

`connection.close CODE`  the server closes the connection with this reply code, and after close-ok the socket
`channel.close CODE`     the server closes channel 1 only, and the connection goes on
`header`                 the server answers with its own protocol header and hangs up
`refused`                the server hangs up on a stranger, with or without a connection.close before
`hangs up`               the server closes the socket without a word
`unharmed`               the server goes on as if nothing were wrong

`answer` is what RabbitMQ 3.10 does. Where WarrenMQ is meant to do better, `warrenmq` is its answer and `why`
says what is better.
"""

import struct
from dataclasses import dataclass

from support.frames import (
    BODY,
    CHANNEL,
    GREETING,
    HEADER,
    HEARTBEAT,
    METHOD,
    OPENED,
    PROTOCOL_HEADER,
    body,
    channel_open,
    connection_open,
    content_header,
    frame,
    longstr,
    message,
    method,
    publish,
    queue_declare,
    shortstr,
    start_ok,
    table,
    tune_ok,
)


@dataclass(frozen=True)
class Case:
    name: str
    sent: bytes
    answer: str
    text: str = ""  # a regular expression for the reply text, searched for on both brokers
    warrenmq: str = ""
    why: str = ""

    def answer_of(self, broker):
        return self.warrenmq if self.warrenmq and broker == "warrenmq" else self.answer


def nested_table(depth):
    """A table in a table in a table …"""
    encoded = longstr(b"")
    for _ in range(depth):
        encoded = longstr(shortstr("a") + b"F" + encoded)
    return encoded


def nested_array(depth):
    """A table that holds an array in an array in an array …"""
    encoded = longstr(b"")
    for _ in range(depth):
        encoded = longstr(b"A" + encoded)
    return longstr(shortstr("a") + b"A" + encoded)


def table_of(count):
    return longstr(b"".join(shortstr(f"k{number}") + b"t\x01" for number in range(count)))


def tuned(**options):
    return GREETING + tune_ok(**options) + connection_open()


def exclusive_queue(arguments=b"\x00\x00\x00\x00"):
    return queue_declare("", 4, arguments)


QOS = bytes.fromhex("003c000a00000000000000")
SETTLE_42 = b"\x00\x00\x00\x00\x00\x00\x00\x2a\x00"
CLOSE_200 = b"\x00\xc8\x00\x00\x00\x00\x00"

TOLD = "a peer that has shown its password is told what is wrong"
NO_CRASH = "RabbitMQ's reader crashes and the peer learns nothing"
SHALLOW = "no client nests this deep, and every level costs the reader stack"

PROTOCOL_HEADERS = [
    Case("an HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "header"),
    Case("random bytes", bytes(range(255, -1, -1)), "header"),
    Case("a TLS handshake on the plain port", bytes.fromhex("16030100b8010000b40303") + bytes(200), "header"),
    Case("AMQP 1.0", b"AMQP\x00\x01\x00\x00", "header"),
    Case("AMQP 0-10", b"AMQP\x01\x01\x00\x0a", "header"),
    Case("AMQP 0-9-2", b"AMQP\x00\x00\x09\x02", "header"),
    Case("the protocol's name in lower case", b"amqp\x00\x00\x09\x01", "header"),
]

BEFORE_AUTHENTICATION = [
    Case("channel.open before start-ok", PROTOCOL_HEADER + channel_open(), "refused"),
    Case("tune-ok before start-ok", PROTOCOL_HEADER + tune_ok(), "refused"),
    Case("a frame of 2 GiB before tune", PROTOCOL_HEADER + struct.pack(">BHI", METHOD, 0, 1 << 31), "refused"),
    Case("a frame of 5000 bytes before tune", PROTOCOL_HEADER + frame(METHOD, 0, bytes(5000)), "refused"),
    Case("a bad frame end before tune", PROTOCOL_HEADER + start_ok()[:-1] + b"\x00", "refused"),
    Case("a truncated start-ok", PROTOCOL_HEADER + method("connection.start-ok", b"\x00\x00", 0), "refused"),
    Case(
        "client properties nested 500 deep",
        PROTOCOL_HEADER + start_ok(properties=nested_table(500)) + tune_ok() + connection_open(),
        "unharmed",
        warrenmq="refused",
        why=SHALLOW,
    ),
    Case(
        "client properties longer than their frame",
        PROTOCOL_HEADER + start_ok(properties=b"\x7f\xff\xff\xff"),
        "refused",
    ),
    Case("an unknown SASL mechanism", PROTOCOL_HEADER + start_ok("CRAM-MD5"), "refused"),
    Case(
        "a wrong password",
        PROTOCOL_HEADER + start_ok(response=b"\x00guest\x00wrong"),
        "connection.close 403",
        "^ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN",
    ),
    Case(
        "a wrong password, from a client that knows no authentication_failure_close",
        PROTOCOL_HEADER + start_ok(response=b"\x00guest\x00wrong", properties=table()),
        "hangs up",
    ),
    Case("PLAIN without its NULs", PROTOCOL_HEADER + start_ok(response=b"guest"), "refused"),
    Case("garbage as AMQPLAIN", PROTOCOL_HEADER + start_ok("AMQPLAIN", b"\xff" * 40), "refused"),
    Case(
        "AMQPLAIN without a password",
        PROTOCOL_HEADER + start_ok("AMQPLAIN", table(LOGIN="guest")[4:]),
        "refused",
    ),
]

OPENING = [
    Case(
        "AMQPLAIN as it should be",
        PROTOCOL_HEADER
        + start_ok("AMQPLAIN", table(LOGIN="guest", PASSWORD="guest")[4:])
        + tune_ok()
        + connection_open(),
        "unharmed",
    ),
    Case("a frame-max above the offer", tuned(frame_max=1 << 30), "hangs up", "", "connection.close 530", TOLD),
    Case("a frame-max of 0: no limit", tuned(frame_max=0), "hangs up", "", "connection.close 530", TOLD),
    Case("a frame-max below 4096", tuned(frame_max=4095), "hangs up", "", "connection.close 530", TOLD),
    Case("a channel-max above the offer", tuned(channel_max=65535), "hangs up", "", "connection.close 530", TOLD),
    Case("a channel-max of 0: no limit", tuned(channel_max=0), "hangs up", "", "connection.close 530", TOLD),
    Case("connection.open before tune-ok", GREETING + connection_open(), "refused"),
    Case("channel.open before connection.open", GREETING + tune_ok() + channel_open(), "connection.close 505"),
    Case(
        "an unknown vhost",
        GREETING + tune_ok() + connection_open("nowhere"),
        "connection.close 530",
        "^NOT_ALLOWED - vhost nowhere not found",
    ),
    Case("connection.open twice", OPENED + connection_open(), "connection.close 504"),
]

FRAMES = [
    Case(
        "a frame of 2 GiB",
        OPENED + struct.pack(">BHI", METHOD, 1, 1 << 31),
        "connection.close 501",
        "^FRAME_ERROR - type 1, ",
    ),
    Case(
        "a payload one byte above frame-max",
        CHANNEL + publish() + content_header(200_000) + frame(BODY, 1, bytes(131_073)),
        "connection.close 501",
        "^FRAME_ERROR - type 3, ",
    ),
    Case(
        "a payload as large as frame-max, from a client that forgets to count its frame's own 8 bytes",
        CHANNEL + publish() + content_header(200_000) + frame(BODY, 1, bytes(131_072)),
        "unharmed",
    ),
    Case(
        "a bad frame end",
        CHANNEL + frame(METHOD, 1, QOS, end=b"\x00"),
        "connection.close 501",
        "^FRAME_ERROR - type 1, ",
    ),
    Case("a frame size one byte short", CHANNEL + frame(METHOD, 1, QOS, size=len(QOS) - 1), "connection.close 501"),
    Case("frame type 99", CHANNEL + frame(99, 1, b"what"), "connection.close 501"),
    Case("frame type 0", CHANNEL + frame(0, 1, b""), "connection.close 501"),
    Case("a method frame without a method", CHANNEL + frame(METHOD, 1, b""), "connection.close 501"),
    Case("a method frame of three bytes", CHANNEL + frame(METHOD, 1, b"\x00\x3c\x00"), "connection.close 501"),
    Case("a heartbeat on channel 1", CHANNEL + frame(HEARTBEAT, 1, b""), "connection.close 505"),
    Case("a heartbeat with a payload", CHANNEL + frame(HEARTBEAT, 0, b"boo"), "connection.close 501"),
    Case("ten thousand heartbeats", CHANNEL + frame(HEARTBEAT, 0, b"") * 10_000, "unharmed"),
    Case("garbage after a good handshake", CHANNEL + b"\xde\xad\xbe\xef" * 64, "connection.close 501"),
]

CHANNELS = [
    Case(
        "a method on a channel never opened",
        OPENED + queue_declare("", 4, channel=7),
        "connection.close 504",
        "^CHANNEL_ERROR - expected 'channel.open'",
    ),
    Case("a body on a channel never opened", OPENED + body(b"x", channel=7), "connection.close 505"),
    Case("a content header on a channel never opened", OPENED + content_header(1, channel=7), "connection.close 505"),
    Case(
        "channel.open twice",
        CHANNEL + channel_open(),
        "connection.close 504",
        "^CHANNEL_ERROR - second 'channel.open' seen",
    ),
    Case(
        "more channels than channel-max",
        tuned(channel_max=2) + channel_open(1) + channel_open(2) + channel_open(3),
        "connection.close 530",
        "^NOT_ALLOWED - ",
    ),
    Case("channel.open on channel 0", OPENED + channel_open(0), "connection.close 504"),
    Case("queue.declare on channel 0", OPENED + queue_declare("", 4, channel=0), "connection.close 504"),
    Case("a content header on channel 0", OPENED + content_header(1, channel=0), "connection.close 505"),
    Case("connection.close-ok on channel 1", CHANNEL + method("connection.close-ok"), "connection.close 503"),
    Case("channel.close-ok out of the blue", CHANNEL + method("channel.close-ok"), "connection.close 503"),
]

METHODS = [
    Case("an unknown class", CHANNEL + method((99, 10)), "hangs up", "", "connection.close 540", NO_CRASH),
    Case("an unknown method", CHANNEL + method((50, 99)), "hangs up", "", "connection.close 540", NO_CRASH),
    Case("a method of servers", CHANNEL + method("basic.get-empty", b"\x00"), "connection.close 503"),
    Case("truncated arguments", CHANNEL + method("queue.declare", b"\x00\x00"), "connection.close 501"),
    Case(
        "a short string longer than its frame",
        CHANNEL + method("queue.declare", b"\x00\x00\xffabc"),
        "connection.close 501",
    ),
    Case("a queue name that is no UTF-8", CHANNEL + queue_declare(b"\xff\xfe\x80", 4), "connection.close 501"),
    Case("a table longer than its frame", CHANNEL + exclusive_queue(b"\x7f\xff\xff\xff"), "connection.close 501"),
    Case(
        "a table that ends inside a key",
        CHANNEL + exclusive_queue(longstr(b"\x09abc")),
        "hangs up",
        warrenmq="connection.close 501",
        why=NO_CRASH,
    ),
    Case(
        "a table that ends inside a value",
        CHANNEL + exclusive_queue(longstr(b"\x01aI\x00")),
        "hangs up",
        warrenmq="connection.close 501",
        why=NO_CRASH,
    ),
    Case(
        "a table longer than the table it is in",
        CHANNEL + exclusive_queue(longstr(b"\x01aF\x00\x00\xff\xff")),
        "hangs up",
        warrenmq="connection.close 501",
        why=NO_CRASH,
    ),
    Case(
        "a value of an unknown type",
        CHANNEL + exclusive_queue(longstr(b"\x01aZ\x00")),
        "hangs up",
        warrenmq="connection.close 502",
        why=NO_CRASH,
    ),
    Case(
        "a table nested 10,000 deep",
        CHANNEL + exclusive_queue(nested_table(10_000)),
        "unharmed",
        warrenmq="connection.close 502",
        why=SHALLOW,
    ),
    Case(
        "an array nested 10,000 deep",
        CHANNEL + exclusive_queue(nested_array(10_000)),
        "unharmed",
        warrenmq="connection.close 502",
        why=SHALLOW,
    ),
    Case("a table of 10,000 keys", CHANNEL + exclusive_queue(table_of(10_000)), "unharmed"),
]

CONTENT = [
    Case("a content header without a publish", CHANNEL + content_header(1), "connection.close 505"),
    Case("a body without a publish", CHANNEL + body(b"x"), "connection.close 505"),
    Case("a body without a content header", CHANNEL + publish() + body(b"x"), "connection.close 505"),
    Case(
        "a method in the midst of a content",
        CHANNEL + publish() + content_header(10) + body(b"12345") + exclusive_queue(),
        "connection.close 505",
    ),
    Case("a second publish instead of a content header", CHANNEL + publish() + publish(), "connection.close 505"),
    Case(
        "a body longer than declared",
        CHANNEL + publish() + content_header(3) + body(b"12345"),
        "unharmed",
        warrenmq="connection.close 501",
        why="RabbitMQ passes the message on with all five bytes, though three were declared",
    ),
    Case(
        "a content header of another class",
        CHANNEL + publish() + content_header(1, class_id=50),
        "connection.close 505",
    ),
    Case("a content header with a weight", CHANNEL + publish() + content_header(1, weight=1), "connection.close 505"),
    Case(
        "a content header cut short",
        CHANNEL + publish() + frame(HEADER, 1, b"\x00\x3c\x00\x00\x00"),
        "connection.close 501",
    ),
    Case(
        "properties longer than their header",
        CHANNEL + publish() + content_header(1, properties=b"\x80\x00\xffabc") + body(b"x"),
        "connection.close 541",
        warrenmq="connection.close 501",
        why="the frame is at fault, not the broker",
    ),
    Case(
        "a body of 2^63 bytes",
        CHANNEL + publish() + content_header(1 << 63),
        "unharmed",
    ),
    Case(
        "a body one byte above the largest, 128 MiB",
        CHANNEL + publish() + content_header((128 << 20) + 1),
        "unharmed",
    ),
    Case("a content header and never its body", CHANNEL + publish() + content_header(10), "unharmed"),
    Case(
        "an empty body frame in the midst of a content",
        CHANNEL + publish() + content_header(2) + body(b"1") + body(b"") + body(b"2"),
        "unharmed",
    ),
    Case(
        "channel.close in the midst of a content",
        CHANNEL + publish() + content_header(10) + body(b"12345") + method("channel.close", CLOSE_200),
        "connection.close 505",
    ),
]

SEMANTICS = [
    Case(
        "an immediate publish",
        CHANNEL + publish(bits=2) + content_header(0),
        "connection.close 540",
        "^NOT_IMPLEMENTED - immediate=true",
    ),
    Case(
        "a prefetch size",
        CHANNEL + method("basic.qos", b"\x00\x00\x00\x01\x00\x00\x00"),
        "connection.close 540",
        "^NOT_IMPLEMENTED - prefetch_size!=0",
    ),
    Case(
        "fifty publishes to an unknown exchange, and methods after them",
        CHANNEL + message(exchange="nowhere") * 50 + exclusive_queue() + method("basic.ack", SETTLE_42),
        "channel.close 404",
        "^NOT_FOUND - no exchange 'nowhere' in vhost '/'",
    ),
    Case(
        "an ack of an unknown tag",
        CHANNEL + method("basic.ack", SETTLE_42),
        "channel.close 406",
        "^PRECONDITION_FAILED - unknown delivery tag 42",
    ),
    Case(
        "a nack of an unknown tag",
        CHANNEL + method("basic.nack", SETTLE_42),
        "channel.close 406",
        "^PRECONDITION_FAILED - unknown delivery tag 42",
    ),
]

CASES = [
    *PROTOCOL_HEADERS,
    *BEFORE_AUTHENTICATION,
    *OPENING,
    *FRAMES,
    *CHANNELS,
    *METHODS,
    *CONTENT,
    *SEMANTICS,
]
