"""The Python half of `bench.mjs`."""

import warrenmq

mq = warrenmq.connect("inproc://bench")
there, back = mq.queue("there"), mq.queue("back")


def receive(count):
    """Reads and acknowledges so many messages."""
    with there.consume(prefetch=1000) as consumer:
        for message in consumer:
            message.body  # noqa: B018  (what a receiver pays for)
            message.ack()
            count -= 1
            if not count:
                return


def send_each(size, count):
    """Sends one by one."""
    body, send = bytes(size), back.send
    for _ in range(count):
        send(body)


def send_batches(size, count):
    """Sends in batches of 256."""
    batch = [bytes(size)] * 256
    for _ in range(count // 256):
        back.send_many(batch)


def echo():
    """Sends everything back, up to an empty message."""
    with there.consume() as requests:
        for message in requests:
            message.ack()
            if not message.body:
                return
            back.send(message.body)
