"""pika from threads, and its heartbeats."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest

from stock.pika_words import Inbox, send


def test_many_threads_share_the_work_of_one_queue(broker, channel, name):
    """Each thread has its own connection, as pika wants it; every task is done once."""
    queue, tasks, workers = name("tasks"), 200, 4
    channel.queue_declare(queue, durable=True)
    done, lock, finished = [], threading.Lock(), threading.Event()

    def work(number):
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        consuming = connection.channel()
        consuming.basic_qos(prefetch_count=1)
        inbox = Inbox(consuming, queue)
        seen = 0
        while not finished.is_set():
            connection.process_data_events(0.05)
            for method, _, body in inbox.deliveries[seen:]:
                consuming.basic_ack(method.delivery_tag)
                with lock:
                    done.append((number, body))
                    if len(done) == tasks:
                        finished.set()
            seen = len(inbox.deliveries)
        connection.close()

    def produce(start):
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        producing = connection.channel()
        producing.confirm_delivery()
        send(producing, queue, *[b"%d" % number for number in range(start, start + tasks // 2)])
        connection.close()

    with ThreadPoolExecutor(workers + 2) as pool:
        running = [pool.submit(work, number) for number in range(workers)]
        running += [pool.submit(produce, start) for start in (0, tasks // 2)]
        for one in running:
            one.result()
    assert sorted(int(body) for _, body in done) == list(range(tasks))
    assert {number for number, _ in done} == set(range(workers)), "a worker got nothing"
    channel.queue_delete(queue)


def test_an_ack_may_come_from_another_thread(connect, channel, name):
    queue = name("q")
    channel.queue_declare(queue)
    connection = connect()
    inbox = Inbox(connection.channel(), queue)
    send(channel, queue, b"1")
    inbox.take(1)
    threading.Thread(target=lambda: connection.add_callback_threadsafe(inbox.ack)).start()
    connection.process_data_events(10)
    inbox.channel.close()
    assert channel.queue_declare(queue, passive=True).method.message_count == 0


def test_long_work_in_a_thread_keeps_its_connection_alive(connect, channel, name):
    """As pika's documentation has it: the connection's thread only looks after the connection."""
    queue = name("q")
    channel.queue_declare(queue)
    connection = connect(heartbeat=1)
    consuming = connection.channel()
    consuming.basic_qos(prefetch_count=1)
    inbox = Inbox(consuming, queue)
    send(channel, queue, b"1", b"2")
    inbox.take(1)
    worked = threading.Event()

    def work():
        time.sleep(4)  # twice as long as a silent client is given
        connection.add_callback_threadsafe(inbox.ack)
        worked.set()

    threading.Thread(target=work).start()
    assert inbox.take(2) == [b"1", b"2"]
    assert worked.is_set(), "the second came before the first was acked"
    inbox.ack()
    channel.queue_delete(queue)


def test_work_that_starves_the_heartbeats_is_given_to_another(connect, channel, other, name):
    queue = name("q")
    channel.queue_declare(queue)
    silent = connect(heartbeat=1)
    starving = Inbox(silent.channel(), queue)
    send(channel, queue, b"x")
    starving.take(1)
    inbox = Inbox(other, queue)
    assert inbox.take(1) == [b"x"]  # and meanwhile the first connection's thread does nothing
    assert inbox.deliveries[0][0].redelivered
    inbox.ack()
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        starving.ack()
        silent.process_data_events(10)
    channel.queue_delete(queue)


def test_an_idle_connection_lives_on_its_heartbeats(connect, channel, name):
    connection = connect(heartbeat=1)
    connection.sleep(4)  # twice as long as a silent client is given
    assert connection.is_open
    assert connection.channel().queue_declare("", exclusive=True).method.message_count == 0


def test_frame_max_is_negotiated_and_bodies_are_split_by_it(connect, name):
    channel = connect(frame_max=4096).channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    body = bytes(range(256)) * 100
    send(channel, queue, body)
    assert channel.basic_get(queue, auto_ack=True)[2] == body


def test_many_channels_of_one_connection_work_side_by_side(connect, name):
    connection = connect()
    channels = [connection.channel() for _ in range(50)]
    for channel in channels:
        channel.confirm_delivery()
    queues = [channel.queue_declare("", exclusive=True).method.queue for channel in channels]
    for number, channel in enumerate(channels):
        send(channel, queues[-1 - number], b"%d" % number)
    received = [channel.basic_get(queue, auto_ack=True)[2] for channel, queue in zip(channels, queues, strict=True)]
    assert received == [b"%d" % number for number in reversed(range(50))]
