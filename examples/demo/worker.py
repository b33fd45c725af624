"""Counts words and bytes of each line that it is sent: `python worker.py URL WORD`, WORD being a pattern."""

import re
import signal
import sys

import warrenmq

BATCH = 500
"""Answers that are sent, and acknowledged, together."""

url, pattern = sys.argv[1:]
words = re.compile(pattern.encode()).findall
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; demo.mjs sees to the workers

with warrenmq.connect(url, name="worker") as mq:
    answers = mq.queue("answers")
    tasks = mq.queue("tasks").consume(prefetch=4 * BATCH)
    print("ready", flush=True)
    for message in tasks:
        counted = []
        while message:
            line = message.body
            counted.append([message.headers["file"], line.count(b"\n"), len(words(line)), len(line)])
            last = message
            message = tasks.get(timeout=0) if len(counted) < BATCH else None
        answers.send_many(counted)
        last.ack(multiple=True)  # only now: what a worker has not answered goes to another, should it die
