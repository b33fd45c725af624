"""Keeps the ledger: ten points for each picture."""

import os
from collections import Counter

import warrenmq

ledger = Counter()
with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    exchange = mq.exchange("pictures", "fanout", durable=True)
    queue = mq.queue("points", durable=True)
    queue.bind(exchange)
    messages = queue.consume()
    print("ready")
    for message in messages:
        user = message.headers["user"]
        ledger[user] += 10
        message.ack()
        print(f"{user} has {ledger[user]} points")
