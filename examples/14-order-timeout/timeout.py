"""Gives up what was not paid in time: ``python timeout.py delay`` or ``python timeout.py dead-letter``."""

import os
import sys
import time

import warrenmq
from shop import Shop

shop = Shop()
with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    messages = mq.queue(f"timeouts by {sys.argv[1]}", durable=True).consume()
    print("ready")
    for message in messages:
        told = message.json()
        order, early = told["order"], " (too early!)" if time.time() * 1000 < told["due"] else ""
        how = f", {message.deaths[0]['reason']} in {message.deaths[0]['queue']}" if message.deaths else ""
        done = f"given up, {shop.left()} left" if shop.give_up(order) else "nothing to do"
        message.ack()
        print(f"time-out of order {order}{how}: {done}{early}")
