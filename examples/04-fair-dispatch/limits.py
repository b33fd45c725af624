import os

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    for whole_channel in (False, True):
        with mq.channel() as channel:
            channel.prefetch(2, global_=whole_channel)
            queue = channel.queue()
            queue.send_many(range(10))
            consumers = [queue.consume(), queue.consume()]
            delivered = 10 - queue.info().message_count
            print(f"prefetch(2, global_={whole_channel}): {delivered} delivered to the two consumers")
            queue.delete()
