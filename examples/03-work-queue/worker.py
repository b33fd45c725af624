import os
import time

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    messages = mq.queue("task_queue", durable=True).consume()
    print("ready")
    for message in messages:
        task = message.text()
        print("started", task, "(redelivered)" if message.redelivered else "")
        time.sleep(task.count("."))  # a second for each dot
        print("done", task)
        message.ack()
