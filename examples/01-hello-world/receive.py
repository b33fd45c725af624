import os

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    messages = mq.queue("hello").consume(no_ack=True)
    print("ready")
    for message in messages:
        print("received", message.text())
