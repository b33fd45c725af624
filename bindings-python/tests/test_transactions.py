"""Transactions: publishes and acknowledgements of a channel that take effect together or not at all."""

import asyncio
import contextlib

import pytest

import warrenmq
from warrenmq import aio


@pytest.fixture
def channel(mq):
    with mq.channel() as channel:
        yield channel


@pytest.fixture
def done(channel):
    return channel.queue("done")


def fail(_):
    """Fails after something was done."""
    raise KeyError


def ready(mq, name):
    return mq.queue(name, passive=True).message_count


def test_publishes_wait_for_the_commit(mq, channel, done):
    channel.tx_select()
    assert done.send("one") == done.send("two")
    receipt, batch = done.send("three"), done.send_many(["four", "five"])
    assert (receipt.confirmed, receipt.routed) == (False, True)
    assert (batch.confirmed, batch.unrouted) == (0, [])
    assert ready(mq, "done") == 0
    assert channel.tx_commit() == []
    assert ready(mq, "done") == 5


def test_the_commit_tells_what_no_queue_took(channel, done):
    channel.tx_select()
    done.send("one")
    channel.exchange("").publish("two", "nowhere")
    channel.exchange("").publish("three", "nowhere", mandatory=True)
    assert channel.tx_commit() == [1, 2]
    done.send("four")
    assert channel.tx_commit() == []


def test_a_rollback_forgets_publishes(mq, channel, done):
    channel.tx_select()
    done.send("one")
    channel.tx_rollback()
    channel.tx_commit()
    assert ready(mq, "done") == 0


def test_acknowledgements_wait_for_the_commit(mq, channel, done):
    mq.queue("done").send("one")
    channel.tx_select()
    done.get().ack()
    channel.tx_commit()
    channel.close()
    assert ready(mq, "done") == 0


def test_what_was_rolled_back_can_be_acknowledged_again(mq, channel, done):
    mq.queue("done").send_many(["one", "two", "three"])
    channel.tx_select()
    one, two, three = (done.get() for _ in range(3))
    two.ack(multiple=True)
    three.nack()
    channel.tx_rollback()
    assert ready(mq, "done") == 0  # not even the one that was put back
    one.ack()
    with pytest.raises(warrenmq.PreconditionFailed):
        one.ack()
    channel.tx_commit()
    with pytest.raises(warrenmq.PreconditionFailed):
        one.ack()
    channel.close()
    assert ready(mq, "done") == 2


def test_recover_has_what_was_rolled_back_delivered_again(mq, channel, done):
    mq.queue("done").send("one")
    channel.tx_select()
    done.get().ack()
    channel.tx_rollback()
    channel.recover()
    channel.tx_commit()
    again = done.get()
    assert (again.text(), again.redelivered) == ("one", True)


def test_a_block_commits_at_its_end_and_rolls_back_with_an_exception(mq, channel, done):
    with channel.transaction():
        done.send("one")
        assert ready(mq, "done") == 0
    assert ready(mq, "done") == 1
    with pytest.raises(KeyError), channel.transaction():
        fail(done.send("two"))
    with channel.transaction():
        done.send("three")
    assert ready(mq, "done") == 2


def test_the_error_of_a_block_is_not_hidden_by_that_of_its_rollback(channel, done):
    with pytest.raises(KeyError), channel.transaction():
        fail(channel.close())


def test_there_is_no_commit_without_a_transaction(channel):
    with pytest.raises(warrenmq.PreconditionFailed):
        channel.tx_commit()


def test_transactions_of_asyncio_do_the_same(url):
    async def test():
        async with aio.connect(url) as mq:
            await (await mq.queue("tasks")).send("task")
            channel = await mq.channel()
            tasks, done = await channel.queue("tasks"), await channel.queue("done")
            task = await tasks.get()
            with contextlib.suppress(KeyError):
                async with channel.transaction():
                    await done.send("done")
                    fail(task.ack())
            async with channel.transaction():
                assert not (await done.send("done")).confirmed
                task.ack()
            await channel.tx_rollback()
            assert await channel.tx_commit() == []
            await channel.close()
            return [(await mq.queue(name)).message_count for name in ("tasks", "done")]

    assert asyncio.run(test()) == [0, 1]
