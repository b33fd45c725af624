"""A member in Python: does what it is told in JSON, and notes it.

Usage: python client.py PLAN. It ends in good order when its standard input does, and on SIGTERM closes at once, under
whatever goes on. client.mjs is the same in Node.
"""

import json
import os
import random
import signal
import sys
import threading
import time

import warrenmq

PAUSE = 0.02  # seconds that a publisher rests at most between two windows
SHARE = 0.1  # of the messages goes back to the queue, where the consumer is one that returns
PATIENCE = 1.0  # seconds after which a message to oneself is given up


class Notes:
    """A file to which each line goes with one system call: a kill takes nothing back."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __call__(self, role, what, *details):
        os.write(self._file, json.dumps([time.monotonic(), role, what, *details]).encode() + b"\n")


def letter(publisher, number):
    """The body of a message; the same in both languages."""
    size = 20_000 if number % 100 == 99 else number % 97
    return f"{publisher} {number} {'x' * size}"


def sender(text):
    """Whose it is and which number, or the text itself when nobody wrote that."""
    publisher, number, _ = (*text[:80].split(" ", 2), "", "")[:3]
    known = number.isdigit() and letter(publisher, int(number)) == text
    return (publisher, int(number)) if known else (text[:40], -1)


class Client:
    """`stop` is set when the roles are to come to their end, `closing` when errors are no surprise any more."""

    def __init__(self, plan):
        self.life, self.note = plan["life"], Notes(plan["notes"])
        self.stop, self.closing = threading.Event(), False
        self.mq = warrenmq.connect(plan["url"], name=plan["name"], timeout=plan["timeout"])
        self.mq.on("reconnected", lambda _: self.note("", "reconnected"))
        self.mq.on("close", self.closed)
        self.note("", "open")
        for name, options in plan["topology"]["queues"].items():
            self.mq.queue(name, durable=True, **options)
        for name, kind in plan["topology"]["exchanges"].items():
            self.mq.exchange(name, kind, durable=True)
        for queue, exchange, key in plan["topology"]["bindings"]:
            self.mq.queue(queue, passive=True).bind(exchange, key)
        self.threads = [threading.Thread(target=self.play, args=(role,)) for role in plan["roles"]]
        for thread in self.threads:
            thread.start()

    def closed(self, error):
        if not self.closing:
            self.note("", "failed", "close", str(error))

    def play(self, role):
        try:
            getattr(self, role.pop("do"))(**role)
        except Exception as error:
            if not self.closing:
                self.note(role["name"], "failed", getattr(error, "code", type(error).__name__), str(error))

    def end(self, at_once):
        self.stop.set()
        if at_once:
            self.close()
        for thread in self.threads:
            thread.join()
        self.close()
        self.note("", "ended")

    def close(self):
        if not self.closing:
            self.note("", "closing")
        self.closing = True
        self.mq.close()

    def publish(self, name, exchange, routes, window, way, ranks, persistent):
        out, number = self.mq.exchange(exchange, passive=True), 0
        name, keys = f"{name}.{self.life}", list(routes)
        while not self.stop.is_set():
            key, count = random.choice(keys), 1 if way == "one" else random.randint(1, window)
            options = {"persistent": persistent} | ({"priority": random.randint(0, ranks)} if ranks else {})
            first, number = number + 1, number + count
            bodies = [letter(name, each) for each in range(first, number + 1)]
            self.note(name, "publish", first, number, routes[key], persistent)
            if way == "one":
                lost = [] if out.publish(bodies[0], key, **options).routed else [0]
            else:
                lost = out.publish_many(bodies, key, **options).unrouted
            self.note(name, "confirmed", first, number, lost)
            self.stop.wait(random.uniform(0, PAUSE))

    def consume(self, name, queue, way, prefetch):
        name, held = f"{name}.{self.life}", 0
        consumer = self.mq.queue(queue, passive=True).consume(prefetch=prefetch)
        self.note(name, "consume", queue, prefetch)
        while not self.stop.is_set():
            message = consumer.get(timeout=0.2)
            if message is None:
                continue
            publisher, number = sender(message.text())
            back = way == "returns" and not message.redelivered and random.random() < SHARE
            self.note(name, "take", queue, publisher, number, message.redelivered, back)
            held += 1
            if back:
                message.nack()
            elif way != "late" or held % (prefetch // 2) == 0:
                message.ack(multiple=way == "late")
        consumer.cancel()

    def serve(self, name, queue):
        server = self.mq.serve(queue, lambda value, message: value * 2, prefetch=5)
        self.stop.wait()
        server.close()

    def call(self, name, queue, timeout):
        number, name = 0, f"{name}.{self.life}"
        while not self.stop.is_set():
            number += 1
            self.note(name, "call", number, timeout)
            try:
                answer = self.mq.call(queue, number, timeout)
                self.note(name, "answer", number, "" if answer == number * 2 else f"the wrong answer: {answer}")
            except warrenmq.Error as error:
                self.note(name, "answer", number, error.code, str(error))
            self.stop.wait(random.uniform(0, PAUSE))

    def own(self, name, exchange):
        name, number = f"{name}.{self.life}", 0
        queue = self.mq.queue(f"own.{name}", exclusive=True)
        queue.bind(exchange, f"own.{name}")
        consumer = queue.consume()
        while not self.stop.is_set():
            number += 1
            self.mq.publish(exchange, letter(name, number), f"own.{name}", persistent=True)
            message = consumer.get(timeout=PATIENCE)
            if message is not None:
                self.note(name, "echo", *sender(message.text()))
                message.ack()
            self.stop.wait(random.uniform(0, PAUSE))


def drain(plan):
    """Takes all that is left in the queues."""
    note = Notes(plan["notes"])
    with warrenmq.connect(plan["url"], name=plan["name"], timeout=plan["timeout"]) as mq:
        note("", "open")
        for name, options in plan["topology"]["queues"].items():
            queue, drain = mq.queue(name, durable=True, **options), f"drain.{plan['life']}.{name}"
            consumer = queue.consume(prefetch=500)
            note(drain, "consume", name, 500)
            while (message := consumer.get(timeout=0.2)) or queue.info().message_count:
                if message:
                    note(drain, "take", name, *sender(message.text()), message.redelivered, False)
                    message.ack()
            consumer.cancel()
            note("", "drained", name)
    note("", "ended")


def main():
    plan = json.loads(sys.argv[1])
    if plan.get("drain"):
        return drain(plan)

    def terminated(*_):
        raise SystemExit

    client = Client(plan)
    signal.signal(signal.SIGTERM, terminated)
    client.note("", "ready")
    try:
        sys.stdin.read()
        at_once = False
    except SystemExit:
        at_once = True
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    client.end(at_once)


if __name__ == "__main__":
    main()
