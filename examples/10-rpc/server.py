import os

import warrenmq


def fib(n, message):
    if n < 0:
        raise ValueError(f"there is no fib({n})")
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    print(f"fib({n})")
    return a


with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    server = mq.serve("rpc_queue", fib, prefetch=10)
    print("ready")
    server.wait()
