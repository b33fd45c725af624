"""Connections, channels, queues and exchanges of the asyncio API. What each does is told in `warrenmq`."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Sequence
from itertools import islice
from typing import Any, Self, Unpack

from .. import _lifecycle, _loops, _native, _remote
from .._arguments import Offset, QueueArguments, of_consumer, of_queue, of_stream
from .._connection import QueueInfo
from .._events import Listeners
from .._native import Answer, BatchReceipt, Message, Receipt
from .._options import Arguments, Body, Event, ExchangeType, Properties, addresses, hide_password, plain
from ..errors import AccessRefused, Error, PreconditionFailed
from ._consumer import Consumer
from ._serving import Handler, Server

_CHUNK = 8192
"""Messages of a batch that are published before the next task gets its turn."""


def connect(
    url: str,
    *,
    name: str | None = None,
    timeout: float = 10.0,
    host_timeout: float | None = 30.0,
    listen: str | Sequence[str] = (),
) -> _Connecting:
    """Connects to a broker: ``mq = await connect(url)``, or ``async with connect(url) as mq``.

    See `warrenmq.connect` for the URL, the options (times in seconds) and errors.

    >>> async def main():
    ...     async with connect("inproc://") as mq:
    ...         tasks = await mq.queue("tasks")
    ...         return await tasks.send("hello")
    >>> asyncio.run(main())
    Receipt(confirmed=True, routed=True)
    """
    return _Connecting(url, name, timeout, host_timeout, addresses(listen))


class _Connecting:
    """A connection that is opened when it is awaited or entered."""

    def __init__(
        self, url: str, name: str | None, timeout: float, host_timeout: float | None, listen: list[str]
    ) -> None:
        self._given = url, name, timeout, host_timeout, listen
        self._connection: Connection | None = None

    async def _open(self) -> Connection:
        self._connection = Connection(await _native.connect(*self._given), self._given[0])
        return self._connection

    def __await__(self) -> Generator[Any, None, Connection]:
        return self._open().__await__()

    async def __aenter__(self) -> Connection:
        return await self._open()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if self._connection is not None:
            await self._connection.__aexit__(kind, error, _)


class _Declarer:
    """What a connection and a channel have in common: one has a channel for each purpose, the other one for all."""

    _control: _native.Channel
    _publishing: _native.Channel
    _fetching: _native.Channel
    _prefetch: int | None

    async def queue(
        self,
        name: str = "",
        *,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        passive: bool = False,
        arguments: Arguments | None = None,
        **options: Unpack[QueueArguments],
    ) -> Queue:
        """Declares a queue, or with ``passive`` only checks that it is there; see `warrenmq.Connection.queue`."""
        given = of_queue(arguments, options)
        info = await self._control.declare_queue(name, passive, durable, exclusive, auto_delete, given)
        return Queue(self, QueueInfo(*info), durable, of_stream(given))

    async def exchange(
        self,
        name: str,
        type: ExchangeType | str = "direct",
        *,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        passive: bool = False,
        arguments: Arguments | None = None,
    ) -> Exchange:
        """Declares an exchange, or with ``passive`` only checks that it is there.

        See `warrenmq.Connection.exchange`.
        """
        if name:
            await self._control.declare_exchange(name, type, passive, durable, auto_delete, internal, plain(arguments))
        return Exchange(self, name)


class Queue:
    """A queue; see `warrenmq.Queue`."""

    __slots__ = ("_on", "_publisher", "_stream", "consumer_count", "message_count")

    def __init__(self, on: _Declarer, info: QueueInfo, durable: bool, stream: bool) -> None:
        """Comes from `Connection.queue` and `Channel.queue`."""
        self._on = on
        self._publisher = _native.QueuePublisher(on._publishing, info.name, durable)
        self._stream = stream
        self.message_count: int = info.message_count
        """Messages that were ready when it was declared; see `info`."""
        self.consumer_count: int = info.consumer_count
        """Consumers that it had when it was declared; see `info`."""

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._publisher.name

    async def send(self, body: Body, **properties: Unpack[Properties]) -> Receipt:
        """Sends a message to this queue: bytes as they are, str as UTF-8, anything else as JSON.

        Returns a Receipt once the broker has taken responsibility for it. See `warrenmq.Queue.send`.
        """
        sent = self._publisher.begin_send(body, **properties)
        return sent if isinstance(sent, Receipt) else await sent

    async def send_many(self, bodies: Iterable[Body], **properties: Unpack[Properties]) -> BatchReceipt:
        """Sends messages to this queue in order, all with the same properties; cheaper than one by one."""
        return await _in_chunks(bodies, lambda chunk: self._publisher.begin_send_many(chunk, **properties))

    def consume(
        self,
        prefetch: int | None = None,
        *,
        no_ack: bool = False,
        exclusive: bool = False,
        tag: str = "",
        priority: int | None = None,
        offset: Offset | None = None,
        arguments: Arguments | None = None,
    ) -> Consumer:
        """Receives the queue's messages: ``async for message in queue.consume()``. See `warrenmq.Queue.consume`."""
        on, name = self._on, self.name
        count = on._prefetch if prefetch is None else prefetch
        given = of_consumer(arguments, priority, offset, self._stream)
        return Consumer(lambda: on._control.consume(name, count, no_ack, exclusive, tag, given))

    async def get(self, *, no_ack: bool = False) -> Message | None:
        """Fetches one message, or None if there is none. To receive many, `consume` is far cheaper."""
        return await self._on._fetching.get(self.name, no_ack)

    async def bind(self, exchange: Exchange | str, routing_key: str = "", arguments: Arguments | None = None) -> None:
        """Has the exchange send this queue what matches the routing key, or for a headers exchange the arguments."""
        await self._bind(True, exchange, routing_key, arguments)

    async def unbind(self, exchange: Exchange | str, routing_key: str = "", arguments: Arguments | None = None) -> None:
        """Removes a binding; that there is no such binding is no error."""
        await self._bind(False, exchange, routing_key, arguments)

    async def _bind(self, add: bool, exchange: Exchange | str, key: str, arguments: Arguments | None) -> None:
        source = exchange if isinstance(exchange, str) else exchange.name
        await self._on._control.bind(add, False, source, self.name, key, plain(arguments))

    async def purge(self) -> int:
        """Drops the messages that are ready; how many they were."""
        return await self._on._control.purge_queue(self.name)

    async def delete(self, *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Deletes the queue; how many messages were ready. See `warrenmq.Queue.delete`."""
        return await self._on._control.delete_queue(self.name, if_unused, if_empty)

    async def info(self) -> QueueInfo:
        """The queue as it is now. Raises `NotFound`."""
        return QueueInfo(*await self._on._control.declare_queue(self.name, True, False, False, False, None))

    def __repr__(self) -> str:
        return f"<aio.Queue '{self.name}'>"


class Exchange:
    """An exchange; see `warrenmq.Exchange`."""

    __slots__ = ("_on", "_publisher")

    def __init__(self, on: _Declarer, name: str) -> None:
        """Comes from `Connection.exchange` and `Channel.exchange`."""
        self._on = on
        self._publisher = _native.ExchangePublisher(on._publishing, name, False)

    @property
    def name(self) -> str:
        """The exchange's name; empty for the default exchange."""
        return self._publisher.name

    async def publish(
        self, body: Body, routing_key: str = "", *, mandatory: bool = False, **properties: Unpack[Properties]
    ) -> Receipt:
        """Publishes a message to this exchange: bytes as they are, str as UTF-8, anything else as JSON.

        With ``mandatory=True`` raises `Unroutable` if no queue takes it. See `warrenmq.Exchange.publish`.
        """
        sent = self._publisher.begin_publish(body, routing_key, mandatory, **properties)
        return sent if isinstance(sent, Receipt) else await sent

    async def publish_many(
        self, bodies: Iterable[Body], routing_key: str = "", **properties: Unpack[Properties]
    ) -> BatchReceipt:
        """Publishes messages in order, all with the same routing key and properties; cheaper than one by one."""
        return await _in_chunks(
            bodies, lambda chunk: self._publisher.begin_publish_many(chunk, routing_key, **properties)
        )

    async def bind(self, source: Exchange | str, routing_key: str = "", arguments: Arguments | None = None) -> None:
        """Has the exchange ``source`` send this one what matches."""
        await self._bind(True, source, routing_key, arguments)

    async def unbind(self, source: Exchange | str, routing_key: str = "", arguments: Arguments | None = None) -> None:
        """Removes a binding; that there is no such binding is no error."""
        await self._bind(False, source, routing_key, arguments)

    async def _bind(self, add: bool, exchange: Exchange | str, key: str, arguments: Arguments | None) -> None:
        source = exchange if isinstance(exchange, str) else exchange.name
        await self._on._control.bind(add, True, source, self.name, key, plain(arguments))

    async def delete(self, *, if_unused: bool = False) -> None:
        """Deletes the exchange. Raises `PreconditionFailed` if it has bindings and ``if_unused`` was asked for."""
        await self._on._control.delete_exchange(self.name, if_unused)

    def __repr__(self) -> str:
        return f"<aio.Exchange '{self.name}'>"


async def _in_chunks(
    bodies: Iterable[Body], begin: Callable[[Iterable[Body]], BatchReceipt | Answer[BatchReceipt]]
) -> BatchReceipt:
    if isinstance(bodies, bytes | bytearray | memoryview | str | dict):
        begin(bodies)  # one body alone: refused
    rest = iter(bodies)
    confirmed, unrouted = 0, []
    while chunk := list(islice(rest, _CHUNK)):
        sent = begin(chunk)
        receipt = sent if isinstance(sent, BatchReceipt) else await sent
        unrouted += [confirmed + index for index in receipt.unrouted]
        confirmed += receipt.confirmed
        if len(chunk) == _CHUNK:
            await asyncio.sleep(0)
    return BatchReceipt(confirmed, unrouted)


class Channel(_Declarer):
    """An AMQP channel: what its queues and exchanges do, they do on it, in order. An error closes it."""

    _prefetch = None

    def __init__(self, native: _native.Channel) -> None:
        """Comes from `Connection.channel`."""
        self._control = self._publishing = self._fetching = native
        self._transactional = False

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._control.is_open

    async def prefetch(self, count: int, global_: bool = False) -> None:
        """Limits what is unacknowledged, 0 to 65535, 0 being no limit: for each consumer to come, or with
        ``global_`` for all of the channel together."""
        await self._control.prefetch(count, global_)

    async def recover(self) -> None:
        """Has everything unacknowledged on this channel delivered again."""
        await self._control.recover()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """What is published and acknowledged in the ``async with`` block takes effect together when it ends, or with an
        exception not at all. See `warrenmq.Channel.transaction`."""
        if not self._transactional:
            await self.tx_select()
        try:
            yield
        except BaseException:
            with contextlib.suppress(Error):  # the error at hand says more; a channel that is closed has rolled back
                await self.tx_rollback()
            raise
        await self.tx_commit()

    async def tx_select(self) -> None:
        """From now on, what is published and acknowledged on this channel waits for `tx_commit`.

        See `warrenmq.Channel.tx_select`.
        """
        await self._control.tx_select()
        self._transactional = True

    async def tx_commit(self) -> list[int]:
        """Has all that was published and acknowledged since the last commit or rollback take effect; the indexes, from
        0, of the messages that no queue took."""
        return await self._control.tx_commit()

    async def tx_rollback(self) -> None:
        """Forgets what was published and acknowledged since the last commit or rollback; what was acknowledged is
        unacknowledged again."""
        await self._control.tx_rollback()

    async def close(self) -> None:
        """Closes the channel; what was not acknowledged goes back. Closing twice is no error."""
        await self._control.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _AsyncListeners(Listeners):
    """Functions of events may be coroutine functions here."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: set[asyncio.Task[Any]] = set()

    def call(self, function: Callable[[Any], object], about: Any) -> None:
        given = function(about)
        if inspect.iscoroutine(given):
            task = asyncio.get_running_loop().create_task(given)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


class Connection(_Declarer):
    """A connection to a broker, for the tasks of one event loop. Closed at the end of its ``async with`` block."""

    _prefetch = 100

    def __init__(self, native: _native.Connection, url: str) -> None:
        """Comes from `connect`."""
        self._native = native
        self._url = hide_password(url)
        self._control = native.renewing_channel()
        self._publishing = native.renewing_channel()
        self._fetching = native.renewing_channel()
        self._listeners: Listeners | None = None
        self._caller: _native.Caller | None = None
        self._calling = asyncio.Lock()
        _lifecycle.watch(self)

    @property
    def url(self) -> str:
        """The URL that it was opened with, without the password."""
        return self._url

    @property
    def transport(self) -> str:
        """The URL's scheme: ``inproc``, ``amqp`` …"""
        return self._native.transport

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._native.is_open

    async def channel(self) -> Channel:
        """Opens a channel, for those who need AMQP's: one order, one prefetch, one fate."""
        return Channel(await self._native.open_channel())

    async def publish(
        self,
        exchange: str,
        body: Body,
        routing_key: str = "",
        *,
        mandatory: bool = False,
        **properties: Unpack[Properties],
    ) -> Receipt:
        """Publishes to an exchange by its name; see `Exchange.publish`."""
        return await Exchange(self, exchange).publish(body, routing_key, mandatory=mandatory, **properties)

    async def call(
        self, queue: str, body: Body, timeout: float = 30.0, *, raw: bool = False, **properties: Unpack[Properties]
    ) -> Any:
        """Calls the procedure that is served on a queue; its result, or with ``raw`` the reply as a `Message`.

        ``timeout`` is in seconds. Raises `Unroutable` if there is no such queue, `Timeout`, or `RemoteError` if the
        handler failed. Any number of tasks may call at a time.
        """
        async with self._calling:
            if self._caller is None or not self._caller.is_open:
                self._caller = await self._control.caller()
            caller = self._caller
        reply = await caller.call(queue, body, timeout, **properties)
        return reply if raw else _remote.result(queue, reply)

    async def serve(self, queue: str, handler: Handler, *, prefetch: int = 100, durable: bool = False) -> Server:
        """Serves a procedure: calls ``handler(value, message)`` for each request, and replies with what it returns, or
        with what that gives when awaited.

        The queue is declared if it is not there. Up to ``prefetch`` requests are handled at a time, each in a task of
        its own. An exception becomes an error of the caller's. A request is acknowledged after its reply.
        """
        try:
            # Mostly it is there as we would declare it, or not at all.
            requests = await self.queue(queue, durable=durable)
        except (PreconditionFailed, AccessRefused):  # it is there, of another kind, or nothing for us to declare
            requests = await self.queue(queue, passive=True, durable=durable)
        return Server(await requests.consume(prefetch), await self.exchange(""), handler)

    def on(self, event: Event, function: Callable[[Any], Awaitable[object] | object]) -> None:
        """Has a function (or a coroutine function) called on the loop when something happens to the connection, with
        what there is to say about it; see `warrenmq.Connection.on` for the events."""
        if self._listeners is None:
            listeners = _AsyncListeners()
            self._native.on_event(listeners.tell, _loops.bridge())
            self._publishing.on_return(lambda message: listeners.tell(("return", message)))
            self._listeners = listeners
        self._listeners.add(event, function)

    async def listen(self, address: str = "127.0.0.1:0") -> str:
        """Lets AMQP clients in to an embedded broker; see `warrenmq.Connection.listen`."""
        return await self._native.listen(address)

    @property
    def listening(self) -> list[str]:
        """Where AMQP clients come in by this connection; see `warrenmq.Connection.listening`."""
        return self._native.listening

    async def close(self) -> None:
        """Closes the connection: acknowledgements leave, what was not acknowledged goes back. Twice is no error."""
        await self._native.close()

    def shut(self, patience: float) -> None:
        """Closes it within that many seconds, without a loop; for the exit of the interpreter."""
        self._native.close().wait(patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            await self.close()
        else:
            with contextlib.suppress(Exception):  # the error at hand says more
                await self.close()

    def __repr__(self) -> str:
        return f"<aio.Connection {self.url}{'' if self.is_open else ', closed'}>"
