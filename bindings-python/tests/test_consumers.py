"""Consumers, acknowledgements and channels."""

import gc
import threading
import time

import pytest

import warrenmq


@pytest.fixture
def tasks(mq):
    queue = mq.queue("tasks")
    queue.send_many(["a", "b", "c", "d"])
    return queue


def waiting(queue, count):
    """Waits until so many messages are ready."""
    until = time.monotonic() + 5
    while (ready := queue.info().message_count) != count:
        assert time.monotonic() < until, f"{ready} messages are ready, not {count}"
        time.sleep(0.001)


def becomes(queue, message_count, consumer_count):
    """Waits until a queue is in this state."""
    until = time.monotonic() + 5
    while (info := queue.info()) != (queue.name, message_count, consumer_count):
        assert time.monotonic() < until, info
        time.sleep(0.001)


def rest(queue):
    told = []
    while (message := queue.get(no_ack=True)) is not None:
        told.append((message.text(), message.redelivered))
    return told


def test_messages_come_in_order_with_their_tags(tasks):
    with tasks.consume(tag="me") as consumer:
        assert consumer.tag == "me"
        messages = [consumer.get() for _ in range(4)]
    assert [message.text() for message in messages] == ["a", "b", "c", "d"]
    assert [message.delivery_tag for message in messages] == [1, 2, 3, 4]
    assert {(message.exchange, message.routing_key, message.redelivered) for message in messages} == {
        ("", "tasks", False)
    }


def test_the_broker_makes_up_a_tag(tasks):
    with tasks.consume() as consumer:
        assert consumer.tag.startswith("amq.ctag-")


def test_no_more_than_the_prefetch_is_delivered_before_an_ack(tasks):
    with tasks.consume(prefetch=2) as consumer:
        first, second = consumer.get(), consumer.get()
        assert consumer.get(timeout=0.02) is None
        second.ack()
        assert consumer.get(timeout=1).text() == "c"
        first.ack()
        assert consumer.get(timeout=1).text() == "d"


@pytest.mark.parametrize("prefetch", [-1, 65536, 2**70])
def test_a_prefetch_out_of_range_is_refused(tasks, prefetch):
    with pytest.raises(OverflowError):
        tasks.consume(prefetch)


def test_get_waits_as_long_as_it_is_told(tasks):
    tasks.purge()
    with tasks.consume() as consumer:
        for timeout in (0, 0.05):
            begin = time.monotonic()
            assert consumer.get(timeout=timeout) is None
            assert timeout <= time.monotonic() - begin < timeout + 0.5
        for wrong in (-1, float("nan"), float("inf")):
            with pytest.raises(warrenmq.InvalidArgument, match="timeout"):
                consumer.get(timeout=wrong)


def test_breaking_out_of_the_loop_puts_back_what_was_not_acknowledged(tasks):
    for message in tasks.consume():
        if message.text() == "a":
            message.ack()
        else:
            break
    waiting(tasks, 3)
    assert [text for text, _ in rest(tasks)] == ["b", "c", "d"]
    with pytest.raises(warrenmq.Closed, match="went back to its queue"):
        message.ack()


def test_leaving_the_with_block_puts_back_what_was_not_acknowledged_and_keeps_what_was(tasks):
    with tasks.consume() as consumer:
        next(consumer).ack()
        next(consumer)
    waiting(tasks, 3)
    assert rest(tasks)[0] == ("b", True)
    with pytest.raises(StopIteration):
        next(consumer)


def test_an_exception_in_the_loop_puts_back_too(tasks):
    def fail():
        for _ in tasks.consume():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    waiting(tasks, 4)


def test_a_cancelled_consumer_puts_back_what_it_has_not_handed_out_and_the_rest_can_be_acknowledged(tasks):
    consumer = tasks.consume()
    message = next(consumer)
    consumer.cancel()
    assert list(consumer) == []
    assert consumer.get() is None
    waiting(tasks, 3)
    message.ack()
    consumer.cancel()
    del consumer
    assert [text for text, _ in rest(tasks)] == ["b", "c", "d"]


def test_what_a_cancelled_consumer_handed_out_goes_back_when_nobody_can_acknowledge_it_any_more(tasks):
    consumer = tasks.consume()
    message = next(consumer)
    consumer.cancel()
    del consumer
    waiting(tasks, 3)
    del message
    waiting(tasks, 4)


def test_cancelling_inside_the_loop_ends_it(tasks):
    seen = []
    with tasks.consume() as consumer:
        for message in consumer:
            seen.append(message.text())
            message.ack()
            consumer.cancel()
    assert seen == ["a"]
    waiting(tasks, 3)


