"""Orders: together or not at all."""

import os

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq, mq.channel() as channel:

    def waiting():
        return mq.queue("orders", durable=True).message_count

    orders = channel.queue("orders", durable=True)

    channel.tx_select()
    orders.send_many([{"item": "lettuce", "to": "Ada"}, {"item": "carrots", "to": None}])
    print("before the commit:", waiting(), "orders")
    channel.tx_commit()
    print("after the commit:", waiting(), "orders")

    orders.send({"item": "dandelions", "to": "Bob"})
    channel.tx_rollback()
    print("after a rollback:", waiting(), "orders")
