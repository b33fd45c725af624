"""Work that a registration makes: ``python work.py mail``, ``… recommendation`` or ``… notice``."""

import os
import sys
import time

import warrenmq

kind = sys.argv[1]
text = {
    "mail": "wrote to {name}@example.com",
    "recommendation": "recommended {name} more about {likes}",
    "notice": "told the others that {name} is here",
}[kind]

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    exchange = mq.exchange("registrations", "fanout", durable=True)
    queue = mq.queue(kind, durable=True)
    queue.bind(exchange)
    messages = queue.consume()
    print("ready")
    for message in messages:
        time.sleep(1)  # it takes its time
        print(text.format(**message.json()))
        message.ack()
