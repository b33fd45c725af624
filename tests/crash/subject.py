"""The brokers that are put through it: a command with a data directory, started again and again at one port."""

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from support import brokers

START = 120  # seconds that a start may take, with its recovery


@dataclass
class WarrenMQ:
    """`warrenmq serve --data`; the segments are small, so that many are begun and sealed."""

    directory: Path
    port: int
    segment_bytes: int = 64 * 1024
    data: str = "data"
    broken: str = ""
    # An ack is written by the committer's next round, some milliseconds after it came; more on a busy machine.
    grace = 1.0
    name = "warrenmq"
    kinds = True
    counting = True

    def spawn(self):
        kept = ["--data", self.directory / self.data, "--segment-size", self.segment_bytes]
        options = ["--memory"] if self.broken == "memory" else kept
        return brokers.spawn_warrenmq(*options, port=self.port, directory=self.directory)

    def breakage(self):
        """Between kill and start, if it is to be broken: takes the newest of the files with messages away."""
        if self.broken == "newest":
            remove_newest(self.directory / self.data / "queues")

    def backup(self):
        """Copies the directory of the running broker."""
        self._command("backup", self.data, "backup")

    def restored(self):
        """A broker on what was backed up."""
        shutil.rmtree(self.directory / "restored", ignore_errors=True)
        self._command("check", "backup")
        self._command("restore", "backup", "restored")
        shutil.rmtree(self.directory / "backup")
        return replace(self, data="restored")

    def _command(self, *arguments):
        command = [brokers.warrenmq_binary(), *arguments]
        ran = subprocess.run(command, cwd=self.directory, check=False, capture_output=True, text=True)
        if ran.returncode:
            raise RuntimeError(f"warrenmq {' '.join(arguments)}: {ran.stdout}{ran.stderr}")

    def check(self):
        """Raises Unavailable if this broker keeps nothing."""
        broker = self.spawn()
        try:
            broker.wait(START)
        except RuntimeError as error:
            if "no storage yet" in str(error):
                raise brokers.Unavailable("this WarrenMQ has no storage yet") from None
            raise
        broker.stop()


@dataclass
class RabbitMQ:
    """One node, whose database stays."""

    directory: Path
    port: int
    broken: str = ""
    # Its acks wait in memory until a journal is flushed, for any time.
    grace = None
    name = "rabbitmq"
    kinds = False  # it has no delays and no de-duplication
    counting = False  # but in quorum queues, which none of these is

    def spawn(self):
        return brokers.spawn_rabbitmq(self.port, self.directory)

    def breakage(self):
        if self.broken == "newest":
            remove_newest(self.directory / "mnesia", ".jif", ".idx", ".rdq")

    def check(self):
        brokers.rabbitmq_script()


SUBJECTS = {"warrenmq": WarrenMQ, "rabbitmq": RabbitMQ}


def remove_newest(directory, *suffixes):
    """Removes the file under `directory` that was written last, of those that hold more than a page."""
    files = [file for file in directory.rglob("*") if file.is_file() and file.stat().st_size > 4096]
    files = [file for file in files if file.suffix in suffixes or not suffixes]
    if files:
        max(files, key=lambda file: file.stat().st_mtime_ns).unlink()
