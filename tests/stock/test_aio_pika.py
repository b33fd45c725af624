"""The scenarios with aio-pika, the asyncio client."""

import asyncio
import uuid

import aio_pika
import aiormq.exceptions
import pytest
from aio_pika import DeliveryMode, ExchangeType, Message

TIMEOUT = 10  # seconds, for what is expected to come


def run(broker, play):
    """Run a coroutine with two connections, as two programs would have them."""

    async def main():
        one, two = await aio_pika.connect(broker.url), await aio_pika.connect(broker.url)
        async with one, two:
            await play(one, two)

    asyncio.run(main())


async def next_of(queue):
    """A function that waits for the next message of a new consumer of this queue."""
    arrived = asyncio.Queue()
    await queue.consume(arrived.put)
    return lambda: asyncio.wait_for(arrived.get(), TIMEOUT)


def test_hello_world(broker, name):
    hello = name("hello")

    async def play(producer, consumer):
        sending = await producer.channel()
        await sending.declare_queue(hello)
        await sending.default_exchange.publish(Message(b"Hello World!"), hello)
        await producer.close()
        queue = await (await consumer.channel()).declare_queue(hello)
        message = await queue.get(no_ack=True)
        assert (message.body, message.redelivered) == (b"Hello World!", False)
        await queue.delete()

    run(broker, play)


@pytest.mark.parametrize("body", [b"", b"\x00", "Grüße 🐇".encode(), bytes(range(256)) * 65536], ids=len)
def test_every_body_survives(broker, body):
    async def play(producer, consumer):
        queue = await (await consumer.channel()).declare_queue(exclusive=True)
        take = await next_of(queue)
        await (await producer.channel()).default_exchange.publish(Message(body), queue.name)
        message = await take()
        assert message.body == body
        await message.ack()

    run(broker, play)


def test_typed_headers_survive(broker):
    headers = {
        "int": -1,
        "float": 0.5,
        "text": "ü",
        "yes": True,
        "none": None,
        "list": [1, "a"],
        "table": {"a": {"b": 1}},
    }

    async def play(producer, consumer):
        queue = await (await consumer.channel()).declare_queue(exclusive=True)
        await (await producer.channel()).default_exchange.publish(Message(b"", headers=headers), queue.name)
        assert (await queue.get(no_ack=True)).headers == headers

    run(broker, play)


def test_two_workers_share_tasks_round_robin_and_a_lost_worker_s_tasks_are_redelivered(broker, name):
    async def play(producer, first):
        sending = await producer.channel()
        queue = await sending.declare_queue(name("tasks"), durable=True)
        one = await next_of(await (await first.channel()).get_queue(queue.name))
        two = await next_of(queue)
        for number in range(1, 6):
            task = Message(b"%d" % number, delivery_mode=DeliveryMode.PERSISTENT)
            await sending.default_exchange.publish(task, queue.name)
        mine = [await one() for _ in range(3)]
        assert [task.body for task in mine] == [b"1", b"3", b"5"]
        yours = [await two() for _ in range(2)]
        assert [task.body for task in yours] == [b"2", b"4"]
        await mine[0].ack()
        await first.close()
        again = [await two() for _ in range(2)]
        assert [(task.body, task.redelivered) for task in again] == [(b"3", True), (b"5", True)]
        await queue.delete(if_unused=False, if_empty=False)

    run(broker, play)


