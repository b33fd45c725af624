"""Remote calls: what a reply looks like, for both APIs."""

from __future__ import annotations

from typing import Any

from ._native import Message
from ._options import Body, Properties
from .errors import RemoteError

ERROR = "error"
"""The property ``type`` of a reply that says that the handler failed."""


def failure(error: BaseException) -> tuple[Body, Properties]:
    """The reply for an exception of the handler."""
    code = getattr(error, "code", None)
    code = code if isinstance(code, str) else type(error).__name__
    return {"error": {"code": code, "message": str(error)}}, {"type": ERROR}


def result(queue: str, reply: Message) -> Any:
    """What a reply stands for: its value, or the error that it tells of."""
    if reply.type != ERROR:
        return reply.value()
    told = reply.value()
    told = told.get("error") if isinstance(told, dict) else None
    told = told if isinstance(told, dict) else {}
    reason = str(told.get("message", "the handler failed and did not say why"))
    entity = f"queue '{queue}'"
    error = RemoteError(
        f"call {entity}: REMOTE - {reason}",
        code="REMOTE",
        reply_code=1009,
        reply_text=f"REMOTE - {reason}",
        operation="call",
        entity=entity,
        reason=reason,
    )
    error.remote_code = str(told.get("code", ""))
    raise error
