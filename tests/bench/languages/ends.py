"""The Python ends of the benchmark of languages: one process, one library, one part.

Takes what to do as a JSON object, says "ready" when it is connected, begins when a line comes in, and prints its result
as a JSON object. Times are of CLOCK_MONOTONIC, in nanoseconds, which all processes share.
"""

import asyncio
import contextlib
import json
import sys
import time

RECORD = {
    "id": 123456,
    "name": "a name of some length",
    "email": "somebody@example.org",
    "active": True,
    "balance": 1234.5,
    "tags": ["one", "two", "three"],
    "address": {"street": "Main Street 1", "city": "Springfield"},
    "created": "2026-01-01T00:00:00Z",
    "score": 42,
    "note": None,
}
PREFETCH = 1000
# Compilers and caches need their time: nanoseconds.
WARM = 1e9


def body_of(part):
    return RECORD if part["content"] == "json" else bytes(part["size"])


def go():
    print("ready", flush=True)
    sys.stdin.readline()
    return time.monotonic_ns()


def tell(**result):
    print(json.dumps(result), flush=True)


def trips(part):
    """Yields for each round trip to make, and tells how long those took that began when the code was warm."""
    now, times = go(), []
    warm = now + WARM
    while now < warm + part["seconds"] * 1e9:
        yield
        begin, now = now, time.monotonic_ns()
        if begin > warm:
            times.append(now - begin)
    times.sort()
    tell(p50=times[len(times) // 2] / 1000, p99=times[len(times) * 99 // 100] / 1000)


def warrenmq(part):
    import warrenmq

    with warrenmq.connect(part["url"]) as mq:
        globals()["warrenmq_" + part["role"]](mq, part)


def warrenmq_send(mq, part):
    queue = mq.queue(part["queue"], durable=part["durable"])
    body, count = body_of(part), part["count"]
    begin = go()
    if part["window"] == 1:
        for _ in range(count):
            queue.send(body)
    else:
        batch = [body] * part["window"]
        for _ in range(count // part["window"]):
            queue.send_many(batch)
    tell(begin=begin, end=time.monotonic_ns())


def warrenmq_receive(mq, part):
    queue = mq.queue(part["queue"], durable=part["durable"])
    left, is_json = part["count"], part["content"] == "json"
    with queue.consume(prefetch=PREFETCH) as consumer:
        go()
        for message in consumer:
            if is_json:
                message.json()
            else:
                message.body  # noqa: B018  (what a receiver pays for)
            message.ack()
            left -= 1
            if not left:
                break
    tell(end=time.monotonic_ns())


def warrenmq_call(mq, part):
    body = body_of(part)
    for _ in trips(part):
        mq.call(part["queue"], body)


def warrenmq_serve(mq, part):
    mq.serve(part["queue"], lambda body, _message: body)
    go()
    sys.stdin.readline()


def rabbitmq(part):
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(part["url"]))
    channel = connection.channel()
    channel.queue_declare(part["queue"], durable=part["durable"])
    globals()["rabbitmq_" + part["role"]](channel, part)
    with contextlib.suppress(pika.exceptions.AMQPError):
        connection.close()


def rabbitmq_send(channel, part):
    import pika

    properties = pika.BasicProperties(delivery_mode=2 if part["durable"] else 1)
    if part["durable"]:
        channel.confirm_delivery()  # pika waits for each
    body = bytes(part["size"])
    begin = go()
    for _ in range(part["count"]):
        channel.basic_publish("", part["queue"], body, properties)
    tell(begin=begin, end=time.monotonic_ns())


def rabbitmq_receive(channel, part):
    left = part["count"]

    def take(channel, method, _properties, _body):
        nonlocal left
        channel.basic_ack(method.delivery_tag)
        left -= 1
        if not left:
            channel.stop_consuming()

    channel.basic_qos(prefetch_count=PREFETCH)
    channel.basic_consume(part["queue"], take)
    go()
    channel.start_consuming()
    tell(end=time.monotonic_ns())


def rabbitmq_serve(channel, part):
    def answer(channel, method, properties, body):
        channel.basic_publish("", properties.reply_to, body)
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(part["queue"], answer)
    print("ready", flush=True)
    channel.start_consuming()  # until it is ended


def zeromq(part):
    import zmq

    kind = {"send": zmq.PUSH, "receive": zmq.PULL, "serve": zmq.REP, "call": zmq.REQ}[part["role"]]
    socket = zmq.Context.instance().socket(kind)
    (socket.bind if part["role"] in ("receive", "serve") else socket.connect)(part["url"])
    body = bytes(part["size"])
    if part["role"] == "serve":
        print("ready", flush=True)
        while True:
            socket.send(socket.recv())
    elif part["role"] == "call":
        for _ in trips(part):
            socket.send(body)
            socket.recv()
        return
    begin = go()
    if part["role"] == "send":
        for _ in range(part["count"]):
            socket.send(body)
        tell(begin=begin, end=time.monotonic_ns())
        socket.close()
        zmq.Context.instance().term()  # what it still has would be lost
    else:
        for _ in range(part["count"]):
            socket.recv()
        tell(end=time.monotonic_ns())


async def nats(part):
    import nats

    connection = await nats.connect(part["url"], pending_size=64 << 20)
    body, done, left = bytes(part["size"]), asyncio.Event(), part.get("count")

    async def take(message):
        nonlocal left
        if part["role"] == "serve":
            await message.respond(message.data)
            return
        left -= 1
        if not left:
            done.set()

    if part["role"] in ("receive", "serve"):
        await connection.subscribe(part["queue"], cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1)
        await connection.flush()
    if part["role"] == "serve":
        print("ready", flush=True)
        await done.wait()  # until it is ended
    if part["role"] == "call":
        for _ in trips(part):
            await connection.request(part["queue"], body)
        return
    begin = go()
    if part["role"] == "send":
        often = min(1000, max(1, (4 << 20) // part["size"]))  # or the server gives a slow consumer up
        for number in range(part["count"]):
            await connection.publish(part["queue"], body)
            if number % often == 0:
                await connection.flush()
        await connection.flush()
        tell(begin=begin, end=time.monotonic_ns())
    else:
        await done.wait()
        tell(end=time.monotonic_ns())


def main():
    part = json.loads(sys.argv[1])
    run = globals()[part["library"]]
    if asyncio.iscoroutinefunction(run):
        asyncio.run(run(part))
    else:
        run(part)


if __name__ == "__main__":
    main()
