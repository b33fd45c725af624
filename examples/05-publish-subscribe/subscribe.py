import os

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    logs = mq.exchange("logs", "fanout")
    mine = mq.queue(exclusive=True)  # the broker names it; it goes with this connection
    mine.bind(logs)
    messages = mine.consume(no_ack=True)
    print("ready")
    for message in messages:
        print("received", message.text())
