"""A server of remote calls on an event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from .. import _remote
from .._events import log
from .._native import Message
from .._options import Properties
from ..errors import Closed, Error
from ._consumer import Consumer

if TYPE_CHECKING:
    from ._connection import Exchange

Handler: TypeAlias = Callable[[Any, Message], Awaitable[Any] | Any]
"""Gets the request's value and the request; what it returns, or what that gives when awaited, is the reply's body."""


class Server:
    """Serves a procedure until it is closed: each request is a task of its own."""

    def __init__(self, consumer: Consumer, replies: Exchange, handler: Handler) -> None:
        """Comes from `Connection.serve`."""
        self._consumer = consumer
        self._replies = replies
        self._handler = handler
        self._requests: set[asyncio.Task[None]] = set()
        self._failed: Error | None = None
        self._receiving = asyncio.create_task(self._receive(), name="warrenmq-server")

    async def _receive(self) -> None:
        try:
            async for message in self._consumer:
                request = asyncio.create_task(self._answer(message))
                self._requests.add(request)
                request.add_done_callback(self._answered)
        except Closed as error:
            if error.__cause__ is not None:
                self._failed = error
        except Error as error:
            self._failed = error

    def _answered(self, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        if not request.cancelled() and (error := request.exception()) is not None:
            log.error("a reply could not be sent", exc_info=error)

    async def _answer(self, message: Message) -> None:
        properties: Properties = {}
        try:
            reply = self._handler(message.value(), message)
            if inspect.isawaitable(reply):
                reply = await reply
        except Exception as error:
            reply, properties = _remote.failure(error)
            if message.reply_to is None:
                log.exception("the handler of %s failed, and nobody waits for its reply", message)
        if message.reply_to is not None:
            if message.correlation_id is not None:
                properties["correlation_id"] = message.correlation_id
            try:
                await self._replies.publish(reply, message.reply_to, **properties)
            except ValueError as error:  # what the handler returned is no body
                reply, wrong = _remote.failure(error)
                await self._replies.publish(reply, message.reply_to, **(properties | wrong))
        message.ack()

    async def wait(self) -> None:
        """Waits until the server is closed. Raises the error that ended it, if one did."""
        await asyncio.wait([self._receiving])
        if self._failed is not None:
            raise self._failed

    async def close(self) -> None:
        """Takes no more requests, and waits for those that are being handled."""
        await self._consumer.cancel()
        await asyncio.wait([self._receiving, *self._requests])

    stop = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
