"""The asyncio API, on asyncio's event loop and on uvloop's."""

import asyncio
import contextlib
import threading
import time

import pytest

import warrenmq
import warrenmq.aio

try:
    import uvloop
except ImportError:
    LOOPS = {"asyncio": None}
else:
    LOOPS = {"asyncio": None, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS.values(), ids=LOOPS)
def run(request, url):
    """Runs a coroutine function with a connection to a broker of its own, for no longer than ten seconds."""

    def run(test):
        async def limited():
            async with asyncio.timeout(10), warrenmq.aio.connect(url) as mq:
                await test(mq)

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(limited())

    return run


async def becomes(queue, message_count, consumer_count):
    """Waits until a queue is in this state."""
    wanted = (queue.name, message_count, consumer_count)
    while await queue.info() != wanted:  # noqa: ASYNC110  (the broker does not tell)
        await asyncio.sleep(0.001)


def test_the_names_are_those_of_the_blocking_api():
    for name in ("Connection", "Channel", "Queue", "Exchange", "Consumer", "Server"):
        blocking, other = (
            {attribute for attribute in dir(cls) if not attribute.startswith("_")}
            for cls in (getattr(warrenmq, name), getattr(warrenmq.aio, name))
        )
        native_only = {"ending", "take", "cancelled", "on_ready"}
        native_only |= {"begin_send", "begin_send_many", "begin_publish", "begin_publish_many"}
        assert blocking - native_only - {"shut"} == other - {"shut"}


def test_a_connection_can_be_awaited_or_entered():
    async def main():
        mq = await warrenmq.aio.connect("inproc://", name="me", timeout=1)
        assert (mq.url, mq.transport, mq.is_open) == ("inproc://", "inproc", True)
        assert repr(mq) == "<aio.Connection inproc://>"
        await mq.close()
        assert not mq.is_open
        async with warrenmq.aio.connect("inproc://") as other:
            assert other.is_open
        assert not other.is_open
        with pytest.raises(warrenmq.InvalidArgument):
            await warrenmq.aio.connect("redis://")

    asyncio.run(main())


def test_what_is_sent_is_received(run):
    async def test(mq):
        queue = await mq.queue("tasks", durable=True)
        assert (queue.name, queue.message_count, queue.consumer_count) == ("tasks", 0, 0)
        await queue.send({"n": 1}, priority=3)
        assert await queue.send_many(["text", b"bytes"]) == warrenmq.BatchReceipt(2, [])
        values = []
        async for message in queue.consume():
            values.append(message.value())
            message.ack()
            if len(values) == 3:
                break
        assert values == [{"n": 1}, "text", b"bytes"]
        await becomes(queue, 0, 0)

    run(test)


def test_queues_exchanges_and_bindings_do_what_they_do_in_the_blocking_api(run):
    async def test(mq):
        queue, topic = await mq.queue(), await mq.exchange("t", "topic")
        await queue.bind(topic, "a.*")
        assert (await topic.publish("x", "a.b")).routed
        assert not (await topic.publish("x", "b.a")).routed
        assert (await topic.publish_many(["y", "z"], "a.c")).unrouted == []
        await queue.unbind("t", "a.*")
        assert (await topic.publish_many(["y", "z"], "a.c")).unrouted == [0, 1]
        other = await mq.exchange("f", "fanout")
        await topic.bind(other)
        await topic.unbind(other)
        assert await queue.purge() == 3
        assert await queue.get() is None
        await mq.publish("", "direct", queue.name)
        message = await queue.get()
        message.nack()
        await becomes(queue, 1, 0)
        assert await queue.delete() == 1
        await topic.delete()
        with pytest.raises(warrenmq.NotFound):
            await mq.queue(queue.name, passive=True)
        with pytest.raises(warrenmq.InvalidArgument, match="a list of bodies is due"):
            await queue.send_many("text")

    run(test)


def test_a_large_batch_goes_in_parts(run):
    async def test(mq):
        queue = await mq.queue("tasks")
        exchange = await mq.exchange("")
        assert await queue.send_many(str(number) for number in range(20_000)) == warrenmq.BatchReceipt(20_000, [])
        receipt = await exchange.publish_many(["x"] * 20_000, "nobody")
        assert receipt == warrenmq.BatchReceipt(20_000, list(range(20_000)))

    run(test)


def test_a_consumer_waits_without_blocking_the_loop(run):
    async def test(mq):
        queue = await mq.queue("tasks")
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        async with queue.consume() as consumer:
            assert await consumer.get(timeout=0.1) is None
            assert ticks > 20
            asyncio.get_running_loop().call_later(0.01, asyncio.create_task, queue.send("hello"))
            assert (await consumer.get()).text() == "hello"
        ticking.cancel()

    run(test)


