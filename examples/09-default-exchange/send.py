import os

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    default = mq.exchange("")
    print("to inbox:", default.publish("hello from Python", "inbox"))
    print("to nowhere:", default.publish("is dropped", "nowhere"))
    try:
        default.publish("comes back", "nowhere", mandatory=True)
    except warrenmq.Unroutable as error:
        print(f"to nowhere, mandatory: {error.code}")
