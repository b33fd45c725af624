"""The native half of the package. `Message`, `Consumer`, `Receipt` and `BatchReceipt` are part of the public API."""

from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack, final

from typing_extensions import disjoint_base

from ._options import Body, Properties

__all__ = [
    "KINDS",
    "Answer",
    "BatchReceipt",
    "Bridge",
    "Caller",
    "Channel",
    "Connection",
    "Consumer",
    "Events",
    "ExchangePublisher",
    "Message",
    "QueuePublisher",
    "Receipt",
    "__version__",
    "after_fork",
    "cli",
    "connect",
]

_T_co = TypeVar("_T_co", covariant=True)

__version__: str

KINDS: dict[str, int]
"""Name and number of every kind of error."""

def after_fork() -> None: ...
def cli(args: list[str]) -> int: ...
def connect(
    url: str, name: str | None, timeout: float, host_timeout: float | None, listen: list[str]
) -> Answer[Connection]: ...

@final
class Answer(Generic[_T_co]):
    """An answer of the broker: ``wait()`` for it in a thread, ``await`` it in a coroutine."""

    def wait(self, timeout: float | None = None) -> _T_co: ...
    def __await__(self) -> Generator[Any, None, _T_co]: ...

@final
class Bridge:
    """An event loop's end of the module: have the loop call ``drain`` whenever ``fileno()`` is readable."""

    def __new__(cls) -> Self: ...
    def fileno(self) -> int: ...
    def drain(self) -> None: ...

@final
class Connection:
    @property
    def transport(self) -> str: ...
    @property
    def is_open(self) -> bool: ...
    def open_channel(self) -> Answer[Channel]: ...
    def renewing_channel(self) -> Channel: ...
    @property
    def listening(self) -> list[str]: ...
    def listen(self, address: str) -> Answer[str]: ...
    def on_event(self, sink: Callable[[tuple[str, Any]], object], bridge: Bridge) -> None: ...
    def events(self) -> Events: ...
    def close(self) -> Answer[None]: ...

@final
class Events:
    def __iter__(self) -> Self: ...
    def __next__(self) -> tuple[str, Any]: ...

@final
class Channel:
    @property
    def is_open(self) -> bool: ...
    def on_return(self, callback: Callable[[Message], object]) -> None: ...
    def declare_queue(
        self,
        name: str,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: dict[str, Any] | None,
    ) -> Answer[tuple[str, int, int]]: ...
    def delete_queue(self, name: str, if_unused: bool, if_empty: bool) -> Answer[int]: ...
    def purge_queue(self, name: str) -> Answer[int]: ...
    def declare_exchange(
        self,
        name: str,
        kind: str,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        arguments: dict[str, Any] | None,
    ) -> Answer[None]: ...
    def delete_exchange(self, name: str, if_unused: bool) -> Answer[None]: ...
    def bind(
        self,
        add: bool,
        to_exchange: bool,
        source: str,
        destination: str,
        routing_key: str,
        arguments: dict[str, Any] | None,
    ) -> Answer[None]: ...
    def prefetch(self, count: int, global_: bool) -> Answer[None]: ...
    def consume(
        self,
        queue: str,
        prefetch: int | None,
        no_ack: bool,
        exclusive: bool,
        tag: str,
        arguments: dict[str, Any] | None,
    ) -> Answer[Consumer]: ...
    def get(self, queue: str, no_ack: bool) -> Answer[Message | None]: ...
    def recover(self) -> Answer[None]: ...
    def tx_select(self) -> Answer[None]: ...
    def tx_commit(self) -> Answer[list[int]]: ...
    def tx_rollback(self) -> Answer[None]: ...
    def caller(self) -> Answer[Caller]: ...
    def close(self) -> Answer[None]: ...

@final
class Caller:
    @property
    def is_open(self) -> bool: ...
    def call(self, queue: str, body: Body, timeout: float, **properties: Unpack[Properties]) -> Answer[Message]: ...
    def close(self) -> Answer[None]: ...

