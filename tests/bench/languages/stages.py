"""What a message costs the processors at each stage between Node and a Python that hosts the directory (needs `perf`).

`cd tests && python -m bench.languages.stages` prints a table: nanoseconds a message, of 128 bytes and of JSON.
"""

import collections
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.languages import __main__ as bench

SIDES = ("Node", "Python")
STAGES = ("language", "our module, without the broker", "broker", "kernel")
COUNTS = {"bytes": 3_000_000, "json": 800_000}
SAMPLE = re.compile(r"\s*(?P<address>[0-9a-f]+) (?P<symbol>.*) \((?P<object>.*)\)$")


def stage(sample):
    where = sample["object"]
    if where.startswith("[") or where.endswith(".ko"):
        return "kernel"
    if "warrenmq" not in where:
        return "language"  # its allocator and the C library among it
    inside = re.search(r"broker|routing|server::|storage", sample["symbol"])
    return "broker" if inside else "our module, without the broker"


def processor_time(process):
    """Seconds that a process has used so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shares(record):
    command = ["perf", "script", "-i", record, "-F", "ip,sym,dso"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    samples = [found for found in map(SAMPLE.match, lines) if found]
    counted = collections.Counter(map(stage, samples))
    return {name: counted[name] / len(samples) for name in STAGES}


def measure(where, content, folder):
    """By sides, nanoseconds a message at each stage."""
    number, count = next(bench.NUMBERS), COUNTS[content]
    part = {"size": 128, "content": content, "durable": False, "window": 500, "count": count}
    parts = where.part("receive", number, **part), where.part("send", number, **part)
    with bench.ends(where, ("Python", "Node"), parts) as (receiving, sending):
        of = dict(zip(SIDES, (sending, receiving), strict=True))
        perf = ["perf", "record", "-q", "-F", "1999", "-e", "cpu-clock"]
        looking = [
            subprocess.Popen([*perf, "-o", folder / side, "-p", str(end.process.pid)], stderr=subprocess.DEVNULL)
            for side, end in of.items()
        ]
        before = {side: processor_time(end.process) for side, end in of.items()}
        receiving.go()
        sending.go()
        sending.result()
        receiving.result()
        used = {side: processor_time(end.process) - before[side] for side, end in of.items()}
        for one in looking:
            one.send_signal(signal.SIGINT)
            one.wait()
    return {
        side: {name: share * used[side] / count * 1e9 for name, share in shares(folder / side).items()}
        for side in SIDES
    }


def main():
    print("| ns a message | " + " | ".join(f"{side}: {name}" for side in SIDES for name in STAGES) + " |")
    print("|---" * (1 + len(SIDES) * len(STAGES)) + "|")
    with bench.everywhere() as places, contextlib.ExitStack() as stack:
        where = next(place for place in places if place.name == "local:")
        for content in COUNTS:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            costs = measure(where, content, folder)
            print(
                f"| {content} | " + " | ".join(f"{costs[side][name]:.0f}" for side in SIDES for name in STAGES) + " |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
