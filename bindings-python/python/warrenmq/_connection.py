"""The blocking API: any thread may call it, and every call that waits answers Ctrl-C."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, Unpack

from . import _lifecycle, _native, _remote
from ._arguments import Offset, QueueArguments, of_consumer, of_queue, of_stream
from ._events import Listeners
from ._native import Consumer, Message
from ._options import Arguments, Body, Event, ExchangeType, Properties, addresses, hide_password, plain
from ._serving import Handler, Server
from .errors import AccessRefused, Error, PreconditionFailed


def connect(
    url: str,
    *,
    name: str | None = None,
    timeout: float = 10.0,
    host_timeout: float | None = 30.0,
    listen: str | Sequence[str] = (),
) -> Connection:
    """Connects to a broker.

    ``inproc://NAME`` is the broker of that name in this process, ``inproc://`` one of this connection's own;
    ``local:PATH`` is that of a directory, hosted by the first process of this user to open it;
    ``amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST]`` and ``amqps://…`` are any AMQP 0-9-1 broker. ``name`` is for
    listings and logs, ``timeout`` is in seconds.

    ``host_timeout`` is for ``local:``: how many seconds the process that hosts the directory may give no sign of life,
    as one that is stopped does, before what is awaited of it raises `Timeout`, which names that process (from 2; None
    waits for ever). What was asked may take effect yet: the connection stays, and goes on when that process does, or
    when another takes its place. ``listen`` is for ``inproc:`` and ``local:``: ``HOST:PORT``, or several of them, where
    AMQP clients may come in, such as ``127.0.0.1:0`` for a free port (`Connection.listening` tells which). For a
    directory that another process hosts it takes effect when this process takes it over.

    Raises `InvalidArgument` for a URL that cannot be read, `Unreachable`, `AccessRefused`, or `Timeout`, also when
    the process that hosts a directory does not answer. In one process Node and Python have the same ``inproc:``
    brokers; raises `Unsupported` when their modules are of different versions.

    >>> with connect("inproc://") as mq:
    ...     tasks = mq.queue("tasks")
    ...     receipt = tasks.send({"n": 30})
    ...     tasks.get(no_ack=True).json()
    {'n': 30}
    """
    return Connection(_native.connect(url, name, timeout, host_timeout, addresses(listen)).wait(), url)


class QueueInfo(NamedTuple):
    """A queue at one moment."""

    name: str
    message_count: int
    """Messages that are ready to be delivered."""
    consumer_count: int


class _Declarer:
    """What a connection and a channel have in common: one has a channel for each purpose, the other one for all."""

    _control: _native.Channel
    _publishing: _native.Channel
    _fetching: _native.Channel
    _prefetch: int | None

    def queue(
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
        """Declares a queue, or with ``passive`` only checks that it is there.

        Without a name the broker makes one up. ``durable``: it survives the broker. ``exclusive``: it belongs to
        this connection and goes with it. ``auto_delete``: it goes with its last consumer. The other options (``ttl``,
        ``max_length``, ``dead_letter_exchange`` …) are told in `QueueArguments`; what has no name there can be given in
        ``arguments``.

        Raises `NotFound` (passive), `PreconditionFailed` if it is there and was declared otherwise,
        `ResourceLocked` if it is another connection's.

        >>> with connect("inproc://") as mq:
        ...     mq.queue("tasks", durable=True).message_count
        0
        """
        given = of_queue(arguments, options)
        answer = self._control.declare_queue(name, passive, durable, exclusive, auto_delete, given)
        return Queue(self, QueueInfo(*answer.wait()), durable, of_stream(given))

    def exchange(
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

        ``""`` is the default exchange, which sends each message to the queue that its routing key names; nothing is
        declared for it. ``durable``: it survives the broker. ``auto_delete``: it goes with its last binding.
        ``internal``: it takes messages from other exchanges only.

        Raises `NotFound` (passive), `PreconditionFailed` if it is there and was declared otherwise.

        >>> with connect("inproc://") as mq:
        ...     logs = mq.exchange("logs", "topic")
        ...     errors = mq.queue("errors")
        ...     errors.bind(logs, "*.error")
        ...     logs.publish("disk full", "db.error").routed
        True
        """
        if name:
            self._control.declare_exchange(name, type, passive, durable, auto_delete, internal, plain(arguments)).wait()
        return Exchange(self, name)


