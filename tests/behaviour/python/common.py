"""What the sessions share: how bodies and messages look in steps and in answers, and the functions to serve."""

import hashlib
import json
from datetime import UTC, datetime

TIMEOUT = 10  # seconds, for what is expected to come

PROPERTIES = (
    "content_type",
    "content_encoding",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
)

# The reply codes that scenarios name.
REPLY_CODES = {
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    503: "COMMAND_INVALID",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
}


def body_of(given):
    """A step's body as a Python program would give it: str, bytes, or a value to be sent as JSON."""
    if isinstance(given, str):
        return given
    if "json" in given:
        return given["json"]
    return bytes.fromhex(given["hex"]) * given.get("times", 1)


def fields_of(given):
    """A step's headers or arguments as Python values: `{"timestamp": SECONDS}` is a point in time."""
    if isinstance(given, dict):
        if given.keys() == {"timestamp"}:
            return datetime.fromtimestamp(given["timestamp"], UTC)
        return {key: fields_of(value) for key, value in given.items()}
    return [fields_of(value) for value in given] if isinstance(given, list) else given


def told(value):
    """How an answer shows what JSON has no form for. pika's points in time are in UTC and do not say so."""
    if isinstance(value, datetime):
        return {"timestamp": int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(f"no JSON form for {value!r}")


def seen(body, *, exchange, routing_key, redelivered, headers, properties):
    """A message in an answer. The body is told by its digest, and shown where it is JSON."""
    told = {
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "exchange": exchange,
        "routing_key": routing_key,
        "redelivered": redelivered,
        "headers": headers,
        "properties": properties,
    }
    if properties.get("content_type") == "application/json":
        told["json"] = json.loads(body)
    return told


def fib(request):
    """The n-th Fibonacci number."""
    a, b = 0, 1
    for _ in range(request["n"]):
        a, b = b, a + b
    return a


FUNCTIONS = {"fib": fib}