def test_a_consumer_that_always_has_something_lets_other_tasks_have_their_turn(run):
    async def test(mq):
        queue = await mq.queue("tasks")
        await queue.send_many([b"x"] * 5_000)
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        left = 5_000
        async for message in queue.consume(0):
            message.ack()
            left -= 1
            if not left:
                break
        task.cancel()
        assert turns >= 15

    run(test)


def test_cancelling_a_get_loses_no_message(run):
    async def test(mq):
        queue = await mq.queue("tasks")
        got = []
        async with queue.consume(prefetch=0) as consumer:
            for number in range(300):
                getting = asyncio.create_task(consumer.get())
                await asyncio.sleep(0)
                await queue.send(str(number))
                if number % 3:
                    await asyncio.sleep(0)
                getting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    got.append((await getting).text())
            while len(got) < 300:
                got.append((await consumer.get()).text())
        assert got == [str(number) for number in range(300)]

    run(test)


def test_wait_for_loses_no_message(run):
    async def test(mq):
        queue = await mq.queue("tasks")
        got = []

        def send():
            with warrenmq.connect(f"inproc://{name}") as other:
                for number in range(500):
                    other.queue("tasks").send(str(number))
                    time.sleep(0.0002)

        async with queue.consume(prefetch=0) as consumer:
            sender = threading.Thread(target=send)
            sender.start()
            while len(got) < 500:
                try:
                    got.append((await asyncio.wait_for(consumer.get(), 0.0003)).text())
                except TimeoutError:
                    continue
            sender.join()
        assert got == [str(number) for number in range(500)]

    name = f"wait_for {time.time()}"

    async def main(_):
        async with warrenmq.aio.connect(f"inproc://{name}") as mq:
            await test(mq)

    run(main)


def test_two_tasks_share_a_consumer(run):
    async def test(mq):
        queue = await mq.queue("tasks")
        consumer = queue.consume(prefetch=10)
        seen = []

        async def work():
            async for message in consumer:
                seen.append(int(message.text()))
                await asyncio.sleep(0)
                message.ack()
                if len(seen) == 1000:
                    await consumer.cancel()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(work())
            for number in range(1000):
                await queue.send(str(number))
                if number % 50 == 0:
                    await asyncio.sleep(0)
        assert sorted(seen) == list(range(1000))

    run(test)


def test_leaving_a_consumer_puts_back_what_was_not_acknowledged(run):
    async def test(mq):
        queue = await mq.queue("tasks")
        await queue.send_many(["a", "b", "c"])
        async for _ in queue.consume():
            break
        await becomes(queue, 3, 0)
        async with queue.consume(prefetch=1) as consumer:
            assert (await consumer.get()).redelivered
        await becomes(queue, 3, 0)
        consumer = await queue.consume()
        assert consumer.tag
        message = await anext(consumer)
        await consumer.cancel()
        assert await consumer.get() is None
        assert [message async for message in consumer] == []
        message.ack()
        await becomes(queue, 2, 0)

    run(test)


def test_cancelling_ends_those_who_wait(run):
    async def test(mq):
        consumer = await (await mq.queue("tasks")).consume()
        waiting = [asyncio.create_task(consumer.get()) for _ in range(3)]
        await asyncio.sleep(0.01)
        await consumer.cancel()
        assert await asyncio.gather(*waiting) == [None] * 3

    run(test)


def test_a_consumer_whose_connection_closes_ends_with_an_error(run):
    async def test(mq):
        consumer = await (await mq.queue("tasks")).consume()
        waiting = asyncio.create_task(consumer.get())
        await asyncio.sleep(0.01)
        await mq.close()
        with pytest.raises(warrenmq.Closed):
            await waiting

    run(test)


def test_a_message_from_another_thread_arrives(run):
    async def test(mq):
        async with warrenmq.aio.connect("inproc://threads") as shared:
            queue = await shared.queue("tasks")

            def send():
                with warrenmq.connect("inproc://threads") as other:
                    for number in range(1000):
                        other.queue("tasks").send(str(number))

            threads = [threading.Thread(target=send) for _ in range(2)]
            for thread in threads:
                thread.start()
            async with queue.consume() as consumer:
                for _ in range(2000):
                    (await consumer.get()).ack()
            for thread in threads:
                thread.join()

    run(test)


def test_calls_run_at_once_and_each_gets_its_own_answer(run):
    async def test(mq):
        async def slow(value, message):
            await asyncio.sleep(0.05)
            return value * 2

        begin = time.monotonic()
        async with await mq.serve("slow", slow):
            answers = await asyncio.gather(*(mq.call("slow", n) for n in range(50)))
        assert answers == [n * 2 for n in range(50)]
        assert time.monotonic() - begin < 1

    run(test)


