"""A server of remote calls on threads in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from . import _lifecycle, _remote
from ._events import log
from ._native import Consumer, Message
from ._options import Properties
from .errors import Closed, Error, Forked

if TYPE_CHECKING:
    from ._connection import Exchange

Handler: TypeAlias = Callable[[Any, Message], Any]
"""Gets the request's value and the request; what it returns is the reply's body."""


class Server:
    """Serves a procedure until it is closed."""

    def __init__(self, consumers: Sequence[Consumer], replies: Exchange, handler: Handler) -> None:
        """Comes from `Connection.serve`."""
        self._consumers = consumers
        self._replies = replies
        self._handler = handler
        self._failed: Error | None = None
        self._threads = [
            threading.Thread(target=self._work, args=(consumer,), name="warrenmq-server", daemon=True)
            for consumer in consumers
        ]
        _lifecycle.watch(self)
        for thread in self._threads:
            thread.start()

    def _work(self, consumer: Consumer) -> None:
        try:
            for message in consumer:
                self._answer(message)
        except (Closed, Forked) as error:
            if error.operation != "basic.publish" and error.__cause__ is not None:
                self._failed = error
        except Error as error:
            self._failed = error

    def _answer(self, message: Message) -> None:
        properties: Properties = {}
        try:
            reply = self._handler(message.value(), message)
        except Exception as error:
            reply, properties = _remote.failure(error)
            if message.reply_to is None:
                log.exception("the handler of %s failed, and nobody waits for its reply", message)
        if message.reply_to is not None:
            if message.correlation_id is not None:
                properties["correlation_id"] = message.correlation_id
            try:
                self._replies.publish(reply, message.reply_to, **properties)
            except ValueError as error:  # what the handler returned is no body
                reply, wrong = _remote.failure(error)
                self._replies.publish(reply, message.reply_to, **(properties | wrong))
        message.ack()

    def wait(self, timeout: float | None = None) -> None:
        """Blocks until the server is closed, or for that many seconds. Raises the error that ended it, if one did."""
        for thread in self._threads:
            thread.join(timeout)
        if self._failed is not None:
            raise self._failed

    def close(self) -> None:
        """Takes no more requests, and waits for those that are being handled."""
        self._end(None)

    stop = close

    def shut(self, patience: float) -> None:
        """Closes it within that many seconds; for the exit of the interpreter."""
        self._end(patience)

    def _end(self, patience: float | None) -> None:
        for consumer in self._consumers:
            consumer.cancel()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
