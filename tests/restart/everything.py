"""A broker with something of everything that is kept."""

import pika

PERSISTENT = 2


def publish(channel, queue, body, exchange="", priority=None, **headers):
    properties = pika.BasicProperties(delivery_mode=PERSISTENT, headers=headers, priority=priority)
    channel.basic_publish(exchange, queue, body, properties)


def confirming(home):
    channel = home.connect().channel()
    channel.confirm_delivery()
    return channel


def take(channel, queue):
    got = iter(lambda: channel.basic_get(queue, auto_ack=True), (None, None, None))
    return [(body, method.redelivered, properties.headers or {}) for method, properties, body in got]


def furnish(channel):
    """Something of everything that is kept."""
    for name, arguments in {
        "plain": {},
        "prioritized": {"x-max-priority": 9},
        "unique": {"x-message-deduplication": True},
        "stream": {"x-queue-type": "stream"},
        "quorum": {"x-queue-type": "quorum"},
        "later": {},
    }.items():
        channel.queue_declare(name, durable=True, arguments=arguments)
    for number in range(20):
        publish(channel, "plain", b"%d" % number)
        publish(channel, "stream", b"%d" % number)
        publish(channel, "prioritized", b"%d" % number, priority=number % 3)
    publish(channel, "unique", b"once", **{"x-deduplication-header": "id"})
    publish(channel, "quorum", b"returned")
    method, _, _ = channel.basic_get("quorum")
    channel.basic_nack(method.delivery_tag, requeue=True)
    publish(channel, "later", b"delayed", **{"x-delay": 2000})
    for _ in range(5):
        channel.basic_get("plain")  # delivered, never acknowledged
    channel.queue_declare("plain", passive=True)  # all that is answered


def assert_furnished(home):
    channel = confirming(home)
    publish(channel, "unique", b"twice", **{"x-deduplication-header": "id"})

    plain = take(channel, "plain")
    assert [body for body, _, _ in plain] == [b"%d" % number for number in range(20)]
    assert [redelivered for _, redelivered, _ in plain] == [True] * 5 + [False] * 15
    expected = sorted(range(20), key=lambda number: (-(number % 3), number))
    assert [int(body) for body, _, _ in take(channel, "prioritized")] == expected
    assert [body for body, _, _ in take(channel, "unique")] == [b"once"]
    ((body, redelivered, headers),) = take(channel, "quorum")
    assert (body, redelivered, headers["x-delivery-count"]) == (b"returned", True, 1)

    channel.basic_qos(prefetch_count=100)
    offsets = []
    for method, properties, body in channel.consume("stream", arguments={"x-stream-offset": "first"}):
        channel.basic_ack(method.delivery_tag)
        offsets.append((properties.headers["x-stream-offset"], int(body)))
        if len(offsets) == 20:
            break
    channel.cancel()
    assert offsets == [(number, number) for number in range(20)]
    for _, _, body in channel.consume("later", inactivity_timeout=10):
        assert body == b"delayed"
        break
