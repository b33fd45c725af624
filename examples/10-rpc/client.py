import os

import warrenmq

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    for n in (30, 35, 40):
        print(f"fib({n}) = {mq.call('rpc_queue', n)}")

    try:
        mq.call("rpc_queue", -1)
    except warrenmq.RemoteError as error:
        print("the server says:", error.reason)

    mq.queue("nobody_serves", exclusive=True)
    try:
        mq.call("nobody_serves", 30, timeout=0.2)
    except warrenmq.Timeout as error:
        print("in vain:", error.code)
