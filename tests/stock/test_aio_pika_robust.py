"""aio-pika's robust connection through a network that fails, and the patterns that applications build on it."""

import asyncio
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika import ExchangeType, Message
from aio_pika.patterns import RPC, Master, NackMessage, RejectMessage

from support.proxy import Proxy

TIMEOUT = 20  # seconds, for what is expected to come


@pytest.fixture
def proxy(broker):
    with Proxy(broker) as proxy:
        yield proxy


@asynccontextmanager
async def robust(at):
    """A robust connection; `back()` waits until it has recovered once more."""
    connection = await aio_pika.connect_robust(at.url, reconnect_interval=0.1)
    recovered = asyncio.Event()
    connection.reconnect_callbacks.add(lambda *_: recovered.set())

    async def back():
        await asyncio.wait_for(recovered.wait(), TIMEOUT)
        recovered.clear()

    async with connection:
        yield connection, back


def inbox():
    """A consumer's callback, and a function that waits for the next message."""
    arrived = asyncio.Queue()
    return arrived.put, lambda: asyncio.wait_for(arrived.get(), TIMEOUT)


async def publish(exchange, key, *bodies):
    for body in bodies:
        await exchange.publish(Message(body), key, timeout=TIMEOUT)


def test_consumers_queues_and_bindings_come_back_after_a_cut(broker, proxy, name):
    async def main():
        async with robust(proxy) as (connection, back), await aio_pika.connect(broker.url) as steady:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=1)
            exchange = await channel.declare_exchange(name("x"), ExchangeType.TOPIC, auto_delete=True)
            queue = await channel.declare_queue(name("q"), exclusive=True)
            await queue.bind(exchange, "news.*")
            put, take = inbox()
            await queue.consume(put)
            for round in (b"1", b"2", b"3"):
                sending = await (await steady.channel()).get_exchange(exchange.name)
                await publish(sending, "news.today", round, b"after " + round)
                message = await take()
                assert message.body == round
                await message.ack()
                assert (await take()).body == b"after " + round  # never acked: the exclusive queue goes with it
                proxy.cut()
                await back()

    asyncio.run(main())


def test_what_was_not_acked_before_the_cut_is_delivered_again(proxy, name):
    async def main():
        async with robust(proxy) as (connection, back):
            channel = await connection.channel()
            queue = await channel.declare_queue(name("q"), durable=True)
            put, take = inbox()
            await queue.consume(put)
            await publish(channel.default_exchange, queue.name, b"x")
            first = await take()
            proxy.cut()
            await back()
            again = await take()
            assert (first.redelivered, again.redelivered, again.body) == (False, True, b"x")
            with pytest.raises(aio_pika.exceptions.ChannelInvalidStateError):
                await first.ack()
            await again.ack()
            await queue.delete(if_unused=False)

    asyncio.run(main())


def test_a_server_named_queue_is_declared_again(proxy):
    async def main():
        async with robust(proxy) as (connection, back):
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            put, take = inbox()
            await queue.consume(put, no_ack=True)
            proxy.cut()
            await back()
            await publish(channel.default_exchange, queue.name, b"x")
            assert (await take()).body == b"x"

    asyncio.run(main())


def test_publishers_wait_while_the_broker_is_away(proxy, name):
    async def main():
        async with robust(proxy) as (connection, back):
            channel = await connection.channel()
            queue = await channel.declare_queue(name("q"), durable=True)
            proxy.down()
            with pytest.raises((ConnectionError, aio_pika.exceptions.AMQPError, asyncio.TimeoutError)):
                while True:  # until it has noticed
                    await channel.default_exchange.publish(Message(b"lost?"), queue.name, timeout=0.5)
            proxy.up()
            await back()
            await publish(channel.default_exchange, queue.name, b"x")
            bodies = []
            while message := await queue.get(no_ack=True, fail=False):
                bodies.append(message.body)
            assert bodies[-1] == b"x"
            await queue.delete()

    asyncio.run(main())


def test_an_iterator_goes_on_after_a_cut(broker, proxy, name):
    async def main():
        async with robust(proxy) as (connection, back), robust(broker) as (steady, _):
            queue = await (await connection.channel()).declare_queue(name("q"), durable=True)
            sending = (await steady.channel()).default_exchange
            await publish(sending, queue.name, b"0")
            seen = []
            async with queue.iterator(no_ack=True) as messages:
                async for message in messages:
                    seen.append(message.body)
                    if len(seen) == 3:
                        break
                    proxy.cut()
                    await back()
                    await publish(sending, queue.name, b"%d" % len(seen))
            assert seen == [b"0", b"1", b"2"]
            await queue.delete()

    asyncio.run(main())


def test_rpc_calls_return_values_and_errors(broker, name):
    async def divide(*, a, b):
        return a / b

    async def main():
        method = name("divide")
        async with robust(broker) as (serving, _), robust(broker) as (calling, _):
            server = await RPC.create(await serving.channel())
            await server.register(method, divide, auto_delete=True)
            client = await RPC.create(await calling.channel())
            calls = [client.call(method, {"a": number, "b": 2}) for number in range(20)]
            assert await asyncio.wait_for(asyncio.gather(*calls), TIMEOUT) == [number / 2 for number in range(20)]
            with pytest.raises(ZeroDivisionError):
                await client.call(method, {"a": 1, "b": 0})

    asyncio.run(main())


def test_an_rpc_call_that_expires_is_dead_lettered_to_the_caller(broker, name):
    """The call's queue dead-letters to a headers exchange, which is bound to the caller's queue by its `From`."""

    async def main():
        method = name("slow")
        async with robust(broker) as (calling, _):
            client = await RPC.create(await calling.channel())
            await client.channel.declare_queue(
                method, auto_delete=True, arguments={"x-dead-letter-exchange": RPC.DLX_NAME}
            )
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.call(method, {}, expiration=1), TIMEOUT)
            with pytest.raises(aio_pika.MessageProcessError):
                await client.call(name("nobody"), {})

    asyncio.run(main())


def test_a_master_gives_tasks_to_workers(broker, name):
    async def main():
        task, done, refused = name("task"), asyncio.Queue(), []

        async def work(*, number):
            if number == 2 and not refused:
                refused.append(number)
                raise NackMessage(requeue=True)
            if number == 3:
                raise RejectMessage(requeue=False)
            await done.put(number)

        async with robust(broker) as (working, _), robust(broker) as (giving, _):
            worker = await Master(await working.channel()).create_worker(task, work, auto_delete=True)
            master = Master(await giving.channel())
            for number in range(5):
                await master.create_task(task, {"number": number})
            finished = [await asyncio.wait_for(done.get(), TIMEOUT) for _ in range(4)]
            assert (sorted(finished), refused) == ([0, 1, 2, 4], [2])
            await worker.close()

    asyncio.run(main())
