"""Methods by name, as frames: for suites that talk to a broker word by word."""

import struct

from support.frames import body, content_header, longstr, method, publish, queue_declare, shortstr

NO_ARGUMENTS = b"\x00\x00\x00\x00"
TICKET = b"\x00\x00"


def table_of(name, kind, value):
    """A table with one entry; `value` is encoded already."""
    return longstr(shortstr(name) + kind + value)


def declare(queue, bits=0, arguments=NO_ARGUMENTS, channel=1):
    """bits: 1 passive, 2 durable, 4 exclusive, 8 auto-delete, 16 no-wait."""
    return queue_declare(queue, bits, arguments, channel)


def consume(queue, tag="", bits=0, arguments=NO_ARGUMENTS):
    """bits: 1 no-local, 2 no-ack, 4 exclusive, 8 no-wait."""
    return method("basic.consume", TICKET + shortstr(queue) + shortstr(tag) + bytes([bits]) + arguments)


def cancel(tag, nowait=0):
    return method("basic.cancel", shortstr(tag) + bytes([nowait]))


def get(queue, no_ack=0):
    return method("basic.get", TICKET + shortstr(queue) + bytes([no_ack]))


def ack(tag, multiple=0):
    return method("basic.ack", struct.pack(">QB", tag, multiple))


def nack(tag, bits=0):
    """bits: 1 multiple, 2 requeue."""
    return method("basic.nack", struct.pack(">QB", tag, bits))


def reject(tag, requeue=0):
    return method("basic.reject", struct.pack(">QB", tag, requeue))


def qos(size=0, count=0, everywhere=0):
    return method("basic.qos", struct.pack(">IHB", size, count, everywhere))


def recover(requeue, how="basic.recover"):
    return method(how, bytes([requeue]))


def close_channel(channel=1):
    return method("channel.close", b"\x00\xc8\x00\x00\x00\x00\x00", channel)


def close_connection(channel=0):
    return method("connection.close", b"\x00\xc8\x00\x00\x00\x00\x00", channel)


def exchange(name, kind="direct", bits=0, arguments=NO_ARGUMENTS):
    """exchange.declare; bits: 1 passive, 2 durable, 4 auto-delete, 8 internal, 16 no-wait."""
    return method("exchange.declare", TICKET + shortstr(name) + shortstr(kind) + bytes([bits]) + arguments)


def delete_exchange(name, bits=0):
    """bits: 1 if-unused, 2 no-wait."""
    return method("exchange.delete", TICKET + shortstr(name) + bytes([bits]))


def bind_exchange(destination, source, key="", nowait=0, how="exchange.bind"):
    names = shortstr(destination) + shortstr(source) + shortstr(key)
    return method(how, TICKET + names + bytes([nowait]) + NO_ARGUMENTS)


def bind(queue, source, key="", nowait=0):
    names = shortstr(queue) + shortstr(source) + shortstr(key)
    return method("queue.bind", TICKET + names + bytes([nowait]) + NO_ARGUMENTS)


def unbind(queue, source, key=""):
    names = shortstr(queue) + shortstr(source) + shortstr(key)
    return method("queue.unbind", TICKET + names + NO_ARGUMENTS)


def purge(queue, nowait=0):
    return method("queue.purge", TICKET + shortstr(queue) + bytes([nowait]))


def delete(queue, bits=0):
    """queue.delete; bits: 1 if-unused, 2 if-empty, 4 no-wait."""
    return method("queue.delete", TICKET + shortstr(queue) + bytes([bits]))


def send(key, data=b"x", exchange="", bits=0, properties=b"\x00\x00"):
    """A whole publish; bits: 1 mandatory, 2 immediate."""
    frames = publish(exchange, key, bits) + content_header(len(data), properties=properties)
    return frames + (body(data) if data else b"")


def select(what="confirm", nowait=0):
    return method("confirm.select", bytes([nowait])) if what == "confirm" else method("tx.select")
