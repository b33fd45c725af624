"""Where an example plays: a broker of its own, the example's programs, and what each of them prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
PATIENCE = 60.0
"""Seconds to wait for anything. Far beyond what is needed, so that a slow machine fails nothing."""


def python() -> str:
    """The interpreter that has the module: the one of `make`, where it has been run."""
    made = HERE.parent / ".venv" / "bin" / "python"
    return str(made) if made.exists() else sys.executable


class Failed(Exception):
    """An example did not do what it is to show."""


class Stage:
    """Runs the programs of one folder, and keeps what they print as pairs of who and what."""

    def __init__(self, folder: Path, on_line: Callable[[str, str], None] | None) -> None:
        self.folder = folder
        self.lines: list[tuple[str, str]] = []
        self.news = threading.Condition()  # guards `lines`, and tells of additions and of ends
        self._on_line = on_line
        self._cast: list[Actor] = []
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}

    def __enter__(self) -> Self:
        command = [python(), "-m", "warrenmq", "serve", "--memory", "--amqp", "127.0.0.1:0", "--log", "error"]
        self._broker = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, text=True)
        assert self._broker.stdout is not None
        ready, _, url = self._broker.stdout.readline().strip().partition(" ")
        if ready != "ready":
            self._broker.wait()
            raise Failed("the broker did not start: has `make build` been run?")
        self._environment["WARRENMQ_URL"] = url
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._cast:
            actor.stop()
        self._broker.terminate()
        self._broker.wait()

    @property
    def broker_pid(self) -> str:
        """The number of the broker's process."""
        return str(self._broker.pid)

    def start(self, program: str, *arguments: str, name: str | None = None) -> Actor:
        """Starts a program that receives, and returns when it says that it is ready."""
        actor = self._play(program, arguments, name)
        actor.prints("ready")
        return actor

    def run(self, program: str, *arguments: str, name: str | None = None) -> None:
        """Runs a program to its end."""
        self._play(program, arguments, name).finish()

    def _play(self, program: str, arguments: tuple[str, ...], name: str | None) -> Actor:
        interpreter = python() if program.endswith(".py") else "node"
        process = subprocess.Popen(
            [interpreter, program, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        actor = Actor(self, name or program, process)
        self._cast.append(actor)
        return actor

    def heard(self, name: str, line: str) -> None:
        """A program has printed a line."""
        with self.news:
            self.lines.append((name, line))
            if self._on_line:
                self._on_line(name, line)
            self.news.notify_all()

    def wait(self, done: Callable[[], bool]) -> bool:
        """Waits until that is so; whether it came to be in time."""
        with self.news:
            return self.news.wait_for(done, PATIENCE)

    def settle(self, counts: Mapping[str, int]) -> None:
        """Waits until each program has printed that many lines."""
        self.wait(lambda: all(len(self.said(name)) >= count for name, count in counts.items()))

    def said(self, name: str) -> list[str]:
        """What one program has printed."""
        return [line for who, line in self.lines if who == name]


class Actor:
    """A running program."""

    def __init__(self, stage: Stage, name: str, process: subprocess.Popen[str]) -> None:
        self._stage = stage
        self._name = name
        self._process = process
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._stage.heard(self._name, line.rstrip())
        with self._stage.news:
            self._ended = True
            self._stage.news.notify_all()

    def prints(self, *lines: str) -> None:
        """Waits until it has printed these lines."""

        def all_said() -> bool:
            return set(lines) <= set(self._stage.said(self._name))

        self._stage.wait(lambda: self._ended or all_said())
        if not all_said():
            raise Failed(f"{self._name} did not print {' and '.join(map(repr, lines))}")

    def finish(self) -> None:
        """Waits for its end, which is to be a good one."""
        if not self._stage.wait(lambda: self._ended):
            raise Failed(f"{self._name} does not come to an end")
        if self._process.wait() != 0:
            raise Failed(f"{self._name} ended with exit status {self._process.returncode}")

    def stop(self) -> None:
        """Ends it, if it has not ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a crash would: with SIGKILL."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)  # no error if it has ended
        self._process.wait()
        self._reader.join()


def showing(names: Iterable[str]) -> Callable[[str, str], None]:
    """Shows lines as they come, each behind the name of its program."""
    width = max(map(len, names), default=0)
    return lambda name, line: print(f"{name:{width}} | {line}", flush=True)
