import os

import warrenmq

KEYS = ["mysql.info", "mysql.error.disk", "cache.redis", "critical", "critical.disk", "critical*"]

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    events = mq.exchange("events", "topic")
    for key in KEYS:
        events.publish(f"something about {key}", key)
        print("published", key)
