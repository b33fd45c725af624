import os

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    mq.queue("hello").send("Hello World!")
    print("sent Hello World!")
