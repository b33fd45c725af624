"""The errors of WarrenMQ: one class for each kind, all of them `Error`.

An error says what was attempted (`operation`), on what (`entity`), why it failed (`code` and `reason`)
and, where that helps, what to do (`advice`). AMQP's kinds have its reply codes (404 is NOT_FOUND); those
of WarrenMQ's own are above 1000.

>>> import warrenmq
>>> with warrenmq.connect("inproc://") as mq:
...     try:
...         mq.queue("missing", passive=True)
...     except warrenmq.NotFound as error:
...         print(error.reply_code, error.code, error.reply_text, sep="; ")
404; NOT_FOUND; NOT_FOUND - no queue 'missing' in vhost '/'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._native import Message


class Error(Exception):
    """What went wrong. Its text is operation, entity, code, reason and advice in one line."""

    code: str
    """The kind's name: ``NOT_FOUND``."""
    reply_code: int
    """The kind's number: AMQP's reply code, or one of WarrenMQ's own above 1000."""
    reply_text: str
    """The text that AMQP clients see, equal to RabbitMQ's: ``NOT_FOUND - no queue 'x' in vhost '/'``."""
    operation: str
    """What was attempted: ``queue.declare``, ``connect`` …"""
    entity: str
    """What it was attempted on; empty where the operation says it all."""
    reason: str
    """Why it failed, without the kind's name."""
    advice: str | None
    """What can be done about it."""

    def __init__(
        self,
        text: str,
        *,
        code: str,
        reply_code: int,
        reply_text: str,
        operation: str,
        entity: str = "",
        reason: str = "",
        advice: str | None = None,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.reply_code = reply_code
        self.reply_text = reply_text
        self.operation = operation
        self.entity = entity
        self.reason = reason
        self.advice = advice

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in _FIELDS}
        return _rebuild, (type(self), str(self), fields)


_FIELDS = ("code", "reply_code", "reply_text", "operation", "entity", "reason", "advice")


def _rebuild(cls: type[Error], text: str, fields: dict[str, Any]) -> Error:
    """Errors travel between processes (`multiprocessing`, `concurrent.futures`)."""
    return cls(text, **fields)


class ContentTooLarge(Error):
    """311: the body is larger than the broker takes."""


class Unroutable(Error):
    """312: no queue took a mandatory message."""

    message: Message | None = None
    """The message that came back."""


class NoConsumers(Error):
    """313: nobody was ready to take the message."""


class ConnectionForced(Error):
    """320: an operator closed the connection, or the broker stops."""


class InvalidPath(Error):
    """402: unknown virtual host."""


class AccessRefused(Error):
    """403: wrong password, or no permission."""


class NotFound(Error):
    """404: no such queue, exchange, binding or virtual host."""


class ResourceLocked(Error):
    """405: another connection has this exclusively."""


class PreconditionFailed(Error):
    """406: an argument or a state does not fit; among others, a message that was settled before."""


class FrameError(Error):
    """501: a frame that cannot be read."""


class FieldSyntaxError(Error):
    """502: a field that cannot be read."""


class CommandInvalid(Error):
    """503: a method that is not allowed now."""


class ChannelError(Error):
    """504: a channel number that is not open, or open already."""


class UnexpectedFrame(Error):
    """505: a frame that was not expected there."""


class ResourceError(Error):
    """506: out of memory, disk or another resource."""


class NotAllowed(Error):
    """530: forbidden by the rules, whoever asks."""


class FeatureNotImplemented(Error):
    """540: the broker has no such function."""


class InternalError(Error):
    """541: a defect of the broker."""


class Timeout(Error, TimeoutError):
    """1001: nothing came within the time given."""


class Closed(Error):
    """1002: this connection, channel or consumer is closed."""


class Unreachable(Error, ConnectionError):
    """1003: no broker answers at this address."""


class InvalidArgument(Error, ValueError):
    """1004: something unusable was given; among others, a body that JSON would change silently."""


class Nacked(Error):
    """1005: the broker refused to take the message, or the transaction."""


class Backpressure(Error):
    """1006: too many publishes are under way without being awaited."""


class Unsupported(Error):
    """1007: this transport or build cannot do that."""


class Forked(Error):
    """1008: the process was forked after this connection was opened."""


class RemoteError(Error):
    """1009: the handler at the other side of a remote call failed; `reason` is what it said."""

    remote_code: str = ""
    """The code that it gave: its error's ``code``, or the name of the exception's class."""


CLASSES: dict[str, type[Error]] = {
    "CONTENT_TOO_LARGE": ContentTooLarge,
    "NO_ROUTE": Unroutable,
    "NO_CONSUMERS": NoConsumers,
    "CONNECTION_FORCED": ConnectionForced,
    "INVALID_PATH": InvalidPath,
    "ACCESS_REFUSED": AccessRefused,
    "NOT_FOUND": NotFound,
    "RESOURCE_LOCKED": ResourceLocked,
    "PRECONDITION_FAILED": PreconditionFailed,
    "FRAME_ERROR": FrameError,
    "SYNTAX_ERROR": FieldSyntaxError,
    "COMMAND_INVALID": CommandInvalid,
    "CHANNEL_ERROR": ChannelError,
    "UNEXPECTED_FRAME": UnexpectedFrame,
    "RESOURCE_ERROR": ResourceError,
    "NOT_ALLOWED": NotAllowed,
    "NOT_IMPLEMENTED": FeatureNotImplemented,
    "INTERNAL_ERROR": InternalError,
    "TIMEOUT": Timeout,
    "CLOSED": Closed,
    "UNREACHABLE": Unreachable,
    "INVALID_ARGUMENT": InvalidArgument,
    "NACKED": Nacked,
    "BACKPRESSURE": Backpressure,
    "UNSUPPORTED": Unsupported,
    "FORKED": Forked,
    "REMOTE": RemoteError,
}
"""The class for each code. The native layer raises from it."""
