"""The verbs of the scenarios in terms of pika: the oracle's own words, spoken by a stock client."""

import json
import threading
import time
from collections import deque

import pika
from pika.exceptions import AMQPChannelError, AMQPConnectionError, NackError, UnroutableError

from common import FUNCTIONS, PROPERTIES, REPLY_CODES, TIMEOUT, body_of, fields_of, seen

REPLY_TO = "amq.rabbitmq.reply-to"


def error_of(error):
    if isinstance(error, TimeoutError):
        return {"code": "TIMEOUT", "text": str(error)}
    if isinstance(error, NackError):
        return {"code": "NACKED", "text": str(error)}
    if isinstance(error, (AMQPChannelError, AMQPConnectionError)) and hasattr(error, "reply_code"):
        return {"code": REPLY_CODES.get(error.reply_code, error.reply_code), "text": error.reply_text}
    return None


class Consumer:
    def __init__(self, channel, queue, tag, arrived):
        self.channel, self.queue, self.tag, self.arrived = channel, queue, tag, arrived
        self.cancelled = False


class Session:
    """One role: a connection with its channels, consumers, held messages and calls, each under its name."""

    def __init__(self, url):
        self._url = url
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channels, self._consumers, self._messages = {}, {}, {}
        self._replies, self._deadlines, self._servers = {}, {}, []

    def close(self):
        for connection, channel, thread in self._servers:
            connection.add_callback_threadsafe(channel.stop_consuming)
            thread.join()
            connection.close()
        if self._connection.is_open:  # an error of its own may have closed it
            self._connection.close()

    def queue(self, name, arguments=None, channel=None, **options):
        ok = self._channel(channel).queue_declare(name, arguments=fields_of(arguments), **options).method
        return {"name": ok.queue, "messages": ok.message_count, "consumers": ok.consumer_count}

    def exchange(self, name, type="direct", arguments=None, channel=None, **options):
        self._channel(channel).exchange_declare(name, type, arguments=fields_of(arguments), **options)

    def bind(self, exchange, queue=None, destination=None, routing_key="", arguments=None, channel=None):
        on = self._channel(channel)
        if queue is None:
            on.exchange_bind(destination, exchange, routing_key, arguments)
        else:
            on.queue_bind(queue, exchange, routing_key, arguments)

    def unbind(self, exchange, queue=None, destination=None, routing_key="", arguments=None, channel=None):
        on = self._channel(channel)
        if queue is None:
            on.exchange_unbind(destination, exchange, routing_key, arguments)
        else:
            on.queue_unbind(queue, exchange, routing_key, arguments)

    def send(self, queue, **message):
        return self.publish("", queue, **message)

    def publish(self, exchange, routing_key="", body="", mandatory=False, headers=None, properties=None, channel=None):
        body, properties = body_of(body), dict(properties or {})
        if not isinstance(body, (str, bytes)):
            body = json.dumps(body)
            properties["content_type"] = "application/json"
        properties = pika.BasicProperties(headers=fields_of(headers), **properties)
        try:
            self._channel(channel).basic_publish(exchange, routing_key, body, properties, mandatory)
        except UnroutableError as error:
            returned = error.messages[0]
            told = message_of(returned.method, returned.properties, returned.body)
            about = {"reply_code": returned.method.reply_code, "reply_text": returned.method.reply_text}
            return {"routed": False, "returned": told | about}
        return {"routed": True} if mandatory else {}

    def prefetch(self, count, channel=None, **options):
        self._channel(channel).basic_qos(prefetch_count=count, global_qos=options.get("global", False))

    def consume(
        self, queue, consumer, prefetch=None, no_ack=False, exclusive=False, tag=None, arguments=None, channel=None
    ):
        on = self._channel(channel)
        if prefetch is not None:
            on.basic_qos(prefetch_count=prefetch)
        on.add_on_cancel_callback(self._note_cancel)
        arrived = deque()
        arguments = fields_of(arguments)
        tag = on.basic_consume(queue, lambda *delivery: arrived.append(delivery), no_ack, exclusive, tag, arguments)
        self._consumers[consumer] = Consumer(on, queue, tag, arrived)

    def cancelled(self, consumer):
        watched = self._consumers[consumer]
        self._wait(lambda: watched.cancelled, TIMEOUT, f"consumer {consumer} has not been cancelled")

    def cancel(self, consumer):
        cancelled = self._consumers.pop(consumer)
        cancelled.channel.basic_cancel(cancelled.tag)

    def take(self, consumer, message=None, settle=None):
        arrived = self._consumers[consumer].arrived
        self._wait(lambda: arrived, TIMEOUT, f"no message for consumer {consumer}")
        return self._received(*arrived.popleft(), message, settle)

    def nothing(self, consumer):
        """The answer to the declare comes after every delivery that the queue has made before."""
        watched = self._consumers[consumer]
        watched.channel.queue_declare(watched.queue, passive=True)
        self._connection.process_data_events(0)
        assert not watched.arrived, f"unexpected: {watched.arrived[0]}"

    def get(self, queue, no_ack=False, message=None, settle=None, channel=None):
        on = self._channel(channel)
        method, properties, body = on.basic_get(queue, no_ack)
        return method and self._received(on, method, properties, body, message, settle)

    def ack(self, message, multiple=False):
        channel, method, _ = self._messages[message]
        channel.basic_ack(method.delivery_tag, multiple)

    def nack(self, message, multiple=False, requeue=True):
        channel, method, _ = self._messages[message]
        channel.basic_nack(method.delivery_tag, multiple, requeue)

    def reject(self, message, requeue=True):
        channel, method, _ = self._messages[message]
        channel.basic_reject(method.delivery_tag, requeue)

    def recover(self, requeue=True, channel=None):
        self._channel(channel).basic_recover(requeue)

    def select(self, channel):
        """Not a channel of `_channel`, which confirms: a channel does either."""
        on = self._channels[channel] = self._connection.channel()
        on.tx_select()

    def commit(self, channel):
        self._channels[channel].tx_commit()

    def rollback(self, channel):
        self._channels[channel].tx_rollback()

    def flow(self, active, channel=None):
        return {"active": self._channel(channel).flow(active)}

    def broken(self, channel=None):
        """pika reads nothing between two steps, so the error waits for the next method on this channel."""
        self._channels[channel].basic_qos()

    def purge(self, queue):
        return {"messages": self._channel(None).queue_purge(queue).method.message_count}

    def delete(self, queue=None, exchange=None, **options):
        on = self._channel(None)
        if queue is None:
            on.exchange_delete(exchange, **options)
            return None
        return {"messages": on.queue_delete(queue, **options).method.message_count}

    def serve(self, queue, function):
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        channel = connection.channel()
        channel.queue_declare(queue)
        channel.basic_qos(prefetch_count=1)

        def answer(channel, method, properties, body):
            result = json.dumps(FUNCTIONS[function](json.loads(body)))
            about = pika.BasicProperties("application/json", correlation_id=properties.correlation_id)
            channel.basic_publish("", properties.reply_to, result, about)
            channel.basic_ack(method.delivery_tag)

        channel.basic_consume(queue, answer)
        thread = threading.Thread(target=channel.start_consuming, daemon=True)
        thread.start()
        self._servers.append((connection, channel, thread))

    def call(self, queue, call, body, timeout=TIMEOUT):
        if "calls" not in self._channels:
            self._channel("calls").basic_consume(REPLY_TO, self._keep_reply, auto_ack=True)
        self._deadlines[str(call)] = time.monotonic() + timeout
        about = {"reply_to": REPLY_TO, "correlation_id": str(call)}
        self.publish("", queue, body, properties=about, channel="calls")

    def answer(self, call):
        left = self._deadlines.pop(str(call)) - time.monotonic()
        self._wait(lambda: str(call) in self._replies, left, f"no answer to call {call}")
        return self._received(*self._replies.pop(str(call)), None, None)

    def reply(self, message, body):
        _, _, request = self._messages[message]
        self.publish("", request.reply_to, body, properties={"correlation_id": request.correlation_id})

    def _note_cancel(self, cancel):
        for consumer in self._consumers.values():
            consumer.cancelled |= consumer.tag == cancel.method.consumer_tag

    def _keep_reply(self, channel, method, properties, body):
        self._replies[properties.correlation_id] = (channel, method, properties, body)

    def _channel(self, name):
        """The channel of this name; a new one if an error has closed the last."""
        channel = self._channels.get(name)
        if channel is None or not channel.is_open:
            channel = self._channels[name] = self._connection.channel()
            channel.confirm_delivery()
        return channel

    def _wait(self, condition, timeout, otherwise):
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(otherwise)
            self._connection.process_data_events(left)

    def _received(self, channel, method, properties, body, message, settle):
        if message is not None:
            self._messages[message] = (channel, method, properties)
        if settle == "ack":
            channel.basic_ack(method.delivery_tag)
        return message_of(method, properties, body)


def message_of(method, properties, body):
    return seen(
        body,
        exchange=method.exchange,
        routing_key=method.routing_key,
        redelivered=getattr(method, "redelivered", False),
        headers=properties.headers or {},
        properties={name: value for name in PROPERTIES if (value := getattr(properties, name)) is not None},
    )
