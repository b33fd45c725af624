import hashlib
import os

import warrenmq


def digest(body: bytes) -> str:
    return f"{len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()[:16]}"


with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    messages = mq.queue("for-python").consume()
    print("ready")
    for message in messages:
        value = message.value()  # str, bytes, or what the JSON says
        print(type(value).__name__, digest(value) if isinstance(value, bytes) else value)
        message.ack()
