"""Named options that stand for ``x-`` arguments of queues and consumers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypedDict

from ._options import Arguments
from .errors import InvalidArgument


class QueueArguments(TypedDict, total=False):
    """What a queue does with its messages, as keyword arguments; None is the same as absent.

    Each stands for the argument that it names. Given both ways with different values is an `InvalidArgument`.
    """

    ttl: int | None
    """``x-message-ttl``: how long a message may wait in it, in milliseconds from 0; then it is dead-lettered."""
    expires: int | None
    """``x-expires``: it is deleted when nobody has used it for so many milliseconds, from 1."""
    max_length: int | None
    """``x-max-length``: how many messages may be ready in it, from 0."""
    max_length_bytes: int | None
    """``x-max-length-bytes``: how many bytes their bodies may have together, from 0."""
    overflow: Literal["drop-head", "reject-publish", "reject-publish-dlx"] | None
    """``x-overflow``: what a full queue does. ``drop-head``, unless said otherwise: the oldest message goes,
    dead-lettered if that is set up. ``reject-publish``: the new one is refused, and its publisher gets `Nacked`;
    ``reject-publish-dlx`` dead-letters that one too."""
    dead_letter_exchange: str | None
    """``x-dead-letter-exchange``: where messages go that expired, were rejected, or had to make room; ``""`` is the
    default exchange."""
    dead_letter_routing_key: str | None
    """``x-dead-letter-routing-key``: the routing key that they go with; their own, unless said otherwise."""
    dead_letter_strategy: Literal["at-most-once", "at-least-once"] | None
    """``x-dead-letter-strategy``: with ``at-least-once`` a message leaves this queue when the next one has it."""
    max_priority: int | None
    """``x-max-priority``: it has priorities from 0 to this, at most 255; the higher are delivered first."""
    single_active_consumer: bool | None
    """``x-single-active-consumer``: one consumer gets all messages, until it goes and the next takes over."""
    delivery_limit: int | None
    """``x-delivery-limit``: how often a message may come back to it, from 0; then it is dead-lettered."""
    consumer_timeout: int | None
    """``x-consumer-timeout``: how long a delivery may go unacknowledged, in milliseconds."""
    type: Literal["classic", "quorum", "stream"] | None
    """``x-queue-type``. The last two have to be durable."""
    deduplication: bool | None
    """``x-message-deduplication``: a message is dropped if one of the same id came not long ago."""
    deduplication_header: str | None
    """``x-deduplication-header``: the header that has the id; ``x-deduplication-header`` unless said otherwise."""
    deduplication_cache_size: int | None
    """``x-cache-size``: how many ids are remembered, from 1; 1024 unless said otherwise."""
    deduplication_cache_ttl: int | None
    """``x-cache-ttl``: for how long an id is remembered, in milliseconds; until others push it out, unless said
    otherwise."""
    max_age: str | None
    """``x-max-age``, of a stream: for how long messages are kept, such as ``"7D"`` or ``"12h"`` (Y, M, D, h, m, s)."""


Offset: TypeAlias = str | int | datetime
"""Where in a stream a consumer begins: ``"first"``, its first message; ``"last"``, its last chunk; ``"next"``, what
comes next (as without an offset); the message of that number, from 0; at that time; or as long ago as ``"1h"`` says."""

_QUEUE = {
    "ttl": "x-message-ttl",
    "expires": "x-expires",
    "max_length": "x-max-length",
    "max_length_bytes": "x-max-length-bytes",
    "overflow": "x-overflow",
    "dead_letter_exchange": "x-dead-letter-exchange",
    "dead_letter_routing_key": "x-dead-letter-routing-key",
    "dead_letter_strategy": "x-dead-letter-strategy",
    "max_priority": "x-max-priority",
    "single_active_consumer": "x-single-active-consumer",
    "delivery_limit": "x-delivery-limit",
    "consumer_timeout": "x-consumer-timeout",
    "type": "x-queue-type",
    "deduplication": "x-message-deduplication",
    "deduplication_header": "x-deduplication-header",
    "deduplication_cache_size": "x-cache-size",
    "deduplication_cache_ttl": "x-cache-ttl",
    "max_age": "x-max-age",
}
_CONSUMER = {"priority": "x-priority", "offset": "x-stream-offset"}


def of_queue(arguments: Arguments | None, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments of a declaration, with those that its options stand for."""
    return _merged("queue.declare", _QUEUE, arguments, options)


def of_consumer(
    arguments: Arguments | None, priority: int | None, offset: Offset | None, stream: bool
) -> dict[str, Any] | None:
    """The arguments of a consumer, with those that its options stand for. That of a ``stream`` says where it begins."""
    merged = _merged("basic.consume", _CONSUMER, arguments, {"priority": priority, "offset": offset})
    return {_CONSUMER["offset"]: "next", **(merged or {})} if stream else merged


def of_stream(arguments: dict[str, Any] | None) -> bool:
    """Whether a queue that is declared with these arguments is a stream."""
    return arguments is not None and arguments.get(_QUEUE["type"]) == "stream"


def _merged(
    operation: str, names: Mapping[str, str], arguments: Arguments | None, options: Mapping[str, Any]
) -> dict[str, Any] | None:
    merged = None if arguments is None else dict(arguments)
    for option, value in options.items():
        if option not in names:
            raise TypeError(f"{operation}: '{option}' is no option")
        if value is None:
            continue
        merged = {} if merged is None else merged
        name = names[option]
        given = merged.setdefault(name, value)
        if given != value:
            raise _twice(operation, f"{option}: {value!r} differs from arguments[{name!r}]: {given!r}")
    return merged


def _twice(operation: str, reason: str) -> InvalidArgument:
    code, advice = "INVALID_ARGUMENT", "give one of them"
    return InvalidArgument(
        f"{operation}: {code} - {reason} ({advice})",
        code=code,
        reply_code=1004,
        reply_text=f"{code} - {reason}",
        operation=operation,
        reason=reason,
        advice=advice,
    )
