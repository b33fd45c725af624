"""Makes pictures smaller: ``python resize.py WIDTH``."""

import io
import os
import sys
from pathlib import Path

import warrenmq
from PIL import Image

width = int(sys.argv[1])
resized = Path("resized")
resized.mkdir(exist_ok=True)

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    exchange = mq.exchange("pictures", "fanout", durable=True)
    queue = mq.queue(f"pictures of {width}", durable=True)
    queue.bind(exchange)
    messages = queue.consume(prefetch=1)
    print("ready")
    for message in messages:
        name = message.headers["name"]
        with Image.open(io.BytesIO(message.body)) as picture:
            small = picture.resize((width, round(picture.height * width / picture.width)))
        small.save(resized / f"{width}-{name}")
        message.ack()
        print(f"{name}: {small.width} x {small.height}")
