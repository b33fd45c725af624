"""Queues, exchanges, bindings, and the pseudo-queue of direct reply-to. See `test_dialect.py`."""

import struct

from hostile.dialect.case import CLOSE_OK, NOTIFY, QUEUE, REPLY_TO, case, property_at
from support.frames import channel_open, method, shortstr
from support.methods import (
    bind,
    bind_exchange,
    cancel,
    consume,
    declare,
    delete,
    delete_exchange,
    exchange,
    get,
    purge,
    send,
    table_of,
    unbind,
)

CASES = [
    case("declare passive missing", declare("nope", 1), "channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/'"),
    case(
        "declare amq.",
        declare("amq.mine"),
        "channel.close 403 ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
    ),
    case("passive amq.", declare("amq.mine", 1), "channel.close 404 NOT_FOUND - no queue 'amq.mine' in vhost '/'"),
    case("declare nowait", declare("dq", 4 | 16) + get("dq"), "basic.get-empty"),
    case(
        "declare nowait passive missing",
        declare("nope", 1 | 16),
        "channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/'",
    ),
    case(
        "redeclare durable",
        QUEUE + declare("dq", 4 | 8),
        "queue.declare-ok 0 0 | "
        "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'dq' in vhost '/': "
        "received 'true' but current is 'false'",
    ),
    case(
        "redeclare excl",
        QUEUE + declare("dq", 0),
        "queue.declare-ok 0 0 | "
        "channel.close 405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'dq' in vhost "
        "'/'. It could be originally declared on another connection or the exclusive property value does not "
        "match that of the original declaration.",
    ),
    case(
        "redeclare args",
        QUEUE + declare("dq", 4, table_of("x-expires", b"I", struct.pack(">I", 60000))),
        "queue.declare-ok 0 0 | "
        "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'dq' in vhost '/': "
        "received the value '60000' of type 'signedint' but current is none",
    ),
    case(
        "unknown args",
        declare("dq", 4, table_of("x-foo", b"I", struct.pack(">I", 1))) + declare("dq", 4),
        "queue.declare-ok 0 0 | queue.declare-ok 0 0",
    ),
    case(
        "declare linefeed",
        declare("line\nfeed", 4) + get("line\nfeed"),
        "queue.declare-ok 0 0 | channel.close 404 NOT_FOUND - no queue 'line\nfeed' in vhost '/'",
    ),
    case("delete missing", delete("nope"), "queue.delete-ok 0"),
    case(
        "delete if-empty",
        QUEUE + send("dq") + delete("dq", 2),
        "queue.declare-ok 0 0 | channel.close 406 PRECONDITION_FAILED - queue 'dq' in vhost '/' not empty",
    ),
    case("purge missing", purge("nope"), "channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/'"),
    case("purge nowait", QUEUE + send("dq") + purge("dq", 1) + get("dq"), "queue.declare-ok 0 0 | basic.get-empty"),
    case(
        "bind missing exchange",
        QUEUE + bind("dq", "nox"),
        "queue.declare-ok 0 0 | channel.close 404 NOT_FOUND - no exchange 'nox' in vhost '/'",
    ),
    case(
        "bind missing queue", bind("nope", "amq.direct"), "channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/'"
    ),
    case("bind both missing", bind("nope", "nox"), "channel.close 404 NOT_FOUND - no exchange 'nox' in vhost '/'"),
    case(
        "bind default",
        QUEUE + bind("dq", ""),
        "queue.declare-ok 0 0 | channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange",
    ),
    case(
        "bind empty queue no last",
        bind("", "amq.direct", "k"),
        "channel.close 404 NOT_FOUND - no previously declared queue",
    ),
    case("bind empty", declare("", 4) + bind("", "amq.direct", ""), "queue.declare-ok 0 0 | queue.bind-ok"),
    case(
        "bind nowait",
        QUEUE + bind("dq", "amq.direct", "k", 1) + send("k", exchange="amq.direct") + get("dq", 1),
        "queue.declare-ok 0 0 | basic.get-ok 1, 0 left",
    ),
    case("unbind missing binding", QUEUE + unbind("dq", "amq.direct", "zz"), "queue.declare-ok 0 0 | queue.unbind-ok"),
    case("unbind missing exchange", QUEUE + unbind("dq", "nox", "zz"), "queue.declare-ok 0 0 | queue.unbind-ok"),
    case("unbind missing queue", unbind("nope", "amq.direct", "zz"), "queue.unbind-ok"),
    case(
        "unbind default",
        QUEUE + unbind("dq", "", "dq"),
        "queue.declare-ok 0 0 | channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange",
    ),
    case(
        "xdeclare passive missing",
        exchange("nox", "direct", 1),
        "channel.close 404 NOT_FOUND - no exchange 'nox' in vhost '/'",
    ),
    case("xdeclare passive other type", exchange("amq.direct", "fanout", 1), "exchange.declare-ok"),
    case("xdeclare passive unknown type", exchange("amq.direct", "nope", 1), "exchange.declare-ok"),
    case(
        "xdeclare amq.",
        exchange("amq.x1"),
        "channel.close 403 ACCESS_REFUSED - exchange name 'amq.x1' contains reserved prefix 'amq.*'",
    ),
    case(
        "xdeclare default",
        exchange(""),
        "channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange",
    ),
    case(
        "xdeclare passive default",
        exchange("", "direct", 1),
        "channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange",
    ),
    case(
        "xredeclare type",
        exchange("x2", "direct", 0) + exchange("x2", "fanout", 0),
        "exchange.declare-ok | "
        "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x2' in vhost '/': "
        "received 'fanout' but current is 'direct'",
        CLOSE_OK + channel_open() + delete_exchange("x2"),
        "channel.open-ok | exchange.delete-ok",
    ),
    case(
        "xredeclare amq.direct transient",
        exchange("amq.direct", "direct", 0),
        "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'durable' for exchange "
        "'amq.direct' in vhost '/': received 'false' but current is 'true'",
    ),
    case(
        "xdelete default",
        delete_exchange(""),
        "channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange",
    ),
    case(
        "xdelete amq",
        delete_exchange("amq.direct"),
        "channel.close 403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    ),
    case("xdelete missing", delete_exchange("nox"), "exchange.delete-ok"),
    case(
        "xdelete if-unused",
        exchange("x3") + QUEUE + bind("dq", "x3") + delete_exchange("x3", 1),
        "exchange.declare-ok | queue.declare-ok 0 0 | queue.bind-ok | "
        "channel.close 406 PRECONDITION_FAILED - exchange 'x3' in vhost '/' in use",
        CLOSE_OK + channel_open() + delete_exchange("x3"),
        "channel.open-ok | exchange.delete-ok",
    ),
    case(
        "xdelete nowait",
        exchange("x4", "direct", 16) + delete_exchange("x4", 2) + exchange("x4", "direct", 1),
        "channel.close 404 NOT_FOUND - no exchange 'x4' in vhost '/'",
    ),
    case(
        "xbind default",
        bind_exchange("", "amq.direct"),
        "channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange",
    ),
    case(
        "xbind source default",
        bind_exchange("amq.direct", ""),
        "channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange",
    ),
    case(
        "xbind missing dest",
        bind_exchange("nox", "amq.direct"),
        "channel.close 404 NOT_FOUND - no exchange 'nox' in vhost '/'",
    ),
    case(
        "xbind missing source",
        bind_exchange("amq.direct", "nox"),
        "channel.close 404 NOT_FOUND - no exchange 'nox' in vhost '/'",
    ),
    case(
        "xbind/unbind",
        exchange("x5")
        + bind_exchange("x5", "amq.direct", "k")
        + bind_exchange("x5", "amq.direct", "k", how="exchange.unbind")
        + delete_exchange("x5"),
        "exchange.declare-ok | exchange.bind-ok | exchange.unbind-ok | exchange.delete-ok",
    ),
    case(
        "xbind nowait",
        exchange("x5")
        + bind_exchange("x5", "amq.direct", "k", 1)
        + bind_exchange("x5", "amq.direct", "k", 1, how="exchange.unbind")
        + delete_exchange("x5"),
        "exchange.declare-ok | exchange.delete-ok",
    ),
    case(
        "xunbind missing", bind_exchange("amq.direct", "amq.fanout", "k", how="exchange.unbind"), "exchange.unbind-ok"
    ),
    case(
        "reply-to with acks",
        consume(REPLY_TO, "t", 0),
        "channel.close 406 PRECONDITION_FAILED - reply consumer cannot acknowledge",
    ),
    case(
        "reply-to twice",
        consume(REPLY_TO, "t", 2) + consume(REPLY_TO, "u", 2),
        "basic.consume-ok | channel.close 406 PRECONDITION_FAILED - reply consumer already set",
    ),
    case(
        "reply-to cancel twice",
        consume(REPLY_TO, "t", 2) + cancel("t") + consume(REPLY_TO, "u", 2),
        "basic.consume-ok | basic.cancel-ok | basic.consume-ok",
    ),
    case(
        "reply-to publish without consumer",
        send("q", properties=property_at(9, REPLY_TO)),
        "channel.close 406 PRECONDITION_FAILED - fast reply consumer does not exist",
    ),
    case("reply-to declare passive", declare(REPLY_TO, 1), "queue.declare-ok 0 1"),
    case("reply-to declare", declare(REPLY_TO, 0), "queue.declare-ok 0 1"),
    case(
        "reply-to declare passive bogus",
        declare(REPLY_TO + ".xyz", 1),
        "channel.close 404 NOT_FOUND - no queue 'amq.rabbitmq.reply-to.xyz' in vhost '/'",
    ),
    case(
        "reply-to declare bogus",
        declare(REPLY_TO + ".xyz", 0),
        "channel.close 404 NOT_FOUND - no queue 'amq.rabbitmq.reply-to.xyz' in vhost '/'",
    ),
    case(
        "reply-to get",
        consume(REPLY_TO, "t", 2) + get(REPLY_TO),
        "basic.consume-ok | channel.close 404 NOT_FOUND - no queue 'amq.rabbitmq.reply-to' in vhost '/'",
    ),
    case("reply-to delete", delete(REPLY_TO), "queue.delete-ok 0"),
    case(
        "reply-to purge", purge(REPLY_TO), "channel.close 404 NOT_FOUND - no queue 'amq.rabbitmq.reply-to' in vhost '/'"
    ),
    case(
        "reply-to bind",
        bind(REPLY_TO, "amq.direct", "k"),
        "channel.close 404 NOT_FOUND - no queue 'amq.rabbitmq.reply-to' in vhost '/'",
    ),
    case("reply-to bogus mandatory", send(REPLY_TO + ".xyz", bits=1), "basic.return 312 NO_ROUTE"),
    case("reply-to literal mandatory", send(REPLY_TO, bits=1), "basic.return 312 NO_ROUTE"),
    case(
        "declare-ok from client",
        method("queue.declare-ok", shortstr("q") + struct.pack(">II", 1, 1)),
        "connection.close 503 COMMAND_INVALID - unimplemented method",
        QUEUE,
        "",
    ),
    case(
        "delete if-unused with a consumer",
        QUEUE + consume("dq", "t"),
        "queue.declare-ok 0 0 | basic.consume-ok",
        delete("dq", 1),
        "channel.close 406 PRECONDITION_FAILED - queue 'dq' in vhost '/' in use",
    ),
    case(
        "delete with a consumer that is not told",
        QUEUE + consume("dq", "t"),
        "queue.declare-ok 0 0 | basic.consume-ok",
        delete("dq"),
        "queue.delete-ok 0",
    ),
    case(
        "delete with a consumer that is told",
        QUEUE + consume("dq", "t"),
        "queue.declare-ok 0 0 | basic.consume-ok",
        delete("dq"),
        "queue.delete-ok 0 | basic.cancel",
        capabilities=NOTIFY,
    ),
]
