"""How fast messages go from one language to the other, each end a process of its own, beside what else there is.

`cd tests && python -m bench.languages [--rounds 3] [--only TEXT] [--seconds 2]` prints a table: medians of the rounds.
A rate is that of so many messages as make a run of about so many seconds, from the first published to the last
acknowledged. Round trips are measured for as long, after a second that is not counted. A library that is not installed
is left out.
"""

import argparse
import contextlib
import importlib.util
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from support import brokers

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
SIZES = (16, 128, 16 << 10, 1 << 20)
COMMANDS = {"Python": [sys.executable, HERE / "ends.py"], "Node": ["node", HERE / "ends.mjs"]}
PATHS = (("Node", "Python"), ("Python", "Node"), ("Node", "Node"), ("Python", "Python"))
# Of a peer's library, the packages of pip and npm.
PACKAGES = {
    "warrenmq": ("warrenmq", "warrenmq"),
    "rabbitmq": ("pika", "amqplib"),
    "zeromq": ("zmq", "zeromq"),
    "nats": ("nats", "nats"),
}
PATIENCE = 60  # seconds
NUMBERS = itertools.count()  # of runs: some places share a broker


class Failed(Exception):
    """A part that did not come to its end."""


class End:
    """One process with its part."""

    def __init__(self, language, part):
        command = [*COMMANDS[language], json.dumps(part)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=TESTS)
        self.patience = threading.Timer(PATIENCE, self.process.kill)
        self.patience.start()
        self.what = f"{language} {part['role']} with {part['library']}"

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.what} ended with status {self.process.wait()}")
        return line

    def be_ready(self):
        while self.line() != "ready\n":
            pass

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self):
        return json.loads(self.line())

    def end(self):
        self.patience.cancel()
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def ends(where, languages, parts):
    """Both processes; the first is ready before the second is started, as it may be the one that listens."""
    with contextlib.ExitStack() as stack:
        running = []
        for language, part in zip(languages, parts, strict=True):
            part = {"module": where.modules.get(part["library"]), **part}
            end = End(language, part)
            stack.callback(end.end)
            end.be_ready()
            running.append(end)
        yield running


class Where:
    """What one library talks to."""

    def __init__(self, name, library, url, modules, durable=True):
        self.name, self.library, self.modules = name, library, modules
        self._url, self.durable = url, durable

    def part(self, role, number, **more):
        url = self._url(number)
        return {"role": role, "library": self.library, "url": url, "queue": f"bench-{number}", **more}


