"""Consumers of the asyncio API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Self
from weakref import WeakMethod

from .. import _loops, _native
from .._native import Message

_TURN = 256
"""Messages that are handed out before other tasks of the loop get their turn."""


class Consumer:
    """Receives the messages of a queue: iterate over it with ``async for``, or ``get`` them one by one.

    It begins when it is first used, or when it is awaited: ``consumer = await queue.consume()``. Leaving its
    ``async with`` block, or letting go of it (as ``break`` does in ``async for message in queue.consume()``), ends it,
    and what was not acknowledged goes back to the queue. No message is lost when waiting for it is cancelled.
    """

    def __init__(self, register: Callable[[], Awaitable[_native.Consumer]]) -> None:
        """Comes from `Queue.consume`."""
        self._register = register
        self._registering = asyncio.Lock()
        self._native: _native.Consumer | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._turn = 0

    async def _begin(self) -> _native.Consumer:
        async with self._registering:
            if self._native is None:
                native = await self._register()
                native.on_ready(_loops.bridge(), WeakMethod(self._wake))
                self._native = native
        return self._native

    async def _itself(self) -> Self:
        await self._begin()
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._itself().__await__()

    def _wake(self) -> None:
        """Something has come, or the end."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    @property
    def tag(self) -> str:
        """What the broker knows it by; empty before it began."""
        return "" if self._native is None else self._native.tag

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        native = self._native
        if native is not None:
            self._turn += 1
            if self._turn == _TURN:
                self._turn = 0
                await asyncio.sleep(0)
            message = native.take()
            if message is not None:
                return message
        message = await self.get()
        if message is None:
            raise StopAsyncIteration
        return message

    async def get(self, timeout: float | None = None) -> Message | None:
        """The next message; None when none came within ``timeout`` seconds (without one it waits for ever, with 0
        not at all) or the consumer was cancelled. Raises `Closed` when its queue, channel or connection is gone."""
        native = self._native or await self._begin()
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while (message := native.take()) is None and not native.cancelled:
            if deadline is not None and loop.time() >= deadline:
                return None
            # The waiter is only told that something has come. The message stays where it is until somebody who is
            # not cancelled takes it.
            waiter = loop.create_future()
            self._waiting.append(waiter)
            try:
                async with asyncio.timeout_at(deadline):
                    await waiter
            except TimeoutError:
                deadline = loop.time()  # one last look
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
        return message

    async def cancel(self) -> None:
        """Ends the consumer: what it has not handed out goes back to the queue, what it has can still be
        acknowledged."""
        if self._native is not None:
            await self._native.ending(False)
            self._wake()

    async def __aenter__(self) -> Self:
        return await self._itself()

    async def __aexit__(self, *_: object) -> None:
        if self._native is not None:
            await self._native.ending(True)
            self._wake()

    def __repr__(self) -> str:
        return f"<aio.Consumer '{self.tag}'>"
