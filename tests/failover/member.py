"""A process that takes part, from its start to its end: one life of a part."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = {"python": [sys.executable, HERE / "client.py"], "node": ["node", HERE / "client.mjs"]}
PROGRESSIVE = {"publish", "consume", "call", "own"}  # roles that note what they achieve


class Member:
    """`id` is its part's name with the number of its life. `opened` is when it was connected, `closing` when it began
    to close its connection."""

    def __init__(self, part, life, root, plan):
        self.part, self.life, self.id = part, life, f"{part.name}.{life}"
        self.opened, self.ready, self.ended = None, False, False
        self.leaving = None  # since when
        self.closing = 0.0
        self._notes, self._read = root / "notes" / f"{self.id}.jsonl", 0
        self._notes.touch()
        plan = plan | {"name": part.name, "life": life, "notes": str(self._notes), "roles": part.roles}
        self.log = root / "logs" / f"{self.id}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*map(str, COMMANDS[part.language]), json.dumps(plan)], stdin=subprocess.PIPE, stdout=log, stderr=log
            )

    @property
    def pid(self):
        return self.process.pid

    @property
    def alive(self):
        return self.process.poll() is None

    @property
    def progressive(self):
        """The names of roles by which its progress is seen."""
        return [f"{role['name']}.{self.life}" for role in self.part.roles if role["do"] in PROGRESSIVE]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def leave(self, at_once):
        """Has it end by itself: in good order, or at once under whatever it does."""
        self.leaving = time.monotonic()
        if at_once:
            self.process.send_signal(signal.SIGTERM)
        self.process.stdin.close()

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def notes(self):
        """What it has noted since the last look, in whole lines."""
        with self._notes.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text.rfind(b"\n") + 1
        self._read += whole
        return [json.loads(line) for line in text[:whole].splitlines()]

    def heard(self, at, what):
        """Takes note of what concerns the process itself."""
        if what == "open":
            self.opened = at
        if what == "closing":
            self.closing = at
        self.ready |= what == "ready"
        self.ended |= what == "ended"

    def last_words(self):
        return self.log.read_text(errors="replace")[-2000:]
