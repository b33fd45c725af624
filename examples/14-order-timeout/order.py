"""Takes two orders, of which one is paid: ``python order.py delay`` or ``python order.py dead-letter``."""

import os
import sys
import time

import warrenmq
from shop import Shop

PATIENCE = 1000  # milliseconds; half an hour, in other shops

way = sys.argv[1]
shop = Shop()
with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    timeouts = mq.queue(f"timeouts by {way}", durable=True)

    def by_delay(body):
        """The broker keeps the message until it is time. Each may have a time of its own."""
        timeouts.send(body, delay=PATIENCE)

    def by_dead_letter(body):
        """The message waits where nobody consumes, and when its time is over, the broker moves it on."""
        unpaid = mq.queue(
            "unpaid",
            durable=True,
            ttl=PATIENCE,
            dead_letter_exchange="",
            dead_letter_routing_key=timeouts.name,
        )
        unpaid.send(body)

    remind = {"delay": by_delay, "dead-letter": by_dead_letter}[way]
    for paid in (True, False):
        order = shop.place()
        remind({"order": order, "due": int(time.time() * 1000) + PATIENCE})
        if paid:
            shop.pay(order)
        print(f"order {order}: {'paid' if paid else 'open'}, {shop.left()} left")