class Queue(_native.QueuePublisher):
    """A queue, with ``name``, ``send`` and ``send_many``."""

    __slots__ = ("_on", "_stream", "consumer_count", "message_count")

    _on: _Declarer
    _stream: bool
    message_count: int
    """Messages that were ready when it was declared; see `info`."""
    consumer_count: int
    """Consumers that it had when it was declared; see `info`."""

    def __new__(cls, on: _Declarer, info: QueueInfo, durable: bool, stream: bool) -> Self:
        """Comes from `Connection.queue` and `Channel.queue`."""
        self = super().__new__(cls, on._publishing, info.name, durable)
        self._on = on
        self._stream = stream
        _, self.message_count, self.consumer_count = info
        return self

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
        """Receives the queue's messages: ``for message in queue.consume()``.

        ``prefetch`` limits what is delivered and not yet acknowledged, 0 to 65535, 0 being no limit; 100 unless said
        otherwise, and for a queue of a `Channel` what `Channel.prefetch` said. ``no_ack``: messages need no
        acknowledgement, and are lost with this process. ``exclusive``: nobody else may consume from it. ``tag``:
        what the broker is to know the consumer by. ``priority``: those of a higher one are served first; 0 unless said
        otherwise. ``offset``: where in a stream to begin, see `Offset`. ``arguments``: ``x-`` arguments without a name
        here.

        Raises `NotFound`, or `AccessRefused` if another consumer has the queue exclusively.
        """
        prefetch = self._on._prefetch if prefetch is None else prefetch
        given = of_consumer(arguments, priority, offset, self._stream)
        return self._on._control.consume(self.name, prefetch, no_ack, exclusive, tag, given).wait()

    def get(self, *, no_ack: bool = False) -> Message | None:
        """Fetches one message, or None if there is none. To receive many, `consume` is far cheaper."""
        return self._on._fetching.get(self.name, no_ack).wait()

    def bind(self, exchange: Exchange | str, routing_key: str = "", arguments: Arguments | None = None) -> None:
        """Has the exchange send this queue what matches the routing key, or for a headers exchange the arguments."""
        self._bind(True, exchange, routing_key, arguments)

    def unbind(self, exchange: Exchange | str, routing_key: str = "", arguments: Arguments | None = None) -> None:
        """Removes a binding; that there is no such binding is no error."""
        self._bind(False, exchange, routing_key, arguments)

    def _bind(self, add: bool, exchange: Exchange | str, key: str, arguments: Arguments | None) -> None:
        source = exchange if isinstance(exchange, str) else exchange.name
        self._on._control.bind(add, False, source, self.name, key, plain(arguments)).wait()

    def purge(self) -> int:
        """Drops the messages that are ready; how many they were."""
        return self._on._control.purge_queue(self.name).wait()

    def delete(self, *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Deletes the queue; how many messages were ready. Raises `PreconditionFailed` if it is in use, or not
        empty, and that was asked for."""
        return self._on._control.delete_queue(self.name, if_unused, if_empty).wait()

    def info(self) -> QueueInfo:
        """The queue as it is now. Raises `NotFound`."""
        answer = self._on._control.declare_queue(self.name, True, False, False, False, None)
        return QueueInfo(*answer.wait())

    def __repr__(self) -> str:
        return f"<Queue '{self.name}'>"


class Exchange(_native.ExchangePublisher):
    """An exchange, with ``name``, ``publish`` and ``publish_many``."""

    __slots__ = ("_on",)

    _on: _Declarer

    def __new__(cls, on: _Declarer, name: str) -> Self:
        """Comes from `Connection.exchange` and `Channel.exchange`."""
        self = super().__new__(cls, on._publishing, name, False)
        self._on = on
        return self

    def bind(self, source: Exchange | str, routing_key: str = "", arguments: Arguments | None = None) -> None:
        """Has the exchange ``source`` send this one what matches."""
        self._bind(True, source, routing_key, arguments)

    def unbind(self, source: Exchange | str, routing_key: str = "", arguments: Arguments | None = None) -> None:
        """Removes a binding; that there is no such binding is no error."""
        self._bind(False, source, routing_key, arguments)

    def _bind(self, add: bool, exchange: Exchange | str, key: str, arguments: Arguments | None) -> None:
        source = exchange if isinstance(exchange, str) else exchange.name
        self._on._control.bind(add, True, source, self.name, key, plain(arguments)).wait()

    def delete(self, *, if_unused: bool = False) -> None:
        """Deletes the exchange. Raises `PreconditionFailed` if it has bindings and ``if_unused`` was asked for."""
        self._on._control.delete_exchange(self.name, if_unused).wait()

    def __repr__(self) -> str:
        return f"<Exchange '{self.name}'>"


class Channel(_Declarer):
    """An AMQP channel: what its queues and exchanges do, they do on it, in order. An error closes it.

    >>> with connect("inproc://") as mq, mq.channel() as channel:
    ...     channel.prefetch(1)
    ...     receipt = channel.queue("tasks").send(b"one")
    """

    _prefetch = None

    def __init__(self, native: _native.Channel) -> None:
        """Comes from `Connection.channel`."""
        self._control = self._publishing = self._fetching = native
        self._transactional = False

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._control.is_open

    def prefetch(self, count: int, global_: bool = False) -> None:
        """Limits what is unacknowledged, 0 to 65535, 0 being no limit: for each consumer to come, or with
        ``global_`` for all of the channel together."""
        self._control.prefetch(count, global_).wait()

    def recover(self) -> None:
        """Has everything unacknowledged on this channel delivered again."""
        self._control.recover().wait()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction: what is published and acknowledged in the ``with`` block takes effect together when it ends,
        or with an exception not at all.

        Then what the block acknowledged is unacknowledged again: acknowledge it anew, or have it delivered again with
        `recover`. What the block publishes has a receipt that is not ``confirmed``, and ``mandatory`` has no effect.
        Once used, the channel acts in transactions only. See `tx_select` for errors.

        >>> with connect("inproc://") as mq, mq.channel() as channel:
        ...     done, tasks = channel.queue("done"), channel.queue("tasks")
        ...     receipt = tasks.send("one")
        ...     task = tasks.get()
        ...     with channel.transaction():
        ...         receipt = done.send(task.text())
        ...         task.ack()
        ...     done.info().message_count
        1
        """
        if not self._transactional:
            self.tx_select()
        try:
            yield
        except BaseException:
            with contextlib.suppress(Error):  # the error at hand says more; a channel that is closed has rolled back
                self.tx_rollback()
            raise
        self.tx_commit()

    def tx_select(self) -> None:
        """From now on, what is published and acknowledged on this channel waits for `tx_commit`.

        Raises `PreconditionFailed`, and closes the channel, if something was published on it before: AMQP has confirms
        and transactions exclude each other.
        """
        self._control.tx_select().wait()
        self._transactional = True

    def tx_commit(self) -> list[int]:
        """Has all that was published and acknowledged since the last commit or rollback take effect; the indexes, from
        0, of the messages that no queue took.

        Raises `PreconditionFailed` without `tx_select`. Over ``local:``, when the process that hosted the broker was
        killed, raises `Nacked` where nothing took effect, and `Timeout` where that is not known: the channel goes on.
        """
        return self._control.tx_commit().wait()

    def tx_rollback(self) -> None:
        """Forgets what was published and acknowledged since the last commit or rollback; what was acknowledged is
        unacknowledged again. Raises `PreconditionFailed` without `tx_select`."""
        self._control.tx_rollback().wait()

    def close(self) -> None:
        """Closes the channel; what was not acknowledged goes back. Closing twice is no error."""
        self._control.close().wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Connection(_Declarer):
    """A connection to a broker. Any thread may use it; closed at the end of its ``with`` block, and at exit."""

    _prefetch = 100

    def __init__(self, native: _native.Connection, url: str) -> None:
        """Comes from `connect`."""
        self._native = native
        self._url = hide_password(url)
        self._control = native.renewing_channel()
        self._publishing = native.renewing_channel()
        self._fetching = native.renewing_channel()
        self._listeners: Listeners | None = None
        self._telling: threading.Thread | None = None
        self._caller: _native.Caller | None = None
        self._lock = threading.Lock()  # guards the three above
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

    def channel(self) -> Channel:
        """Opens a channel, for those who need AMQP's: one order, one prefetch, one fate."""
        return Channel(self._native.open_channel().wait())

    def publish(
        self,
        exchange: str,
        body: Body,
        routing_key: str = "",
        *,
        mandatory: bool = False,
        **properties: Unpack[Properties],
    ) -> _native.Receipt:
        """Publishes to an exchange by its name; see `Exchange.publish`."""
        return Exchange(self, exchange).publish(body, routing_key, mandatory=mandatory, **properties)

    def call(
        self, queue: str, body: Body, timeout: float = 30.0, *, raw: bool = False, **properties: Unpack[Properties]
    ) -> Any:
        """Calls the procedure that is served on a queue; its result, or with ``raw`` the reply as a `Message`.

        ``timeout`` is in seconds. Raises `Unroutable` if there is no such queue, `Timeout`, or `RemoteError` if the
        handler failed. Any number of threads may call at a time. Over ``local:`` the reply comes although the process
        that hosts the broker is killed, unless that had the request or the reply in its memory: then it is a `Timeout`.

        >>> with connect("inproc://") as mq, mq.serve("double", lambda n, message: 2 * n):
        ...     mq.call("double", 21)
        42
        """
        reply = self._calling().call(queue, body, timeout, **properties).wait()
        return reply if raw else _remote.result(queue, reply)

    def _calling(self) -> _native.Caller:
        with self._lock:
            if self._caller is None or not self._caller.is_open:
                self._caller = self._control.caller().wait()
            return self._caller

    def serve(
        self, queue: str, handler: Handler, *, prefetch: int = 1, workers: int = 1, durable: bool = False
    ) -> Server:
        """Serves a procedure: calls ``handler(value, message)`` for each request, and replies with what it returns.

        The queue is declared if it is not there. Runs on ``workers`` threads in the background, each of which takes
        ``prefetch`` requests at a time; `Server.wait` blocks. An exception becomes an error of the caller's. A
        request is acknowledged after its reply, so that one whose server dies goes to another.

        >>> with connect("inproc://") as mq, mq.serve("greet", lambda name, message: f"hello {name}"):
        ...     mq.call("greet", "world")
        'hello world'
        """
        try:
            # Mostly it is there as we would declare it, or not at all.
            requests = self.queue(queue, durable=durable)
        except (PreconditionFailed, AccessRefused):  # it is there, of another kind, or nothing for us to declare
            requests = self.queue(queue, passive=True, durable=durable)
        consumers = [requests.consume(prefetch) for _ in range(workers)]
        return Server(consumers, self.exchange(""), handler)

    def on(self, event: Event, function: Callable[[Any], object]) -> None:
        """Has a function called when something happens to the connection, with what there is to say about it.

        ``close``: an `Error`, or None if this side closed it. ``blocked``: the broker's reason for taking no more
        messages. ``unblocked``: None. ``unresponsive``: a `Timeout`, when the process that hosts a directory gives no
        sign of life. ``responsive``: None, when it does again. ``reconnected``: None, when that process is gone and the
        connection goes on with the next one. ``return``: the mandatory `Message` that no queue took. It is called on a
        thread of the connection's own, for ``return`` on the publisher's.
        """
        with self._lock:
            if self._listeners is None:
                listeners = Listeners()
                events = self._native.events()
                self._publishing.on_return(lambda message: listeners.tell(("return", message)))
                self._telling = threading.Thread(
                    target=listeners.tell_all, args=(events,), name="warrenmq-events", daemon=True
                )
                self._telling.start()
                self._listeners = listeners
        self._listeners.add(event, function)

    def listen(self, address: str = "127.0.0.1:0") -> str:
        """Lets AMQP clients in to an embedded broker, at ``HOST:PORT`` (port 0 picks a free one), until this
        connection closes; where it listens.

        Raises `Unsupported` if the broker is not in this process, `Unreachable` if the address cannot be had.
        """
        return self._native.listen(address).wait()

    @property
    def listening(self) -> list[str]:
        """Where AMQP clients come in by this connection, with the ports that were found: what `listen` returned, and
        ``listen=`` of `connect`. Empty as long as another process hosts."""
        return self._native.listening

    def close(self) -> None:
        """Closes the connection: acknowledgements leave, what was not acknowledged goes back. Twice is no error."""
        self._native.close().wait()

    def shut(self, patience: float) -> None:
        """Closes it within that many seconds, and tells those who listen; for the exit of the interpreter."""
        self._native.close().wait(patience)
        if self._telling is not None:
            self._telling.join(patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            with contextlib.suppress(Exception):  # the error at hand says more
                self.close()

    def __repr__(self) -> str:
        return f"<Connection {self.url}{'' if self.is_open else ', closed'}>"
