import os
import sys

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    logs = mq.exchange("direct_logs", "direct")
    mine = mq.queue(exclusive=True)
    for severity in sys.argv[1:]:
        mine.bind(logs, severity)
    messages = mine.consume(no_ack=True)
    print("ready")
    for message in messages:
        print(f"{message.routing_key}: {message.text()}")
