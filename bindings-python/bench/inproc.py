"""In process, Python to Python: one thread sends, another receives and acknowledges each message.

Prints one JSON line per measure. `python bench/inproc.py [MESSAGES] [ROUNDS]`; the median of the rounds.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable

import warrenmq

BODY = bytes(128)
PREFETCH = 1000


def receive(queue: warrenmq.Queue, count: int) -> None:
    """Reads and acknowledges so many messages."""
    with queue.consume(prefetch=PREFETCH) as consumer:
        for message in consumer:
            message.body  # noqa: B018  (what a receiver pays for)
            message.ack()
            count -= 1
            if not count:
                return


def send_each(queue: warrenmq.Queue, count: int) -> None:
    """Sends one by one."""
    send = queue.send
    for _ in range(count):
        send(BODY)


def send_batches(queue: warrenmq.Queue, count: int) -> None:
    """Sends in batches of 100."""
    batch = [BODY] * 100
    for _ in range(count // 100):
        queue.send_many(batch)


def rate(send: Callable[[warrenmq.Queue, int], None], count: int) -> float:
    """Messages per second from the first sent to the last acknowledged."""
    with warrenmq.connect("inproc://") as mq:
        queue = mq.queue("bench")
        receiver = threading.Thread(target=receive, args=(queue, count))
        receiver.start()
        begin = time.perf_counter()
        send(queue, count)
        receiver.join()
        return count / (time.perf_counter() - begin)


def echo(count: int) -> list[float]:
    """Round trips from this thread to another and back, in seconds."""
    with warrenmq.connect("inproc://") as mq:
        there, back = mq.queue("there"), mq.queue("back")

        def answer() -> None:
            with there.consume() as requests:
                for message in requests:
                    back.send(message.body)
                    message.ack()
                    if not message.body:
                        return

        echoing = threading.Thread(target=answer)
        echoing.start()
        taken = []
        with back.consume(no_ack=True) as replies:
            for _ in range(count):
                begin = time.perf_counter()
                there.send(BODY)
                replies.get()
                taken.append(time.perf_counter() - begin)
        there.send(b"")
        echoing.join()
        return taken


def tell(measure: str, value: float, unit: str) -> None:
    """One line of the result."""
    print(json.dumps({"measure": measure, "value": round(value, 1), "unit": unit}), flush=True)


def main() -> None:
    """Measures everything."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    for measure, send in ("Python to Python", send_each), ("Python to Python, send_many of 100", send_batches):
        tell(f"in process, {measure}", statistics.median(rate(send, count) for _ in range(rounds)), "/s")
    trips = sorted(echo(min(count, 20_000)))
    tell("in process, Python round trip, p50", trips[len(trips) // 2] * 1e6, "µs")
    tell("in process, Python round trip, p99", trips[len(trips) * 99 // 100] * 1e6, "µs")


if __name__ == "__main__":
    main()
