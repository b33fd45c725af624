"""A broker that is stopped and started again at its address, empty: each client comes back and goes on."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import pika
import pytest

from stock.celery.worker import Worker, client, tasks
from support import brokers
from support.programs import Program

HERE = Path(__file__).parent
TIMEOUT = 40  # seconds, for what is expected to come


class Ticker:
    """A robust aio-pika connection that can send itself a message through an exclusive queue that is bound."""

    def __init__(self, connection, exchange, arrived):
        self.connection, self.exchange, self.arrived = connection, exchange, arrived

    @classmethod
    @asynccontextmanager
    async def on(cls, broker):
        async with await aio_pika.connect_robust(broker.url, reconnect_interval=0.2) as connection:
            channel, arrived = await connection.channel(), asyncio.Queue()
            exchange = await channel.declare_exchange("ticks", aio_pika.ExchangeType.TOPIC)
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(exchange, "tick.*")
            await queue.consume(arrived.put, no_ack=True)
            yield cls(connection, exchange, arrived)

    async def tick(self):
        await self.exchange.publish(aio_pika.Message(b"tick"), "tick.one", timeout=TIMEOUT)
        return (await asyncio.wait_for(self.arrived.get(), TIMEOUT)).body


@pytest.mark.timeout(120)  # it starts the broker twice
@pytest.mark.parametrize("kind", ["warrenmq", "rabbitmq"])
def test_every_client_comes_back(kind):
    try:
        broker = brokers.start(kind)
    except brokers.Unavailable as reason:
        pytest.skip(str(reason))

    async def main():
        nonlocal broker
        manager = Program("node", HERE / "amqp_connection_manager" / "ticks.mjs", broker.url, "ticks")
        with client(broker) as app, Worker(broker, "-P", "solo") as worker, manager:
            async with Ticker.on(broker) as ticker:
                plain = pika.BlockingConnection(pika.URLParameters(broker.url))
                manager.printed("got")
                assert tasks(app).add.delay(1, 2).get(TIMEOUT) == 3
                assert await ticker.tick() == b"tick"
                recovered = asyncio.Event()
                ticker.connection.reconnect_callbacks.add(lambda *_: recovered.set())

                assert await asyncio.to_thread(broker.stop) == 0
                with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as told:
                    plain.process_data_events(TIMEOUT)
                assert told.value.reply_code == 320
                assert (
                    told.value.reply_text
                    == "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
                )
                manager.printed("disconnected")
                seen, heard = len(manager.lines), len(worker.lines)
                broker = await asyncio.to_thread(brokers.start, kind, broker.port)

                await asyncio.wait_for(recovered.wait(), TIMEOUT)
                assert await ticker.tick() == b"tick"
                await asyncio.to_thread(manager.printed, "^got", TIMEOUT, since=seen)
                await asyncio.to_thread(worker.printed, "Connected to amqp://", TIMEOUT, since=heard)
                assert tasks(app).add.delay(1, 2).get(TIMEOUT) == 3

    try:
        asyncio.run(main())
    finally:
        if broker.alive:
            broker.stop()