def test_without_acknowledgement_messages_are_gone_when_they_are_delivered(tasks):
    with tasks.consume(no_ack=True) as consumer:
        message = next(consumer)
        assert tasks.info().message_count == 0
        with pytest.raises(warrenmq.PreconditionFailed, match="nothing to acknowledge") as caught:
            message.ack()
        assert caught.value.operation == "basic.ack"


def test_what_a_consumer_without_acknowledgement_was_sent_can_be_received_after_it_was_cancelled(tasks):
    consumer = tasks.consume(no_ack=True)
    assert next(consumer).text() == "a"
    consumer.cancel()
    assert [message.text() for message in consumer] == ["b", "c", "d"]


def test_acknowledging_twice_is_an_error(tasks):
    with tasks.consume() as consumer:
        message, other = next(consumer), next(consumer)
        message.ack()
        for again in (message.ack, message.nack, message.reject):
            with pytest.raises(warrenmq.PreconditionFailed, match="already"):
                again()
        other.ack()


def test_acknowledging_multiple_covers_all_before(tasks):
    with tasks.consume() as consumer:
        messages = [next(consumer) for _ in range(4)]
        messages[2].ack(multiple=True)
        with pytest.raises(warrenmq.PreconditionFailed, match="already"):
            messages[0].ack()
    waiting(tasks, 1)
    assert rest(tasks) == [("d", True)]


def test_nack_and_reject_put_back_to_the_old_place_or_away(tasks):
    with tasks.consume(prefetch=4) as consumer:
        a, b, c, d = (next(consumer) for _ in range(4))
        consumer.cancel()
        b.nack()
        a.reject()
        c.reject(requeue=False)
        d.nack(requeue=False)
        waiting(tasks, 2)
        assert rest(tasks) == [("a", True), ("b", True)]


def test_nack_multiple_puts_back_all_before(tasks):
    with tasks.consume(prefetch=4) as consumer:
        messages = [next(consumer) for _ in range(4)]
        consumer.cancel()
        messages[2].nack(multiple=True)
        waiting(tasks, 3)
        assert [text for text, _ in rest(tasks)] == ["a", "b", "c"]


def test_an_ack_leaves_by_itself_within_milliseconds(tasks):
    with tasks.consume(prefetch=100) as consumer:
        first, second, third, _ = (next(consumer) for _ in range(4))
        first.ack()
        second.ack()
        time.sleep(0.1)
        # The channel knows of both: to refuse them again would be an error of the broker's.
        third.nack(requeue=False)
    waiting(tasks, 1)
    assert [text for text, _ in rest(tasks)] == ["d"]


def test_acks_that_gathered_leave_when_the_consumer_or_the_connection_closes():
    with warrenmq.connect("inproc://gathered") as watcher:
        with warrenmq.connect("inproc://gathered") as mq:
            queue = mq.queue("tasks")
            queue.send_many(["a", "b"])
            consumer = queue.consume()
            next(consumer).ack()
            mq.close()
        waiting(watcher.queue("tasks"), 1)


def test_a_get_must_be_acknowledged_unless_it_says_otherwise(mq, tasks):
    a, b = tasks.get(), tasks.get(no_ack=True)
    assert (a.text(), b.text()) == ("a", "b")
    a.nack()
    waiting(tasks, 3)
    assert tasks.get().text() == "a"
    mq.queue("empty")
    assert mq.queue("empty").get() is None


def test_a_delivery_whose_time_is_put_off_stays_and_others_go_back(mq):
    queue = mq.queue("timed", consumer_timeout=100)
    queue.send_many(["slow", "slower"])
    with queue.consume() as messages:
        slow, slower = messages.get(timeout=5), messages.get(timeout=5)
        slow.extend(60_000)  # its time would come first
        again = messages.get(timeout=5)
        assert (again.text(), again.redelivered) == ("slower", True)
        slow.ack()
        again.ack()
        with pytest.raises(warrenmq.PreconditionFailed):
            slow.extend(1)
    assert queue.get() is None
    assert slower.text() == "slower"


def test_a_time_is_put_off_by_no_less_than_nothing(tasks):
    tasks.send("x")
    with pytest.raises(warrenmq.InvalidArgument, match="milliseconds: -1 is less than 0"):
        tasks.get().extend(-1)
    tasks.send("y")
    with pytest.raises(warrenmq.PreconditionFailed, match="nothing to acknowledge"):
        tasks.get(no_ack=True).extend(1)


def test_a_consumer_whose_queue_is_deleted_ends_with_an_error(tasks):
    with tasks.consume() as consumer:
        for _ in range(4):
            next(consumer).ack()
        tasks.delete()
        with pytest.raises(warrenmq.Closed, match="the queue was deleted"):
            next(consumer)


def test_a_consumer_of_a_missing_queue_is_refused(tasks):
    tasks.delete()
    with pytest.raises(warrenmq.NotFound):
        tasks.consume()


