"""The verbs of the scenarios in terms of WarrenMQ's own Python API."""

from concurrent.futures import ThreadPoolExecutor

import warrenmq

from common import FUNCTIONS, PROPERTIES, TIMEOUT, body_of, fields_of, seen

PERSISTENT = 2  # AMQP's delivery mode


def error_of(error):
    return {"code": error.code, "text": error.reply_text} if isinstance(error, warrenmq.Error) else None


def options_of(headers, properties):
    """AMQP's properties as keyword arguments: there, persistence is a flag and an expiration is a number."""
    options = dict(properties or {})
    if "delivery_mode" in options:
        options["persistent"] = options.pop("delivery_mode") == PERSISTENT
    if "expiration" in options:
        options["expiration"] = int(options["expiration"])
    return options if headers is None else options | {"headers": fields_of(headers)}


class Session:
    """One role: a connection with its channels, consumers, held messages and calls, each under its name."""

    def __init__(self, url):
        self._mq = warrenmq.connect(url)
        self._channels, self._consumers, self._messages, self._calls = {}, {}, {}, {}
        self._servers = []
        self._callers = ThreadPoolExecutor(16)  # a blocking call needs a thread of its own

    def close(self):
        for server in self._servers:
            server.close()
        self._mq.close()
        self._callers.shutdown()

    def queue(self, name, arguments=None, channel=None, **options):
        queue = self._on(channel).queue(name, arguments=fields_of(arguments), **options)
        return {"name": queue.name, "messages": queue.message_count, "consumers": queue.consumer_count}

    def exchange(self, name, arguments=None, channel=None, **options):
        self._on(channel).exchange(name, arguments=fields_of(arguments), **options)

    def bind(self, exchange, queue=None, destination=None, routing_key="", arguments=None, channel=None):
        self._bindable(queue, destination, channel).bind(exchange, routing_key, arguments=arguments)

    def unbind(self, exchange, queue=None, destination=None, routing_key="", arguments=None, channel=None):
        self._bindable(queue, destination, channel).unbind(exchange, routing_key, arguments=arguments)

    def send(self, queue, body, headers=None, properties=None, channel=None):
        self._queue(queue, channel).send(body_of(body), **options_of(headers, properties))

    def publish(self, exchange, routing_key="", body="", mandatory=False, headers=None, properties=None, channel=None):
        options = options_of(headers, properties) | {"mandatory": mandatory}
        try:
            if channel is None:
                self._mq.publish(exchange, body_of(body), routing_key, **options)
            else:
                self._exchange(exchange, channel).publish(body_of(body), routing_key, **options)
        except warrenmq.Unroutable as error:
            return {"routed": False, "returned": message_of(error.message)}
        return {"routed": True} if mandatory else {}

    def prefetch(self, count, channel=None, **options):
        self._on(channel).prefetch(count, global_=options.get("global", False))

    def consume(self, queue, consumer, arguments=None, channel=None, **options):
        handle = self._queue(queue, channel)
        self._consumers[consumer] = handle, handle.consume(arguments=fields_of(arguments), **options)

    def cancelled(self, consumer):
        watched = self._consumers[consumer][1]
        try:
            message = watched.get(timeout=TIMEOUT)
        except warrenmq.Closed:
            assert self._mq.is_open
            return
        raise AssertionError(f"consumer {consumer} has not been cancelled, and got {message!r}")

    def cancel(self, consumer):
        self._consumers.pop(consumer)[1].cancel()

    def take(self, consumer, message=None, settle=None):
        taken = self._consumers[consumer][1].get(timeout=TIMEOUT)
        assert taken, f"no message for consumer {consumer}"
        return self._received(taken, message, settle)

    def nothing(self, consumer):
        """The declare is answered after every delivery that the queue has made; these are given a moment to arrive."""
        handle, watched = self._consumers[consumer]
        self._mq.queue(handle.name, passive=True)
        message = watched.get(timeout=0.1)
        assert message is None, f"unexpected: {message!r}"

    def get(self, queue, no_ack=False, message=None, settle=None, channel=None):
        got = self._queue(queue, channel).get(no_ack=no_ack)
        return got and self._received(got, message, settle)

    def ack(self, message, **options):
        self._messages[message].ack(**options)

    def nack(self, message, **options):
        self._messages[message].nack(**options)

    def reject(self, message, **options):
        self._messages[message].reject(**options)

    def recover(self, channel=None):
        self._on(channel).recover()

    def select(self, channel):
        self._on(channel).tx_select()

    def commit(self, channel):
        self._on(channel).tx_commit()

    def rollback(self, channel):
        self._on(channel).tx_rollback()

    def purge(self, queue):
        return {"messages": self._queue(queue).purge()}

    def delete(self, queue=None, exchange=None, **options):
        if queue is None:
            self._exchange(exchange).delete(**options)
            return None
        return {"messages": self._queue(queue).delete(**options)}

    def serve(self, queue, function):
        self._servers.append(self._mq.serve(queue, lambda request, _: FUNCTIONS[function](request)))

    def call(self, queue, call, body, timeout=TIMEOUT):
        self._calls[call] = self._callers.submit(self._mq.call, queue, body_of(body), timeout, raw=True)

    def answer(self, call):
        return self._received(self._calls.pop(call).result(), None, None)

    def reply(self, message, body):
        request = self._messages[message]
        self._mq.publish("", body_of(body), request.reply_to, correlation_id=request.correlation_id)

    def _on(self, channel):
        """The connection itself, or its channel of this name; a new one if an error has closed the last."""
        if channel is None:
            return self._mq
        if channel not in self._channels or not self._channels[channel].is_open:
            self._channels[channel] = self._mq.channel()
        return self._channels[channel]

    def _queue(self, name, channel=None):
        return self._on(channel).queue(name, passive=True)

    def _exchange(self, name, channel=None):
        return self._on(channel).exchange(name, passive=True)

    def _bindable(self, queue, exchange, channel):
        return self._exchange(exchange, channel) if queue is None else self._queue(queue, channel)

    def _received(self, received, message, settle):
        if message is not None:
            self._messages[message] = received
        if settle == "ack":
            received.ack()
        return message_of(received)


def message_of(received):
    return seen(
        received.body,
        exchange=received.exchange,
        routing_key=received.routing_key,
        redelivered=received.redelivered,
        headers=received.headers or {},
        properties={name: received.properties[name] for name in PROPERTIES if name in received.properties},
    )