def test_a_handler_may_be_a_plain_function_and_may_fail(run):
    async def test(mq):
        async with await mq.serve("divide", lambda value, message: 1 // value):
            assert await mq.call("divide", 1) == 1
            with pytest.raises(warrenmq.RemoteError) as caught:
                await mq.call("divide", 0)
            assert caught.value.remote_code == "ZeroDivisionError"
            assert (await mq.call("divide", 0, raw=True)).type == "error"
        async with await mq.serve("set", lambda value, message: {1}):
            with pytest.raises(warrenmq.RemoteError, match="a set has no JSON form"):
                await mq.call("set", 1)

    run(test)


def test_a_call_times_out_or_fails_at_once(run):
    async def test(mq):
        await mq.queue("silent")
        with pytest.raises(TimeoutError):
            await mq.call("silent", 1, timeout=0.02)
        with pytest.raises(warrenmq.Unroutable):
            await mq.call("nobody", 1)

    run(test)


def test_a_cancelled_call_harms_nobody(run):
    async def test(mq):
        async def slow(value, message):
            await asyncio.sleep(value)
            return value

        async with await mq.serve("slow", slow):
            for _ in range(20):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(mq.call("slow", 0.01), 0.005)
            assert await mq.call("slow", 0) == 0

    run(test)


def test_both_apis_call_each_other(run):
    async def test(mq):
        name = f"inproc://both {time.time()}"
        with warrenmq.connect(name) as blocking, blocking.serve("double", lambda n, message: 2 * n):
            async with warrenmq.aio.connect(name) as mine, await mine.serve("triple", lambda n, message: 3 * n):
                assert await mine.call("double", 2) == 4
                assert await asyncio.to_thread(blocking.call, "triple", 2) == 6

    run(test)


def test_a_mandatory_message_comes_back_with_the_error_and_as_an_event(run):
    async def test(mq):
        returned = asyncio.Queue()
        mq.on("return", returned.put)
        with pytest.raises(warrenmq.Unroutable) as caught:
            await (await mq.exchange("")).publish("x", "nobody", mandatory=True)
        assert await returned.get() is caught.value.message

    run(test)


def test_the_close_event_is_told_on_the_loop(run):
    async def test(mq):
        told = asyncio.get_running_loop().create_future()
        mq.on("close", lambda about: told.set_result((about, threading.current_thread())))
        await mq.close()
        assert await told == (None, threading.current_thread())

    run(test)


def test_a_channel_has_one_prefetch_and_one_fate(run):
    async def test(mq):
        queue = await mq.queue("tasks")
        await queue.send_many(["a", "b"])
        async with await mq.channel() as channel:
            await channel.prefetch(1)
            consumer = await (await channel.queue("tasks")).consume()
            assert (await consumer.get()).text() == "a"
            assert await consumer.get(timeout=0.02) is None
            await channel.recover()
            assert (await consumer.get()).redelivered
        assert not channel.is_open
        await becomes(queue, 2, 0)

    run(test)


def test_a_connection_to_a_broker_in_this_process_lets_amqp_clients_in():
    async def main():
        async with (
            warrenmq.aio.connect("inproc://") as mq,
            warrenmq.aio.connect(f"amqp://{await mq.listen()}") as other,
        ):
            await (await other.queue("tasks")).send("hello")
            assert (await (await mq.queue("tasks")).get(no_ack=True)).text() == "hello"

    asyncio.run(main())


def test_one_loop_after_another_can_be_used():
    async def main():
        async with warrenmq.aio.connect("inproc://") as mq:
            queue = await mq.queue("tasks")
            async with queue.consume() as consumer:
                getting = asyncio.create_task(consumer.get())
                await asyncio.sleep(0)
                await queue.send("x")
                assert (await getting).text() == "x"

    for _ in range(50):
        asyncio.run(main())


def test_loops_in_several_threads_do_not_disturb_each_other():
    failed = []

    async def main(number):
        async with warrenmq.aio.connect("inproc://loops") as mq:
            queue = await mq.queue(f"tasks {number}")
            async with queue.consume() as consumer:
                for n in range(200):
                    getting = asyncio.create_task(consumer.get())
                    await asyncio.sleep(0)
                    await queue.send(str(n))
                    message = await getting
                    message.ack()
                    if message.text() != str(n):
                        failed.append((number, n))

    threads = [threading.Thread(target=asyncio.run, args=(main(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert failed == []
