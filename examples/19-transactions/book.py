"""Books what was ordered: an order becomes an invoice and a parcel, and is done; or nothing of that."""

import os

import warrenmq


def address_of(order):
    if order["to"] is None:
        raise ValueError(f"nobody is to get the {order['item']}")
    return f"{order['item']} for {order['to']}"


with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq, mq.channel() as channel:
    orders, invoices, parcels = (
        channel.queue(name, durable=True) for name in ("orders", "invoices", "parcels")
    )

    while message := orders.get():
        order = message.json()
        try:
            with channel.transaction():
                message.ack()
                invoices.send(f"{order['item']}: 3.50")
                parcels.send(address_of(order))
            print("booked", order["item"])
        except ValueError as error:
            print("not booked:", error)
            with channel.transaction():
                message.reject(requeue=False)  # it is unacknowledged again

    for queue in (orders, invoices, parcels):
        print(f"{queue.name}: {queue.info().message_count}")
