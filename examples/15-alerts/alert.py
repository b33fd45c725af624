import os
import sys

import warrenmq

kind, text = sys.argv[1:]
with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    alerts = mq.exchange("alerts", "topic", durable=True)
    receipt = alerts.publish(text, kind, persistent=True)
    print(kind, "concerns somebody" if receipt.routed else "concerns nobody")
