"""Frames and methods in and out of order, connections and channels that close. See `test_dialect.py`."""

import struct

from hostile.dialect.case import CLOSE_OK, LENIENT, QUEUE, case
from support.frames import (
    HEARTBEAT,
    body,
    channel_open,
    connection_open,
    content_header,
    frame,
    longstr,
    method,
    publish,
    shortstr,
    start_ok,
    tune_ok,
)
from support.methods import NO_ARGUMENTS, ack, close_channel, close_connection, declare, get, send

CASES = [
    case("open twice", channel_open(1), "connection.close 504 CHANNEL_ERROR - second 'channel.open' seen"),
    case(
        "open on 0",
        channel_open(0),
        "connection.close 504 CHANNEL_ERROR - unexpected method in connection state running",
    ),
    case("close unopened", close_channel(5), "connection.close 504 CHANNEL_ERROR - expected 'channel.open'"),
    case(
        "method on unopened",
        declare("x", 0, NO_ARGUMENTS, 5),
        "connection.close 504 CHANNEL_ERROR - expected 'channel.open'",
    ),
    case(
        "body on unopened",
        body(b"x", 5),
        "connection.close 505 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
    ),
    case(
        "header on unopened",
        content_header(1, channel=5),
        "connection.close 505 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
    ),
    case(
        "close-ok on unopened",
        method("channel.close-ok", channel=5),
        "connection.close 504 CHANNEL_ERROR - expected 'channel.open'",
    ),
    case(
        "close and reopen",
        close_channel(),
        "channel.close-ok",
        channel_open() + QUEUE,
        "channel.open-ok | queue.declare-ok 0 0",
    ),
    case(
        "error, then frames in flight",
        declare("missing", 1) + QUEUE + send("q") + get("q") + ack(4),
        "channel.close 404 NOT_FOUND - no queue 'missing' in vhost '/'",
        CLOSE_OK,
        "",
        channel_open() + QUEUE,
        "channel.open-ok | queue.declare-ok 0 0",
    ),
    case(
        "error, then open without close-ok",
        declare("missing", 1) + channel_open(),
        "channel.close 404 NOT_FOUND - no queue 'missing' in vhost '/' | "
        "connection.close 504 CHANNEL_ERROR - second 'channel.open' seen",
        CLOSE_OK,
        "",
        channel_open(),
        "",
    ),
    case(
        "error, crossing close",
        declare("missing", 1) + close_channel(),
        "channel.close 404 NOT_FOUND - no queue 'missing' in vhost '/' | channel.close-ok",
        CLOSE_OK,
        "",
        channel_open() + QUEUE,
        "channel.open-ok | queue.declare-ok 0 0",
    ),
    case(
        "error, garbage for closing channel",
        declare("missing", 1) + body(b"x") + content_header(4),
        "channel.close 404 NOT_FOUND - no queue 'missing' in vhost '/' | "
        "connection.close 505 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
        CLOSE_OK + channel_open(),
        "",
        warrenmq=["channel.close 404 NOT_FOUND - no queue 'missing' in vhost '/'", "channel.open-ok"],
        why=LENIENT,
    ),
    case(
        "error, half a publish in flight",
        declare("missing", 1) + publish("", "q"),
        "channel.close 404 NOT_FOUND - no queue 'missing' in vhost '/'",
        CLOSE_OK + channel_open() + QUEUE,
        "connection.close 505 UNEXPECTED_FRAME - expected content header for class 60, got non "
        "content header frame instead",
        warrenmq=[
            "channel.close 404 NOT_FOUND - no queue 'missing' in vhost '/'",
            "channel.open-ok | queue.declare-ok 0 0",
        ],
        why=LENIENT,
    ),
    case(
        "publish error, then body in flight",
        publish("nox", "q") + content_header(3) + body(b"abc") + send("q"),
        "channel.close 404 NOT_FOUND - no exchange 'nox' in vhost '/'",
        CLOSE_OK + channel_open() + QUEUE,
        "channel.open-ok | queue.declare-ok 0 0",
    ),
    case(
        "unsolicited close-ok on open",
        CLOSE_OK,
        "connection.close 503 COMMAND_INVALID - unimplemented method",
        QUEUE,
        "",
    ),
    case(
        "connection.open twice",
        connection_open(),
        "connection.close 504 CHANNEL_ERROR - unexpected method in connection state running",
    ),
    case(
        "start-ok again",
        start_ok(),
        "connection.close 504 CHANNEL_ERROR - unexpected method in connection state running",
    ),
    case(
        "tune-ok again", tune_ok(), "connection.close 504 CHANNEL_ERROR - unexpected method in connection state running"
    ),
    case(
        "connection.close-ok unsolicited",
        method("connection.close-ok", b"", 0),
        "connection.close 504 CHANNEL_ERROR - unexpected method in connection state running",
        QUEUE,
        "",
    ),
    case(
        "connection.blocked from client",
        method("connection.blocked", shortstr("x"), 0),
        "connection.close 504 CHANNEL_ERROR - unexpected method in connection state running",
    ),
    case(
        "update-secret",
        method("connection.update-secret", longstr("x") + shortstr("y"), 0),
        "connection.update-secret-ok",
        QUEUE,
        "queue.declare-ok 0 0",
    ),
    case(
        "secure-ok",
        method("connection.secure-ok", longstr("x"), 0),
        "connection.close 504 CHANNEL_ERROR - unexpected method in connection state running",
    ),
    case(
        "queue.declare on 0",
        declare("x", 0, NO_ARGUMENTS, 0),
        "connection.close 504 CHANNEL_ERROR - unexpected method in connection state running",
    ),
    case("connection.close on 1", close_connection(1), "connection.close 503 COMMAND_INVALID - unimplemented method"),
    case(
        "publish then method",
        publish("", "q") + QUEUE,
        "connection.close 505 UNEXPECTED_FRAME - expected content header for class 60, got non "
        "content header frame instead",
    ),
    case(
        "publish then body",
        publish("", "q") + body(b"x"),
        "connection.close 505 UNEXPECTED_FRAME - expected content header for class 60, got non "
        "content header frame instead",
    ),
    case(
        "header wrong class",
        publish("", "q") + content_header(1, class_id=50),
        "connection.close 505 UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
    ),
    case(
        "zero body frame then rest",
        QUEUE + publish("", "dq") + content_header(1) + body(b"") + body(b"y") + get("dq", 1),
        "queue.declare-ok 0 0 | basic.get-ok 1, 0 left",
    ),
    case(
        "empty content then body",
        publish("", "q") + content_header(0) + body(b"y"),
        "connection.close 505 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
    ),
    case(
        "body short then method",
        publish("", "q") + content_header(5) + body(b"x") + QUEUE,
        "connection.close 505 UNEXPECTED_FRAME - expected content body, got non content body frame instead",
    ),
    case(
        "header alone",
        content_header(5),
        "connection.close 505 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
    ),
    case(
        "deliver from client",
        method("basic.deliver", shortstr("t") + struct.pack(">QB", 1, 0) + shortstr("") + shortstr("k"))
        + content_header(1)
        + body(b"x"),
        "connection.close 503 COMMAND_INVALID - unimplemented method",
        QUEUE,
        "",
    ),
    case(
        "return from client",
        method("basic.return", struct.pack(">H", 312) + shortstr("t") + shortstr("") + shortstr("k"))
        + content_header(1)
        + body(b"x"),
        "connection.close 503 COMMAND_INVALID - unimplemented method",
        QUEUE,
        "",
    ),
    case(
        "get-empty from client",
        method("basic.get-empty", shortstr("")),
        "connection.close 503 COMMAND_INVALID - unimplemented method",
        QUEUE,
        "",
    ),
    case(
        "heartbeat on 1", frame(HEARTBEAT, 1, b""), "connection.close 505 UNEXPECTED_FRAME - type 8, all octets = <<>>"
    ),
    case(
        "close with reason then reuse",
        method("channel.close", struct.pack(">H", 404) + shortstr("reason") + struct.pack(">HH", 50, 10)),
        "channel.close-ok",
        channel_open(),
        "channel.open-ok",
    ),
    case("connection close", close_connection(0), "connection.close-ok"),
]