@disjoint_base
class QueuePublisher:
    def __new__(cls, channel: Channel, name: str, persistent: bool) -> Self: ...
    @property
    def name(self) -> str:
        """The queue's name."""

    def send(self, body: Body, **properties: Unpack[Properties]) -> Receipt:
        """Sends a message to this queue: bytes as they are, str as UTF-8, anything else as JSON.

        Returns a Receipt once the broker has taken responsibility for it. Properties are keyword arguments
        (see ``warrenmq.Properties``); ``persistent`` is True unless said otherwise if the queue was declared durable.

        Raises InvalidArgument for what JSON would change silently, Nacked if the broker refuses the message, Closed if
        the connection is closed.
        """

    def send_many(self, bodies: Iterable[Body], **properties: Unpack[Properties]) -> BatchReceipt:
        """Sends messages to this queue in order, all with the same properties; cheaper than one by one.

        Returns a BatchReceipt. Raises what ``send`` does; then those before have been sent.
        """

    def begin_send(self, body: Body, **properties: Unpack[Properties]) -> Receipt | Answer[Receipt]: ...
    def begin_send_many(
        self, bodies: Iterable[Body], **properties: Unpack[Properties]
    ) -> BatchReceipt | Answer[BatchReceipt]: ...

@disjoint_base
class ExchangePublisher:
    def __new__(cls, channel: Channel, name: str, persistent: bool) -> Self: ...
    @property
    def name(self) -> str:
        """The exchange's name; empty for the default exchange."""

    def publish(
        self, body: Body, routing_key: str = "", *, mandatory: bool = False, **properties: Unpack[Properties]
    ) -> Receipt:
        """Publishes a message to this exchange: bytes as they are, str as UTF-8, anything else as JSON.

        Returns a Receipt, which says whether a queue took the message. With ``mandatory=True`` it is an error if none
        did: raises Unroutable, which carries the message, and fires the event ``return``. Else as ``Queue.send``.
        """

    def publish_many(
        self, bodies: Iterable[Body], routing_key: str = "", **properties: Unpack[Properties]
    ) -> BatchReceipt:
        """Publishes messages in order, all with the same routing key and properties; cheaper than one by one.

        Returns a BatchReceipt. Raises what ``publish`` does; then those before have been published.
        """

    def begin_publish(
        self, body: Body, routing_key: str, mandatory: bool, **properties: Unpack[Properties]
    ) -> Receipt | Answer[Receipt]: ...
    def begin_publish_many(
        self, bodies: Iterable[Body], routing_key: str, **properties: Unpack[Properties]
    ) -> BatchReceipt | Answer[BatchReceipt]: ...

@final
class Receipt:
    """What became of a message: whether the broker has taken responsibility for it (``confirmed``), and
    whether a queue took it (``routed``)."""

    @property
    def confirmed(self) -> bool:
        """The broker has taken responsibility for it. Not so in a transaction, before its commit."""

    @property
    def routed(self) -> bool:
        """At least one queue took it. In a transaction, the commit tells."""

@final
class BatchReceipt:
    """What became of a batch: how many messages the broker has taken responsibility for (``confirmed``), and
    which of them no queue took (``unrouted``, their indexes)."""

    def __new__(cls, confirmed: int, unrouted: list[int]) -> Self: ...
    @property
    def confirmed(self) -> int:
        """How many messages the broker has taken responsibility for: all, or the call failed; in a transaction none,
        before its commit."""

    @property
    def unrouted(self) -> list[int]:
        """The indexes of those that no queue took, from 0."""

