"""Takes a picture in, and announces it, once: ``python upload.py NAME USER``."""

import io
import os
import sys

import warrenmq
from PIL import Image

name, user = sys.argv[1:]

# A picture such as a camera makes: 1600 x 1200, as JPEG.
file = io.BytesIO()
Image.radial_gradient("L").resize((1600, 1200)).convert("RGB").save(file, "JPEG")

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    pictures = mq.exchange("pictures", "fanout", durable=True)
    headers = {"name": name, "user": user}
    pictures.publish(file.getvalue(), content_type="image/jpeg", headers=headers, persistent=True)
    print(f"{name} is here, thank you, {user}")
