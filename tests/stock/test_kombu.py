"""kombu by itself: what applications use of it, and what Celery is built on."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from amqp.exceptions import (
    AccessRefused,
    ConsumerCancelled,
    MessageNacked,
    NotAllowed,
    NotFound,
    PreconditionFailed,
    ResourceLocked,
)
from kombu import Connection, Consumer, Exchange, Producer, Queue, pools
from kombu.common import Broadcast
from kombu.exceptions import ContentDisallowed
from kombu.mixins import ConsumerMixin, ConsumerProducerMixin
from kombu.pidbox import Mailbox
from kombu.simple import SimpleBuffer, SimpleQueue
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    calculate_routing_key,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from support.proxy import Proxy
from support.waiting import eventually

TIMEOUT = 10  # seconds, for what is expected to come
CONFIRMS = {"confirm_publish": True}


@pytest.fixture
def connection(broker):
    with Connection(broker.url) as connection:
        yield connection


@pytest.fixture
def confirming(broker):
    """A connection whose publishes return when the broker has the message."""
    with Connection(broker.url, transport_options=CONFIRMS) as connection:
        yield connection


@pytest.fixture
def proxy(broker):
    with Proxy(broker) as proxy:
        yield proxy


def receive(connection, queues, count=1, **options):
    """(body, message) of the next messages of these queues, acked."""
    received = []

    def on_message(body, message):
        received.append((body, message))
        message.ack()

    with Consumer(connection, queues, callbacks=[on_message], **options):
        while len(received) < count:
            connection.drain_events(timeout=TIMEOUT)
    return received


def count(connection, queue):
    return queue(connection.default_channel).queue_declare(passive=True).message_count


@contextmanager
def running(consumer):
    """A ConsumerMixin in a thread of its own."""
    thread = threading.Thread(target=consumer.run)
    thread.start()
    try:
        yield
    finally:
        consumer.should_stop = True
        thread.join(TIMEOUT)


def test_kombu_takes_the_broker_for_rabbitmq_of_its_3_x_series(connection):
    """By this Celery decides to change the prefetch of a whole channel."""
    connection.connect()
    assert connection.qos_semantics_matches_spec is False


@pytest.mark.parametrize("serializer", ["json", "pickle"])
@pytest.mark.parametrize("compression", [None, "zlib", "bzip2", "lzma"])
def test_each_serializer_and_compression_survives(confirming, name, serializer, compression):
    queue = Queue(name("q"), exclusive=True)
    sent = {"text": "Grüße 🐇" * 100, "list": [1, 2.5, None, True]}
    Producer(confirming).publish(
        sent, routing_key=queue.name, declare=[queue], serializer=serializer, compression=compression
    )
    ((body, message),) = receive(confirming, [queue], accept=["json", "pickle"])
    assert body == sent
    assert message.headers.get("compression", "").startswith("application/x-" if compression else "")


def test_what_a_consumer_does_not_accept_is_left_to_it(confirming, name):
    queue = Queue(name("q"), exclusive=True)
    Producer(confirming).publish({}, routing_key=queue.name, declare=[queue], serializer="pickle")
    with pytest.raises(ContentDisallowed):
        receive(confirming, [queue], accept=["json"])


def test_queues_are_declared_with_what_kombu_offers(confirming, name):
    """kombu writes each of these as an argument of the queue; an equal declaration passes, another one does not."""
    options = {"expires": 60, "message_ttl": 0.5, "max_length": 3, "max_length_bytes": 1000, "max_priority": 5}
    queue = Queue(name("q"), Exchange(name("x"), "direct"), "key", **options)
    producer = Producer(confirming)
    for number in range(5):
        producer.publish(number, exchange=queue.exchange, routing_key="key", declare=[queue], priority=number)
    assert count(confirming, queue) == 3
    eventually(lambda: count(confirming, queue) == 0)
    queue(confirming.default_channel).declare()
    with pytest.raises(PreconditionFailed, match="inequivalent arg 'x-max-priority'"):
        Queue(queue.name, **(options | {"max_priority": 6}))(confirming.channel()).declare()
    queue(confirming.channel()).delete()


def test_exchanges_are_bound_to_exchanges(confirming, name):
    first, second = Exchange(name("a"), "topic"), Exchange(name("b"), "fanout")
    queue = Queue(name("q"), second, exclusive=True)
    queue(confirming.default_channel).declare()
    bound = second(confirming.default_channel)
    first(confirming.default_channel).declare()
    bound.bind_to(first, "news.*")
    producer = Producer(confirming, exchange=first)
    producer.publish("in", routing_key="news.today")
    producer.publish("out", routing_key="old")
    assert count(confirming, queue) == 1
    bound.unbind_from(first, "news.*")
    producer.publish("out", routing_key="news.today")
    assert count(confirming, queue) == 1
    assert [body for body, _ in receive(confirming, [queue])] == ["in"]


def test_a_simple_queue_puts_and_gets(confirming, name):
    with SimpleQueue(confirming, name("simple"), queue_opts={"auto_delete": True}) as simple:
        simple.put("no more wanted")
        assert simple.clear() == 1
        for number in range(3):
            simple.put({"number": number})
        assert simple.qsize() == 3
        for number in range(3):
            message = simple.get(timeout=TIMEOUT)
            assert message.payload == {"number": number}
            message.ack()
        with pytest.raises(simple.Empty):
            simple.get_nowait()


def test_a_simple_buffer_needs_no_acks(confirming, name):
    with SimpleBuffer(confirming, name("buffer")) as buffer:
        buffer.put("x")
        assert buffer.get(timeout=TIMEOUT).payload == "x"


def test_every_receiver_of_a_broadcast_gets_it(broker, confirming, name):
    word = name("all")
    with Connection(broker.url) as other:
        queues = [Broadcast(word), Broadcast(word)]
        inboxes = []
        for connection, queue in zip((confirming, other), queues, strict=True):
            inboxes.append([])
            Consumer(connection, [queue], on_message=inboxes[-1].append, no_ack=True).consume()
        Producer(confirming).publish("hello", exchange=queues[0].exchange)
        for connection, inbox in zip((confirming, other), inboxes, strict=True):
            while not inbox:
                connection.drain_events(timeout=TIMEOUT)
            assert [message.payload for message in inbox] == ["hello"]


def test_prefetch_bounds_what_a_consumer_holds(connection, confirming, name):
    queue = Queue(name("q"), auto_delete=True)
    held = []
    consumer = Consumer(connection, [queue], on_message=held.append)
    consumer.qos(prefetch_count=2, apply_global=True)  # as Celery does, and changes it when it holds a task back
    with consumer:
        for number in range(5):
            Producer(confirming).publish(number, routing_key=queue.name)
        while len(held) < 2:
            connection.drain_events(timeout=TIMEOUT)
        assert count(confirming, queue) == 3
        consumer.qos(prefetch_count=4, apply_global=True)
        while len(held) < 4:
            connection.drain_events(timeout=TIMEOUT)
        for message in held:
            message.ack()
        while len(held) < 5:
            connection.drain_events(timeout=TIMEOUT)
        held[-1].reject()
    assert [message.payload for message in held] == list(range(5))


def test_a_requeued_message_comes_back(connection, confirming, name):
    queue = Queue(name("q"), exclusive=True)(connection.default_channel)
    queue.declare()
    Producer(connection).publish("x", routing_key=queue.name)
    first = eventually(queue.get)
    first.requeue()
    second = eventually(queue.get)
    assert (first.delivery_info["redelivered"], second.delivery_info["redelivered"]) == (False, True)
    connection.default_channel.basic_recover(requeue=True)
    assert eventually(queue.get).payload == "x"


def test_a_confirmed_publish_tells_what_the_broker_refused(broker, name):
    with Connection(broker.url, transport_options=CONFIRMS) as connection:
        with pytest.raises(NotFound, match="no exchange 'nowhere'"):
            Producer(connection).publish("x", exchange="nowhere")
    full = Queue(name("full"), max_length=1, queue_arguments={"x-overflow": "reject-publish"}, exclusive=True)
    with Connection(broker.url, transport_options=CONFIRMS) as connection:
        producer = Producer(connection)
        producer.publish("one", routing_key=full.name, declare=[full])
        with pytest.raises(MessageNacked):
            producer.publish("two", routing_key=full.name)


def test_a_mandatory_message_without_a_queue_comes_back(confirming):
    returned = []
    producer = Producer(confirming, on_return=lambda error, *_: returned.append((error.reply_code, error.reply_text)))
    producer.publish("x", routing_key="no such queue", mandatory=True)
    assert returned == [(312, "NO_ROUTE")]


def test_errors_are_what_applications_catch(broker, connection, name):
    def channel():
        return connection.channel()

    with pytest.raises(NotFound, match="no queue 'no such queue'") as error:
        channel().queue_declare("no such queue", passive=True)
    assert isinstance(error.value, connection.channel_errors)
    with pytest.raises(AccessRefused):
        channel().exchange_declare("amq.mine", "direct")
    with Connection(broker.url) as other:
        other.default_channel.queue_declare(mine := name("mine"), exclusive=True)
        with pytest.raises(ResourceLocked):
            channel().queue_declare(mine, passive=True)
    with pytest.raises(NotAllowed) as error:
        Connection(broker.url.replace("%2F", "no such vhost")).connect()
    assert isinstance(error.value, connection.connection_errors)
    with pytest.raises(AccessRefused, match="ACCESS_REFUSED - Login was refused"):
        Connection(broker.url.replace("guest:guest", "guest:wrong")).connect()


def test_a_consumer_learns_that_its_queue_is_gone(broker, connection, name):
    queue = Queue(name("q"))
    with Consumer(connection, [queue]), Connection(broker.url) as other:
        queue(other.default_channel).delete()
        with pytest.raises(ConsumerCancelled):
            connection.drain_events(timeout=TIMEOUT)


def test_heartbeats_keep_a_quiet_connection(broker):
    with Connection(broker.url, heartbeat=1) as connection:
        connection.connect()
        assert connection.get_heartbeat_interval() == 1
        end = time.monotonic() + 3
        while time.monotonic() < end:
            with pytest.raises(socket.timeout):
                connection.drain_events(timeout=0.25)
            connection.heartbeat_check(rate=2)
        connection.default_channel.queue_declare(exclusive=True)


def test_the_next_broker_is_tried_when_one_is_down(broker, proxy):
    proxy.down()
    with Connection([proxy.url, broker.url]) as connection:
        connection.ensure_connection(max_retries=3, interval_start=0)
        assert connection.as_uri() == broker.url.replace("guest:guest", "guest:**").replace("/%2F", "//")
        connection.default_channel.queue_declare(exclusive=True)


def test_a_publish_with_retry_survives_a_cut(confirming, proxy, name):
    queue = Queue(name("q"))
    with Connection(proxy.url, transport_options=CONFIRMS) as connection, pools.producers[connection].acquire() as p:
        for number in range(3):
            p.publish(number, routing_key=queue.name, declare=[queue], retry=True, retry_policy={"interval_start": 0})
            proxy.cut()
    assert [body for body, _ in receive(confirming, [queue], 3)] == [0, 1, 2]
    queue(confirming.default_channel).delete()
    pools.reset()


def test_a_consumer_mixin_consumes_again_after_a_cut(confirming, proxy, name):
    class Work(ConsumerMixin):
        def __init__(self, connection):
            self.connection, self.seen, self.readies = connection, [], 0

        def get_consumers(self, consumer, channel):
            return [consumer([queue, Queue(exclusive=True)], callbacks=[self.on_task], prefetch_count=1)]

        def on_consume_ready(self, *_, **__):
            self.readies += 1

        def on_task(self, body, message):
            self.seen.append(body)
            if body != "unacked" or message.delivery_info["redelivered"]:
                message.ack()

    queue = Queue(name("q"), Exchange(name("x"), "direct"), "key")
    producer = Producer(confirming, exchange=queue.exchange, routing_key="key")
    work = Work(Connection(proxy.url))
    with running(work):
        eventually(lambda: work.readies == 1)
        producer.publish("one")
        producer.publish("unacked")
        eventually(lambda: work.seen == ["one", "unacked"])
        proxy.cut()
        eventually(lambda: work.seen == ["one", "unacked", "unacked"])
        producer.publish("two")
        eventually(lambda: work.seen[-1] == "two")
        assert work.readies == 2
    queue(confirming.default_channel).delete()


def test_a_consumer_producer_mixin_serves_calls(connection, name):
    class Server(ConsumerProducerMixin):
        def __init__(self, connection):
            self.connection = connection

        def get_consumers(self, consumer, channel):
            return [consumer([calls], on_message=self.on_request, accept={"json"}, prefetch_count=1)]

        def on_request(self, message):
            self.producer.publish(
                message.payload["n"] ** 2,
                exchange="",
                routing_key=message.properties["reply_to"],
                correlation_id=message.properties["correlation_id"],
                retry=True,
            )
            message.ack()

    calls, answers = Queue(name("rpc")), Queue(name("answers"), exclusive=True)(connection.default_channel)
    answers.declare()
    with running(Server(connection.clone())):
        Producer(connection).publish(
            {"n": 7}, routing_key=calls.name, declare=[calls], reply_to=answers.name, correlation_id="c1"
        )
        ((answer, message),) = receive(connection, [answers])
    assert (answer, message.properties["correlation_id"]) == (49, "c1")
    calls(connection.default_channel).delete()


def test_a_mailbox_calls_every_process_or_one(broker, name):
    """The control commands of Celery. All its queues are exclusive, expire, and keep messages for a while."""
    mailbox = Mailbox(name("app"), type="fanout", queue_ttl=5, queue_expires=10, reply_queue_ttl=5)
    heard, stop, ready = [], threading.Event(), threading.Barrier(3)

    def serve(hostname):
        with Connection(broker.url) as connection:
            node = mailbox(connection).Node(hostname, state=hostname, channel=connection.default_channel)
            node.handlers["double"] = lambda state, number: number * 2
            node.handlers["note"] = lambda state: heard.append(state)
            node.listen()
            ready.wait(TIMEOUT)
            while not stop.is_set():
                try:
                    connection.drain_events(timeout=0.05)
                except TimeoutError:
                    continue

    with ThreadPoolExecutor() as pool, Connection(broker.url) as connection:
        serving = [pool.submit(serve, hostname) for hostname in ("one", "two")]
        try:
            ready.wait(TIMEOUT)
            box = mailbox(connection)
            answers = box.multi_call("double", {"number": 4}, timeout=TIMEOUT, limit=2)
            assert sorted(host for answer in answers for host in answer) == ["one", "two"]
            assert box.call(["two"], "double", {"number": 4}, timeout=TIMEOUT) == [{"two": 8}]
            box.abcast("note")
            eventually(lambda: sorted(heard) == ["one", "two"])
        finally:
            stop.set()
    for one in serving:
        one.result()


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_native_delayed_delivery_brings_each_message_when_it_is_due(broker, confirming, name, queue_type):
    prefix = name(queue_type)
    exchange = Exchange(name("tasks"), "topic")
    queue = Queue(name("q"), exchange, "work", queue_arguments={"x-queue-type": queue_type})
    queue(confirming.default_channel).declare()
    declare_native_delayed_delivery_exchanges_and_queues(confirming, queue_type, prefix)
    bind_queue_to_native_delayed_delivery_exchange(confirming, queue, prefix)
    sent = time.time()
    for seconds in (3, 1):
        Producer(confirming).publish(
            seconds, exchange=f"{prefix}_celery_delayed_27", routing_key=calculate_routing_key(seconds, "work")
        )
    arrived = []

    def on_message(message):
        arrived.append((message.payload, time.time() - sent))
        message.ack()

    with Consumer(confirming, [queue], on_message=on_message):
        while len(arrived) < 2:
            confirming.drain_events(timeout=TIMEOUT)
    assert [seconds for seconds, _ in arrived] == [1, 3]
    for seconds, after in arrived:
        assert seconds <= after < seconds + 2
