import os
import time

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    tasks = mq.queue("tasks").consume(prefetch=1)
    done = mq.queue("done")
    print("ready")
    for task in tasks:
        time.sleep(0.05)
        done.send(task.body)
        task.ack()