def rate(where, languages, count, size, content="bytes", durable=False, window=500):
    """Messages per second."""
    window = max(1, min(window, (4 << 20) // size))
    count = max(window, count // window * window)
    number = next(NUMBERS)
    part = {"size": size, "content": content, "durable": durable, "window": window, "count": count}
    sender, receiver = languages
    parts = where.part("receive", number, **part), where.part("send", number, **part)
    with ends(where, (receiver, sender), parts) as (receiving, sending):
        receiving.go()
        sending.go()
        begin = sending.result()["begin"]
        return count / (receiving.result()["end"] - begin) * 1e9


def steady_rate(where, languages, seconds, size, **options):
    """The rate of a run of about so many seconds."""
    guess = rate(where, languages, max(50, min(2000, (16 << 20) // size)), size, **options)
    guess = rate(where, languages, int(guess * seconds / 8) + 1, size, **options)
    return rate(where, languages, int(guess * seconds) + 1, size, **options)


def round_trip(where, languages, seconds):
    """Percentiles of the round trips that are made in so many seconds, in microseconds."""
    caller, server = languages
    number = next(NUMBERS)
    part = {"size": 128, "content": "bytes", "durable": False, "window": 1, "seconds": seconds}
    parts = where.part("serve", number, **part), where.part("call", number, **part)
    with ends(where, (server, caller), parts) as (serving, calling):
        if where.library == "warrenmq":  # others begin at once
            serving.go()
        calling.go()
        result = calling.result()
        return result["p50"], result["p99"]


def measures(seconds):
    """Names, and how each is measured."""
    for (sender, receiver), size in itertools.product(PATHS[:2], SIZES):
        path = (sender, receiver)
        yield f"acked, {text(size)}, {arrow(path)}", rated(path, seconds, size)
    for path in PATHS[2:]:
        yield f"acked, 128 B, {arrow(path)}", rated(path, seconds, 128)
    for path in PATHS[:2]:
        yield f"acked, 128 B, sent one by one, {arrow(path)}", rated(path, seconds, 128, window=1)
        yield f"durable, confirmed, acked, 128 B, {arrow(path)}", rated(path, seconds, 128, durable=True)
        yield f"JSON of 10 fields, acked, {arrow(path)}", rated(path, seconds, 128, content="json")
    for path in PATHS:
        yield f"round trip, 128 B, {arrow(path)} and back, p50 / p99", tripped(path, seconds)


def rated(path, seconds, size, **options):
    def measure(where):
        is_ours = where.library == "warrenmq"
        if options.get("content") == "json" and not is_ours or options.get("durable") and not where.durable:
            return None
        if options.get("window") == 1 and not is_ours:
            return None
        return (steady_rate(where, path, seconds, size, **options),)

    return measure


def tripped(path, seconds):
    def measure(where):
        # amqplib has no blocking client to answer with; pika none to ask with.
        if where.library == "rabbitmq" and path != ("Node", "Python"):
            return None
        return round_trip(where, path, seconds)

    return measure


def arrow(path):
    return " → ".join(path)


def text(size):
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def shown(values):
    if not values:
        return ""
    if len(values) == 2:
        return " / ".join(f"{value:.0f}" for value in values) + " µs"
    digits = len(str(int(values[0]))) - 3
    return f"{round(values[0], -max(0, digits)):,.0f}/s"


def modules():
    """Where Node finds the packages that are installed beside the tests, by our names."""
    found = {}
    for name, (_, package) in PACKAGES.items():
        script = f"console.log(require.resolve({json.dumps(package)}))"
        run = subprocess.run(["node", "-e", script], cwd=TESTS, capture_output=True, text=True, check=False)
        if run.returncode == 0:
            found[name] = run.stdout.strip()
    return found


@contextlib.contextmanager
def everywhere():
    """All that can be measured here."""
    found = modules()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=TESTS.parent / "target")))
        places = []

        def add(name, library, url, **options):
            if library in found and importlib.util.find_spec(PACKAGES[library][0]):
                places.append(Where(name, library, url, found, **options))

        add("local:", "warrenmq", lambda number: f"local:{folder}/{number}")
        ours = brokers.spawn_warrenmq("--data", folder / "served").wait()
        stack.callback(ours.kill)
        add("local: to warrenmq serve", "warrenmq", lambda _: f"local:{folder}/served")
        add("amqp: to warrenmq serve", "warrenmq", lambda _: ours.url)
        with contextlib.suppress(brokers.Unavailable):
            rabbit = brokers.start_rabbitmq()
            stack.callback(rabbit.stop)
            add("amqp: to RabbitMQ", "warrenmq", lambda _: rabbit.url)
            add("RabbitMQ, amqplib, pika", "rabbitmq", lambda _: rabbit.url)
        add("ZeroMQ, ipc", "zeromq", lambda number: f"ipc://{folder}/z{number}", durable=False)
        if shutil.which("nats-server"):
            port = brokers.free_ports(1)[0]
            command = ["nats-server", "-a", "127.0.0.1", "-p", str(port)]
            server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            stack.callback(server.wait)
            stack.callback(server.terminate)
            time.sleep(1)
            add("NATS", "nats", lambda _: f"nats://127.0.0.1:{port}", durable=False)
        yield places


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a run")
    parser.add_argument("--only", default="", help="measures whose name has this in it")
    parser.add_argument("--where", default="", help="places whose name has this in it")
    arguments = parser.parse_args()
    with everywhere() as places:
        places = [place for place in places if arguments.where in place.name]
        rows = [row for row in measures(arguments.seconds) if arguments.only in row[0]]
        values, failures = {}, []
        for _ in range(arguments.rounds):
            for (name, measure), where in itertools.product(rows, places):
                try:
                    value = measure(where)
                except Failed as failure:
                    failures.append(f"{name}, {where.name}: {failure}")
                    continue
                print(f"{name}, {where.name}: {shown(value) or '-'}", file=sys.stderr, flush=True)
                if value:
                    values.setdefault((name, where.name), []).append(value)
        print("| | " + " | ".join(where.name for where in places) + " |")
        print("|---" * (len(places) + 1) + "|")
        for name, _ in rows:
            cells = (values.get((name, where.name), []) for where in places)
            cells = ([statistics.median(column) for column in zip(*cell, strict=True)] for cell in cells)
            print(f"| {name} | " + " | ".join(map(shown, cells)) + " |")
    print(*failures, sep="\n", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