@pytest.mark.parametrize("global_", [False, True])
def test_prefetch_holds_back(broker, global_):
    async def play(producer, consumer):
        channel = await consumer.channel()
        await channel.set_qos(prefetch_count=1, global_=global_)
        queue = await channel.declare_queue(exclusive=True)
        take = await next_of(queue)
        sending = await producer.channel()
        for number in range(2):
            await sending.default_exchange.publish(Message(b"%d" % number), queue.name)
        first = await take()
        # Declared anew, the queue tells how many it still has: the second is one of them.
        assert (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count == 1
        await first.ack()
        assert (await take()).body == b"1"

    run(broker, play)


def test_fanout_direct_topic_and_headers_route(broker, name):
    async def play(producer, consumer):
        receiving, sending = await consumer.channel(), await producer.channel()

        async def bound(kind, *bindings, **options):
            exchange = await receiving.declare_exchange(name(kind), kind, auto_delete=True)
            queue = await receiving.declare_queue(exclusive=True)
            for key in bindings:
                await queue.bind(exchange, key)
            for arguments in options.get("arguments", []):
                await queue.bind(exchange, "", arguments=arguments)
            return await sending.get_exchange(exchange.name), queue

        async def bodies(queue):
            got = []
            while message := await queue.get(no_ack=True, fail=False):
                got.append(message.body)
            return got

        fanout, queue = await bound(ExchangeType.FANOUT, "")
        await fanout.publish(Message(b"all"), "whatever")
        assert await bodies(queue) == [b"all"]

        direct, queue = await bound(ExchangeType.DIRECT, "error", "warning")
        for severity in ("info", "warning", "error"):
            await direct.publish(Message(severity.encode()), severity, mandatory=False)
        assert await bodies(queue) == [b"warning", b"error"]

        topic, queue = await bound(ExchangeType.TOPIC, "mysql.*", "*.info", "critical*")
        for key in ("mysql.info", "redis.info", "mysql", "critical.disk", "critical*"):
            await topic.publish(Message(key.encode()), key, mandatory=False)
        assert await bodies(queue) == [b"mysql.info", b"redis.info", b"critical*"]

        headers, queue = await bound(ExchangeType.HEADERS, arguments=[{"x-match": "any", "a": 1, "b": "two"}])
        for number, carried in enumerate(({"a": 1}, {"b": "two"}, {"a": "1"}, {})):
            await headers.publish(Message(b"%d" % number, headers=carried), "", mandatory=False)
        assert await bodies(queue) == [b"0", b"1"]

    run(broker, play)


def test_an_unroutable_message_is_an_error_unless_it_need_not_arrive(broker, name):
    async def play(producer, _):
        channel = await producer.channel(on_return_raises=True)
        await channel.default_exchange.publish(Message(b"x"), name("missing"), mandatory=False)
        with pytest.raises(aio_pika.exceptions.DeliveryError):
            await channel.default_exchange.publish(Message(b"x"), name("missing"))

    run(broker, play)


def test_errors_close_the_channel_and_name_the_cause(broker, name):
    async def play(one, two):
        queue = name("q")
        with pytest.raises(
            aiormq.exceptions.ChannelNotFoundEntity, match=f"NOT_FOUND - no queue '{queue}' in vhost '/'"
        ):
            await (await one.channel()).declare_queue(queue, passive=True)
        await (await one.channel()).declare_queue(queue, exclusive=True)
        with pytest.raises(aiormq.exceptions.ChannelLockedResource):
            await (await two.channel()).get_queue(queue)
        with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed):
            await (await one.channel()).declare_queue(queue, exclusive=True, auto_delete=True)

    run(broker, play)


@pytest.mark.parametrize("direct", [True, False], ids=["direct reply-to", "exclusive reply queue"])
def test_calls_find_their_answers(broker, direct):
    async def play(client, server):
        serving, asking = await server.channel(), await client.channel()
        requests = await serving.declare_queue(exclusive=True)

        async def answer(request):
            result = Message(b"%d" % fib(int(request.body)), correlation_id=request.correlation_id)
            await serving.default_exchange.publish(result, request.reply_to, mandatory=False)
            await request.ack()

        await requests.consume(answer)
        reply_to = "amq.rabbitmq.reply-to" if direct else (await asking.declare_queue(exclusive=True)).name
        answers = {str(uuid.uuid4()): asyncio.get_running_loop().create_future() for _ in range(3)}

        async def take(reply):
            answers[reply.correlation_id].set_result(int(reply.body))

        await (await asking.get_queue(reply_to, ensure=False)).consume(take, no_ack=True)
        for identifier, number in zip(answers, (30, 35, 40), strict=True):
            request = Message(b"%d" % number, correlation_id=identifier, reply_to=reply_to)
            await asking.default_exchange.publish(request, requests.name)
        results = await asyncio.wait_for(asyncio.gather(*answers.values()), TIMEOUT)
        assert results == [832040, 9227465, 102334155]

    run(broker, play)


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def test_a_thousand_publishes_at_once_are_all_confirmed(broker):
    async def play(producer, consumer):
        queue = await (await consumer.channel()).declare_queue(exclusive=True)
        sending = await producer.channel()
        await asyncio.gather(*[sending.default_exchange.publish(Message(b"x"), queue.name) for _ in range(1000)])
        assert (await queue.purge()).message_count == 1000

    run(broker, play)


def test_the_robust_connection_works(broker):
    async def main():
        async with await aio_pika.connect_robust(broker.url, heartbeat=1) as connection:
            queue = await (await connection.channel()).declare_queue(exclusive=True)
            await (await connection.channel()).default_exchange.publish(Message(b"x"), queue.name)
            assert (await queue.get(no_ack=True)).body == b"x"

    asyncio.run(main())
