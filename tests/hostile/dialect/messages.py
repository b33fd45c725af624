"""Publishing, consuming, settling; confirms and transactions. See `test_dialect.py`."""

import struct

from hostile.dialect.case import CLOSE_OK, QUEUE, case, property_at
from support.frames import channel_open, longstr, method, shortstr, table
from support.methods import (
    ack,
    cancel,
    consume,
    declare,
    delete,
    delete_exchange,
    exchange,
    get,
    nack,
    purge,
    qos,
    recover,
    reject,
    select,
    send,
)

CASES = [
    case("immediate", send("q", bits=2), "connection.close 540 NOT_IMPLEMENTED - immediate=true"),
    case(
        "missing exchange",
        send("q", exchange="nox"),
        "channel.close 404 NOT_FOUND - no exchange 'nox' in vhost '/'",
        CLOSE_OK + channel_open(),
        "channel.open-ok",
    ),
    case(
        "missing exchange, confirm",
        select() + send("q") + send("q", exchange="nox"),
        "confirm.select-ok | basic.ack 1 | channel.close 404 NOT_FOUND - no exchange 'nox' in vhost '/'",
    ),
    case(
        "internal exchange",
        exchange("xi", "direct", 0b1010) + send("q", exchange="xi"),
        "exchange.declare-ok | "
        "channel.close 403 ACCESS_REFUSED - cannot publish to internal exchange 'xi' in vhost '/'",
        CLOSE_OK + channel_open() + delete_exchange("xi"),
        "channel.open-ok | exchange.delete-ok",
    ),
    case("mandatory unroutable", send("nobody", bits=1), "basic.return 312 NO_ROUTE"),
    case(
        "mandatory unroutable then declare",
        send("nobody", bits=1) + QUEUE,
        "basic.return 312 NO_ROUTE | queue.declare-ok 0 0",
    ),
    case(
        "mandatory unroutable confirm",
        select() + send("nobody", bits=1) + QUEUE,
        "confirm.select-ok | basic.return 312 NO_ROUTE | basic.ack 1 | queue.declare-ok 0 0",
    ),
    case(
        "publish then purge", QUEUE + send("dq") + send("dq") + purge("dq"), "queue.declare-ok 0 0 | queue.purge-ok 2"
    ),
    case(
        "publish then delete",
        QUEUE + send("dq") + send("dq") + delete("dq"),
        "queue.declare-ok 0 0 | queue.delete-ok 2",
    ),
    case("qos size", qos(1, 1), "connection.close 540 NOT_IMPLEMENTED - prefetch_size!=0 (1)"),
    case("qos global", qos(0, 3, 1) + qos(0, 0, 1) + qos(0, 5, 0), "basic.qos-ok | basic.qos-ok | basic.qos-ok"),
    case("consume missing", consume("nope"), "channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/'"),
    case("consume own tag empty", QUEUE + consume("dq"), "queue.declare-ok 0 0 | basic.consume-ok"),
    case("consume nowait", QUEUE + consume("dq", "a", 8) + send("dq"), "queue.declare-ok 0 0 | basic.deliver 1"),
    case(
        "consume no-local",
        QUEUE + consume("dq", "a", 1) + send("dq"),
        "queue.declare-ok 0 0 | basic.consume-ok | basic.deliver 1",
    ),
    case(
        "consume bad priority",
        QUEUE + consume("dq", "a", 0, table(**{"x-priority": "high"})),
        "queue.declare-ok 0 0 | "
        "channel.close 406 PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'dq' in vhost '/': "
        '"expected integer, got longstr"',
    ),
    case("cancel unknown", cancel("zz"), "basic.cancel-ok"),
    case("cancel unknown nowait", cancel("zz", 1) + QUEUE, "queue.declare-ok 0 0"),
    case(
        "cancel",
        QUEUE + consume("dq", "a"),
        "queue.declare-ok 0 0 | basic.consume-ok",
        cancel("a"),
        "basic.cancel-ok",
        send("dq") + get("dq", 1),
        "basic.get-ok 1, 0 left",
    ),
    case(
        "cancel-ok from client",
        method("basic.cancel-ok", shortstr("a")),
        "connection.close 503 COMMAND_INVALID - unimplemented method",
        QUEUE,
        "",
    ),
    case("get missing", get("nope"), "channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/'"),
    case("get empty", QUEUE + get("dq"), "queue.declare-ok 0 0 | basic.get-empty"),
    case(
        "get and ack twice",
        QUEUE + send("dq") + get("dq") + ack(1) + ack(1),
        "queue.declare-ok 0 0 | basic.get-ok 1, 0 left | "
        "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 1",
    ),
    case(
        "get noack then ack",
        QUEUE + send("dq") + get("dq", 1) + ack(1),
        "queue.declare-ok 0 0 | basic.get-ok 1, 0 left | "
        "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 1",
    ),
    case("ack unknown", ack(7), "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 7"),
    case("ack 0", ack(0), "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 0"),
    case("ack 0 multiple", ack(0, 1) + QUEUE, "queue.declare-ok 0 0"),
    case("nack 0 multiple", nack(0, 1) + QUEUE, "queue.declare-ok 0 0"),
    case(
        "ack multiple unknown",
        QUEUE + send("dq") + get("dq") + ack(9, 1),
        "queue.declare-ok 0 0 | basic.get-ok 1, 0 left | "
        "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 9",
    ),
    case("nack unknown", nack(7), "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 7"),
    case("reject unknown", reject(7), "channel.close 406 PRECONDITION_FAILED - unknown delivery tag 7"),
    case(
        "nack requeue",
        QUEUE + send("dq") + get("dq") + nack(1, 2) + get("dq"),
        "queue.declare-ok 0 0 | basic.get-ok 1, 0 left | basic.get-ok 2 again, 0 left",
    ),
    case(
        "reject requeue",
        QUEUE + send("dq") + get("dq") + reject(1, 1) + get("dq"),
        "queue.declare-ok 0 0 | basic.get-ok 1, 0 left | basic.get-ok 2 again, 0 left",
    ),
    case("recover false", recover(0), "connection.close 540 NOT_IMPLEMENTED - requeue=false"),
    case(
        "recover true",
        QUEUE + send("dq") + get("dq") + recover(1) + get("dq", 1),
        "queue.declare-ok 0 0 | basic.get-ok 1, 0 left | basic.recover-ok | basic.get-ok 2 again, 0 left",
    ),
    case(
        "recover-async false", recover(0, "basic.recover-async"), "connection.close 540 NOT_IMPLEMENTED - requeue=false"
    ),
    case(
        "recover-async true",
        QUEUE + send("dq") + get("dq") + recover(1, "basic.recover-async") + get("dq", 1),
        "queue.declare-ok 0 0 | basic.get-ok 1, 0 left | basic.get-ok 2 again, 0 left",
    ),
    case(
        "recover with consumer",
        QUEUE + send("dq") + consume("dq", "t"),
        "queue.declare-ok 0 0 | basic.consume-ok | basic.deliver 1",
        recover(1),
        "basic.recover-ok | basic.deliver 2 again",
    ),
    case("flow true", method("channel.flow", b"\1") + QUEUE, "channel.flow-ok | queue.declare-ok 0 0"),
    case("flow false", method("channel.flow", b"\x00"), "connection.close 540 NOT_IMPLEMENTED - active=false"),
    case(
        "flow-ok",
        method("channel.flow-ok", b"\1") + QUEUE,
        "connection.close 503 COMMAND_INVALID - unimplemented method",
    ),
    case("access.request", method("access.request", shortstr("/data") + b"\x1f"), "access.request-ok"),
    case("confirm twice", select() + select(), "confirm.select-ok | confirm.select-ok"),
    case("confirm nowait", select(nowait=1) + send("q"), "basic.ack 1"),
    case(
        "confirm then tx",
        select() + select("tx"),
        "confirm.select-ok | channel.close 406 PRECONDITION_FAILED - cannot switch from confirm to tx mode",
    ),
    case(
        "tx then confirm",
        select("tx") + select(),
        "tx.select-ok | channel.close 406 PRECONDITION_FAILED - cannot switch from tx to confirm mode",
    ),
    case("tx twice", select("tx") + select("tx"), "tx.select-ok | tx.select-ok"),
    case("commit without", method("tx.commit"), "channel.close 406 PRECONDITION_FAILED - channel is not transactional"),
    case(
        "rollback without",
        method("tx.rollback"),
        "channel.close 406 PRECONDITION_FAILED - channel is not transactional",
    ),
    case(
        "tx commit",
        QUEUE + select("tx") + send("dq") + send("nobody", bits=1) + get("dq", 1) + method("tx.commit"),
        "queue.declare-ok 0 0 | tx.select-ok | basic.get-empty | basic.return 312 NO_ROUTE | tx.commit-ok",
        get("dq", 1),
        "basic.get-ok 1, 0 left",
    ),
    case(
        "tx rollback",
        QUEUE + select("tx") + send("dq") + send("nobody", bits=1) + method("tx.rollback") + method("tx.commit"),
        "queue.declare-ok 0 0 | tx.select-ok | tx.rollback-ok | tx.commit-ok",
        get("dq", 1),
        "basic.get-empty",
    ),
    case(
        "tx ack",
        QUEUE + select("tx") + send("dq") + method("tx.commit"),
        "queue.declare-ok 0 0 | tx.select-ok | tx.commit-ok",
        get("dq") + ack(1) + ack(1),
        "basic.get-ok 1, 0 left | channel.close 406 PRECONDITION_FAILED - unknown delivery tag 1",
    ),
    case(
        "tx ack rollback ack",
        QUEUE + select("tx") + send("dq") + method("tx.commit"),
        "queue.declare-ok 0 0 | tx.select-ok | tx.commit-ok",
        get("dq") + ack(1) + method("tx.rollback") + ack(1) + method("tx.commit"),
        "basic.get-ok 1, 0 left | tx.rollback-ok | tx.commit-ok",
        declare("dq", 1),
        "queue.declare-ok 0 0",
    ),
    case(
        "tx publish missing exchange",
        select("tx") + send("q", exchange="nox"),
        "tx.select-ok | channel.close 404 NOT_FOUND - no exchange 'nox' in vhost '/'",
    ),
    case(
        "priority and expiration bad",
        QUEUE + send("dq", properties=property_at(8, "abc")),
        "queue.declare-ok 0 0 | channel.close 406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer",
    ),
    case(
        "expiration negative",
        QUEUE + send("dq", properties=property_at(8, "-1")),
        "queue.declare-ok 0 0 | channel.close 406 PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}",
    ),
    case(
        "expiration too big",
        QUEUE + send("dq", properties=property_at(8, "99999999999999")),
        "queue.declare-ok 0 0 | "
        "channel.close 406 PRECONDITION_FAILED - invalid expiration '99999999999999': {value_too_large,99999999999999}",
    ),
    case(
        "user-id wrong",
        QUEUE + send("dq", properties=property_at(4, "nobody")),
        "queue.declare-ok 0 0 | "
        "channel.close 406 PRECONDITION_FAILED - user_id property set to 'nobody' but authenticated user was 'guest'",
    ),
    case(
        "user-id right",
        QUEUE + send("dq", properties=property_at(4, "guest")) + get("dq", 1),
        "queue.declare-ok 0 0 | basic.get-ok 1, 0 left",
    ),
    case(
        "CC not array",
        QUEUE + send("dq", properties=struct.pack(">H", 1 << 13) + longstr(shortstr("CC") + b"S" + longstr("x"))),
        "queue.declare-ok 0 0 | channel.close 406 PRECONDITION_FAILED - invalid message: "
        '{unacceptable_type_in_header,"CC",longstr}',
    ),
    case(
        "tx: error rolls back",
        QUEUE + select("tx") + send("dq") + declare("nope", 1),
        "queue.declare-ok 0 0 | tx.select-ok | channel.close 404 NOT_FOUND - no queue 'nope' in vhost '/'",
        CLOSE_OK + channel_open() + get("dq"),
        "channel.open-ok | basic.get-empty",
    ),
    case(
        "a consumer tag twice",
        QUEUE + consume("dq", "t"),
        "queue.declare-ok 0 0 | basic.consume-ok",
        consume("dq", "t"),
        "connection.close 530 NOT_ALLOWED - attempt to reuse consumer tag 't'",
    ),
    case(
        "a second consumer beside an exclusive one",
        QUEUE + consume("dq", "a", 4),
        "queue.declare-ok 0 0 | basic.consume-ok",
        consume("dq", "b"),
        "channel.close 403 ACCESS_REFUSED - queue 'dq' in vhost '/' in exclusive use",
    ),
    case(
        "an exclusive consumer beside another",
        QUEUE + consume("dq", "a"),
        "queue.declare-ok 0 0 | basic.consume-ok",
        consume("dq", "b", 4),
        "channel.close 403 ACCESS_REFUSED - queue 'dq' in vhost '/' in exclusive use",
    ),
    case(
        "a tag again after cancel",
        QUEUE + consume("dq", "t"),
        "queue.declare-ok 0 0 | basic.consume-ok",
        cancel("t"),
        "basic.cancel-ok",
        consume("dq", "t"),
        "basic.consume-ok",
    ),
]
