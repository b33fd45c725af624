"""WarrenMQ: RabbitMQ's semantics with SQLite's operations, inside your process.

>>> import warrenmq
>>> with warrenmq.connect("inproc://") as mq:
...     tasks = mq.queue("tasks", durable=True)
...     receipt = tasks.send({"n": 30})
...     for message in tasks.consume(prefetch=200):
...         print(message.json())
...         message.ack()
...         break
{'n': 30}

The same for asyncio is in `warrenmq.aio`.
"""

from . import errors
from ._arguments import Offset, QueueArguments
from ._connection import Channel, Connection, Exchange, Queue, QueueInfo, connect
from ._native import BatchReceipt, Consumer, Message, Receipt, __version__
from ._options import Arguments, Body, Event, ExchangeType, Field, Json, Properties
from ._serving import Handler, Server
from .errors import (
    AccessRefused,
    Backpressure,
    ChannelError,
    Closed,
    CommandInvalid,
    ConnectionForced,
    ContentTooLarge,
    Error,
    FeatureNotImplemented,
    FieldSyntaxError,
    Forked,
    FrameError,
    InternalError,
    InvalidArgument,
    InvalidPath,
    Nacked,
    NoConsumers,
    NotAllowed,
    NotFound,
    PreconditionFailed,
    RemoteError,
    ResourceError,
    ResourceLocked,
    Timeout,
    UnexpectedFrame,
    Unreachable,
    Unroutable,
    Unsupported,
)

__all__ = [
    "AccessRefused",
    "Arguments",
    "Backpressure",
    "BatchReceipt",
    "Body",
    "Channel",
    "ChannelError",
    "Closed",
    "CommandInvalid",
    "Connection",
    "ConnectionForced",
    "Consumer",
    "ContentTooLarge",
    "Error",
    "Event",
    "Exchange",
    "ExchangeType",
    "FeatureNotImplemented",
    "Field",
    "FieldSyntaxError",
    "Forked",
    "FrameError",
    "Handler",
    "InternalError",
    "InvalidArgument",
    "InvalidPath",
    "Json",
    "Message",
    "Nacked",
    "NoConsumers",
    "NotAllowed",
    "NotFound",
    "Offset",
    "PreconditionFailed",
    "Properties",
    "Queue",
    "QueueArguments",
    "QueueInfo",
    "Receipt",
    "RemoteError",
    "ResourceError",
    "ResourceLocked",
    "Server",
    "Timeout",
    "UnexpectedFrame",
    "Unreachable",
    "Unroutable",
    "Unsupported",
    "__version__",
    "connect",
    "errors",
]
