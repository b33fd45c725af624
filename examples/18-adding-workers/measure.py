"""Has the workers that are there do 40 tasks each: ``python measure.py [PID OF THE BROKER]``.

Prints whether they do what so many can do; with ``--exactly`` how much that is.
"""

import os
import sys
import time
from pathlib import Path

import warrenmq

TASKS = 40
ENOUGH = 0.75
"""Of 20 tasks a second for each worker, which is what fits if nothing but the tasks takes any time."""
LITTLE = 0.05
"""Of one core, for the broker's part."""

exactly = "--exactly" in sys.argv
pids = [argument for argument in sys.argv[1:] if argument.isdigit()]


def cpu_seconds(pid):
    """What a process has used, user and system; None where that cannot be read."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    tasks, done = mq.queue("tasks"), mq.queue("done")
    workers = tasks.consumer_count
    used, start = [cpu_seconds(pid) for pid in pids], time.monotonic()
    tasks.send_many(range(workers * TASKS))
    with done.consume(no_ack=True) as answers:
        for _ in range(workers * TASKS):
            answers.get(timeout=60)
    took = time.monotonic() - start

rate, bound = workers * TASKS / took, workers * 20
verdict = f"{rate:.1f}" if exactly else ("at least 3/4" if rate > ENOUGH * bound else f"only {rate:.1f}")
print(f"{workers} at work: {verdict} of {bound} tasks/s")
for pid, before in zip(pids, used, strict=True):
    if before is not None:
        share = (cpu_seconds(pid) - before) / took
        verdict = f"{share:.1%}" if exactly or share > LITTLE else f"less than {LITTLE:.0%}"
        print(f"the broker: {verdict} of a core")
