import os
import sys

import warrenmq

WANTED = {"x-match": sys.argv[1], "format": "pdf", "pages": 10, "x-draft": True}

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    reports = mq.exchange("reports", "headers")
    mine = mq.queue(exclusive=True)
    mine.bind(reports, arguments=WANTED)
    messages = mine.consume(no_ack=True)
    print("ready")
    for message in messages:
        print(message.text(), message.headers)
