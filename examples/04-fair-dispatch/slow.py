import os
import time

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    messages = mq.queue("fair").consume(prefetch=1)
    print("ready")
    for message in messages:
        time.sleep(2)
        print("done", message.text())
        message.ack()
