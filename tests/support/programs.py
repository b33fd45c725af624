"""Other people's programs as child processes: what they print is kept, and can be waited for."""

import os
import re
import signal
import subprocess
import threading

from support.waiting import eventually


class Program:
    """A child process in a group of its own. `lines` is all that it has printed so far."""

    def __init__(self, *command, environment=None, **options):
        self.process = subprocess.Popen(
            [str(part) for part in command],
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            **options,
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.alive:
            self.kill()

    @property
    def alive(self):
        return self.process.poll() is None

    @property
    def output(self):
        return "\n".join(self.lines)

    def printed(self, pattern, within=30, since=0):
        """Wait until a line, not counting the first `since`, matches the pattern; its match."""

        def matched():
            if ended := not self.alive:
                self._reader.join(1)
            match = next(filter(None, (re.search(pattern, line) for line in self.lines[since:])), None)
            assert match or not ended, f"it ended before it printed {pattern!r}:\n{self.output}"
            return match

        try:
            return eventually(matched, within)
        except AssertionError as error:
            raise AssertionError(f"{pattern!r} was not printed:\n{self.output}") from error

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """End it with all its children, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, within=30):
        """Its exit status, when it has ended by itself and all that it printed is read."""
        status = self.process.wait(within)
        self._reader.join(within)
        return status

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
