import hashlib
import os

import warrenmq

bodies = [
    "Grüße, 世界 🐇",
    {"name": "Zoë", "tags": ["a", None, True], "price": 12.5},
    bytes([0, 1, 2, 254, 255]),
    b"",
    b"0123456789abcdef" * 1024 * 1024,
]


def digest(body: bytes) -> str:
    return f"{len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()[:16]}"


with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    inbox = mq.queue("for-node")
    for body in bodies:
        inbox.send(body)
        print("sent", digest(body) if isinstance(body, bytes) else body)
