"""The types of what is given to both APIs, and how it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypedDict

Json: TypeAlias = bool | int | float | str | list[Any] | tuple[Any, ...] | dict[str, Any] | None
"""What JSON can hold. Integers within ±(2^53-1), finite floats, str keys; tuples arrive as lists."""

Body: TypeAlias = bytes | bytearray | memoryview | Json
"""A message's body: bytes as they are; str as UTF-8, ``text/plain; charset=utf-8``; anything else as JSON,
``application/json``."""

Field: TypeAlias = bool | int | float | str | bytes | datetime | list[Any] | tuple[Any, ...] | dict[str, Any] | None
"""A value in headers and arguments. Integers within 64 bits; datetimes with a time zone, kept to the second."""

Arguments: TypeAlias = Mapping[str, Any]
"""``x-`` arguments of queues, exchanges and bindings: a dict of `Field`."""

ExchangeType: TypeAlias = Literal[
    "direct",
    "fanout",
    "topic",
    "headers",
    "x-delayed-message",
    "x-consistent-hash",
    "x-modulus-hash",
    "x-random",
    "x-local-random",
    "x-recent-history",
]
"""Which messages an exchange sends where."""

Event: TypeAlias = Literal["close", "blocked", "unblocked", "unresponsive", "responsive", "reconnected", "return"]
"""What a connection can tell unasked."""


class Properties(TypedDict, total=False):
    """The properties of a message, as keyword arguments. Texts hold at most 255 octets."""

    content_type: str
    """What the body is, as a media type. Without it, what follows from the body."""
    content_encoding: str
    """How the body is packed: ``gzip`` …"""
    headers: dict[str, Field]
    """Application headers: str, int, float, bool, None, bytes, list, dict, datetime."""
    persistent: bool
    """Whether it survives a restart of the broker, in a durable queue."""
    priority: int
    """0 to 255."""
    correlation_id: str
    """Which request it answers, or what the answer to it is to carry."""
    reply_to: str
    """The queue that the answer is to go to."""
    expiration: int
    """How long it may wait in a queue, in milliseconds."""
    delay: int
    """How long the broker is to hold it back before it is routed, in milliseconds: the header ``x-delay``."""
    message_id: str
    """The application's name for it."""
    timestamp: int
    """When it was made, in seconds since 1970."""
    type: str
    """What kind of message it is, in the application's terms."""
    user_id: str
    """The user that publishes it; the broker refuses any other."""
    app_id: str
    """The application that publishes it."""


EVENTS = ("close", "blocked", "unblocked", "unresponsive", "responsive", "reconnected", "return")


def addresses(listen: str | Sequence[str]) -> list[str]:
    """What ``listen=`` names, as the native layer takes it."""
    return [listen] if isinstance(listen, str) else list(listen)


def hide_password(url: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"(://[^:@/]*):.*@", r"\1:***@", url)


def plain(arguments: Arguments | None) -> dict[str, Any] | None:
    """Arguments as the dict that the native layer takes."""
    return None if arguments is None else dict(arguments)
