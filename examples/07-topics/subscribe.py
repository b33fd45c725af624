import os
import sys

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    events = mq.exchange("events", "topic")
    mine = mq.queue(exclusive=True)
    for pattern in sys.argv[1:]:
        mine.bind(events, pattern)
    messages = mine.consume(no_ack=True)
    print("ready")
    for message in messages:
        print(message.routing_key)
