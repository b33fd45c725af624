"""`warrenmq serve --data`, started again and again."""

import json
import subprocess
from contextlib import suppress

import pika
import pytest

from support import brokers


class Home:
    """A directory, and the broker that has it at the moment."""

    def __init__(self, directory):
        self.directory, self.data, self.broker = directory, directory / "data", None

    def start(self, *options):
        spawned = brokers.spawn_warrenmq("--data", self.data, *options, directory=self.directory)
        self.broker = spawned.wait()
        return self.broker

    def kill(self):
        self.broker.kill()

    def stop(self):
        assert self.broker.stop() == 0

    def connect(self, user="guest", vhost="/"):
        credentials = pika.PlainCredentials(user, user)
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.broker.port, vhost, credentials))

    def command(self, *arguments):
        """Runs `warrenmq`; what it printed on both streams, and its exit status."""
        command = [brokers.warrenmq_binary(), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.directory)

    def definitions(self):
        exported = self.command("definitions", "export", self.data)
        assert exported.returncode == 0, exported.stderr
        return json.loads(exported.stdout)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    yield home
    if home.broker:
        with suppress(ProcessLookupError):
            home.broker.kill()