@final
class Message:
    """A message that was received."""

    @property
    def body(self) -> bytes:
        """The body, as it was sent."""

    def text(self) -> str:
        """The body as text. InvalidArgument if it is not UTF-8."""

    def json(self) -> Any:
        """The body as what its JSON stands for. InvalidArgument if it is not JSON."""

    def value(self) -> Any:
        """The body by its content type: JSON as what it stands for, ``text/*`` as str, anything else as bytes."""

    def ack(self, multiple: bool = False) -> None:
        """Says that the message is done with, or with ``multiple=True`` that all are that its channel received up to
        it. Leaves together with others, within 5 ms.

        Raises PreconditionFailed if it was settled before or needs no acknowledgement, Closed if its channel is
        gone (then the broker delivers it again).
        """

    def nack(self, requeue: bool = True, multiple: bool = False) -> None:
        """Says that the message was not done: it goes back to its place in the queue, or with ``requeue=False`` away.
        With ``multiple=True`` so do all that its channel received up to it. Raises what ``ack`` does."""

    def reject(self, requeue: bool = True) -> None:
        """The same for this message alone."""

    def extend(self, milliseconds: int) -> None:
        """Puts off when the message must be acknowledged, to so many milliseconds from now. For a queue that has a
        ``consumer_timeout``, from which a delivery that takes longer goes back.

        Returns at once, as ``ack``. Raises what ``ack`` does; where the broker is not WarrenMQ, the channel's next ack
        raises Unsupported.
        """

    @property
    def redelivered(self) -> bool:
        """Whether it may have been delivered before."""

    @property
    def delivery_tag(self) -> int:
        """Its number among the deliveries of its channel, from 1; 0 if it was not delivered."""

    @property
    def exchange(self) -> str:
        """The exchange that it was published to; empty for the default exchange."""

    @property
    def routing_key(self) -> str:
        """The routing key that it was published with."""

    @property
    def headers(self) -> dict[str, Any]:
        """Its headers; empty if it has none."""

    @property
    def delivery_count(self) -> int:
        """How often it was delivered before and came back (the header ``x-delivery-count``); 0 if the broker does not
        count."""

    @property
    def deaths(self) -> list[dict[str, Any]]:
        """Why it was dead-lettered, the latest first (the header ``x-death``): each with ``queue``, ``reason``
        (``expired``, ``rejected``, ``maxlen`` or ``delivery_limit``), ``count``, ``exchange``, ``routing-keys`` and
        ``time``. Empty if it was not."""

    @property
    def properties(self) -> dict[str, Any]:
        """The properties that it has, under the names that ``send`` takes; and ``delivery_mode``, 2 if it is
        persistent."""

    @property
    def content_type(self) -> str | None:
        """What the body is, as a media type."""

    @property
    def correlation_id(self) -> str | None:
        """Which request it answers, or what the answer to it is to carry."""

    @property
    def reply_to(self) -> str | None:
        """The queue that the answer to it is to go to."""

    @property
    def type(self) -> str | None:
        """What kind of message it is, in the application's terms."""

@final
class Consumer:
    """Receives the messages of a queue: iterate over it, or ``get`` them one by one. Any thread may.

    Leaving its ``with`` block, or letting go of it (as ``break`` does in ``for message in queue.consume()``), ends it,
    and what was not acknowledged goes back to the queue. A consumer of a Channel's queue shares that channel: what it
    handed out stays with the channel.
    """

    @property
    def tag(self) -> str:
        """What the broker knows it by."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Message: ...
    def get(self, timeout: float | None = None) -> Message | None:
        """The next message; None when none came within ``timeout`` seconds (without one it waits for ever, with 0
        not at all) or the consumer was cancelled. Raises Closed when its queue, channel or connection is gone."""

    def cancel(self) -> None:
        """Ends the consumer: what it has not handed out goes back to the queue, what it has can still be
        acknowledged."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def ending(self, close: bool) -> Answer[None]: ...
    def take(self) -> Message | None: ...
    @property
    def cancelled(self) -> bool: ...
    def on_ready(self, bridge: Bridge, wake: Callable[[], Callable[[], object] | None]) -> None: ...