def test_an_exclusive_consumer_keeps_others_out(tasks):
    with tasks.consume(exclusive=True), pytest.raises(warrenmq.AccessRefused):
        tasks.consume()


def test_a_consumer_of_higher_priority_is_served_first(mq):
    queue = mq.queue("tasks")
    with queue.consume() as low, queue.consume(arguments={"x-priority": 10}) as high:
        queue.send_many(["a", "b"])
        assert [high.get(timeout=1).text() for _ in range(2)] == ["a", "b"]
        assert low.get(timeout=0) is None


def test_two_consumers_take_turns(mq):
    queue = mq.queue("tasks")
    with queue.consume(prefetch=1) as one, queue.consume(prefetch=1) as two:
        queue.send_many(["1", "2", "3", "4"])
        first, second = one.get(timeout=5), two.get(timeout=5)
        assert (first.text(), second.text()) == ("1", "2")
        second.ack()
        assert two.get(timeout=5).text() == "3"
        first.ack()
        assert one.get(timeout=5).text() == "4"


def test_a_consumer_that_nobody_holds_is_gone(mq, tasks):
    tasks.consume()
    becomes(tasks, 4, 0)
    consumer = tasks.consume()
    becomes(tasks, 0, 1)
    del consumer
    gc.collect()
    becomes(tasks, 4, 0)


def test_a_channel_shares_one_prefetch_among_its_consumers(mq):
    queues = [mq.queue(name) for name in ("left", "right")]
    for queue in queues:
        queue.send_many(["1", "2"])
    with mq.channel() as channel:
        channel.prefetch(1, global_=True)
        left, right = (channel.queue(queue.name).consume() for queue in queues)
        first = left.get(timeout=1)
        assert first.text() == "1"
        assert right.get(timeout=0.02) is None
        first.ack()
        assert (left.get(timeout=0.2) or right.get(timeout=0.2)) is not None


def test_a_channel_limits_each_of_its_consumers_to_come(mq, tasks):
    with mq.channel() as channel:
        channel.prefetch(1)
        with channel.queue("tasks").consume() as consumer:
            assert consumer.get(timeout=1).text() == "a"
            assert consumer.get(timeout=0.02) is None


def test_recover_has_everything_unacknowledged_delivered_again(mq, tasks):
    with mq.channel() as channel:
        consumer = channel.queue("tasks").consume()
        assert [next(consumer).text() for _ in range(4)] == ["a", "b", "c", "d"]
        channel.recover()
        again = [next(consumer) for _ in range(4)]
        assert [(message.text(), message.redelivered) for message in again] == [
            ("a", True),
            ("b", True),
            ("c", True),
            ("d", True),
        ]


def test_closing_a_channel_puts_back_what_it_had_not_acknowledged(mq, tasks):
    channel = mq.channel()
    consumer = channel.queue("tasks").consume()
    next(consumer)
    assert channel.is_open
    channel.close()
    channel.close()
    assert not channel.is_open
    waiting(tasks, 4)
    with pytest.raises(warrenmq.Closed):
        channel.queue("tasks")


def test_any_number_of_threads_share_a_consumer(mq):
    queue, count = mq.queue("tasks"), 20_000
    seen, lock = [], threading.Lock()

    def work(consumer):
        mine = []
        for message in consumer:
            mine.append(int(message.text()))
            message.ack()
        with lock:
            seen.extend(mine)

    with queue.consume() as consumer:
        threads = [threading.Thread(target=work, args=(consumer,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        queue.send_many(str(number) for number in range(count))
        waiting(queue, 0)
        while queue.info().message_count:
            time.sleep(0.001)
        time.sleep(0.05)
        consumer.cancel()
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive()
    left = [int(text) for text, _ in rest(queue)]
    assert sorted(seen + left) == list(range(count))


def test_many_threads_send_and_receive_at_once(mq):
    queue, each, senders = mq.queue("tasks"), 5_000, 4

    def send(sender):
        for number in range(each):
            queue.send(f"{sender} {number}")

    got = []

    def receive():
        with queue.consume(prefetch=50) as consumer:
            while len(got) < each * senders:
                message = consumer.get(timeout=5)
                got.append(message.text())
                message.ack()

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
    threads.append(threading.Thread(target=receive))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for sender in range(senders):
        mine = [text for text in got if text.startswith(f"{sender} ")]
        assert mine == [f"{sender} {number}" for number in range(each)]


def test_a_thread_that_waits_lets_others_run(mq):
    queue = mq.queue("tasks")
    with queue.consume() as consumer:
        thread = threading.Thread(target=consumer.get)
        thread.start()
        begin = time.monotonic()
        while time.monotonic() - begin < 0.05:
            pass
        assert thread.is_alive()
        queue.send("wake up")
        thread.join(5)
        assert not thread.is_alive()
