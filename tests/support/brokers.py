"""Start and stop the brokers under test, each private to the test run and on a free port."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 60  # seconds; RabbitMQ takes 5 to 10, more on a busy machine
STOP_TIMEOUT = 30  # seconds
# What RabbitMQ ships and has to be asked for: the exchange types beyond the four of AMQP.
RABBITMQ_PLUGINS = (
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_sharding",
)


class Unavailable(Exception):
    """This broker is not installed here; the message is the reason shown for the skipped rows."""


@dataclass
class Broker:
    """A running broker process. `output` keeps its last lines, for the report of a failed test."""

    name: str
    process: subprocess.Popen
    port: int
    directory: Path
    ready: str  # the pattern of the line it prints once clients can connect
    kept: bool  # the directory was given, and outlives the process
    output: deque = field(default_factory=lambda: deque(maxlen=200))
    host: str = "127.0.0.1"
    _told: threading.Event = field(default_factory=threading.Event)  # whether it is ready
    _is_ready: bool = False

    @property
    def url(self):
        return f"amqp://guest:guest@{self.host}:{self.port}/%2F"

    @property
    def alive(self):
        return self.process.poll() is None

    def wait(self, timeout=START_TIMEOUT):
        """Wait until clients can connect; a broker that does not come so far is killed."""
        if not (self._told.wait(timeout) and self._is_ready):
            self.kill()
            self._tidy()
            raise RuntimeError(f"{self.name} did not start:\n" + "\n".join(self.output))
        return self

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def kill(self):
        """SIGKILL, with its children; what it has given to the kernel stays."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM, and the exit status; a broker that does not obey is killed and counts as failed."""
        self.terminate()
        try:
            return self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {STOP_TIMEOUT} s of SIGTERM") from None
        finally:
            self._tidy()

    def _tidy(self):
        if not self.kept:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _read(self):
        for line in self.process.stdout:
            self.output.append(line.rstrip("\n"))
            if not self._is_ready and (match := re.search(self.ready, line)):
                self.port, self._is_ready = self.port or int(match["port"]), True
                self._told.set()
        self._told.set()


def start(name, port=None):
    """Start the broker of this name, on this port or a free one, and return it once clients can connect."""
    return {"warrenmq": start_warrenmq, "rabbitmq": start_rabbitmq}[name](port=port)


def start_warrenmq(*options, port=None):
    where = () if "--data" in options else ("--memory",)
    return spawn_warrenmq(*where, *options, port=port).wait()


def start_rabbitmq(port=None):
    return spawn_rabbitmq(port).wait()


def spawn_warrenmq(*options, port=None, directory=None):
    """`warrenmq serve`, not waited for; WARRENMQ_BIN names the binary if it is not the release build."""
    binary = warrenmq_binary()
    if not binary.exists():
        raise FileNotFoundError(f"no WarrenMQ at {binary}: run `cargo build --release`, or set WARRENMQ_BIN")
    command = [binary, "serve", "--amqp", f"127.0.0.1:{port or 0}", *options]
    ready = r"^ready amqp://[^ ]*:(?P<port>\d+)"
    return _spawn("warrenmq", command, ready, directory or temporary(), directory is not None, port)


def warrenmq_binary():
    return Path(os.environ.get("WARRENMQ_BIN", ROOT / "target/release/warrenmq"))


def spawn_rabbitmq(port=None, directory=None):
    """A RabbitMQ node of its own, not waited for: own name, ports, data and cookie. With the directory and port
    of one that is gone it is the same node again."""
    script = rabbitmq_script()
    kept, directory = directory is not None, directory or temporary()
    free, distribution = free_ports(2)
    port = port or free
    (directory / "plugins").write_text(f"[{','.join(RABBITMQ_PLUGINS)}].\n")
    (directory / "rabbitmq.conf").write_text("log.console.level = warning\n")
    environment = {
        "HOME": directory,  # the Erlang cookie lives there
        "RABBITMQ_NODENAME": f"warrenmq-test-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": distribution,
        "RABBITMQ_CONFIG_FILE": directory / "rabbitmq.conf",
        "RABBITMQ_CONF_ENV_FILE": directory / "none",
        "RABBITMQ_MNESIA_BASE": directory / "mnesia",
        "RABBITMQ_LOG_BASE": directory / "log",
        "RABBITMQ_PID_FILE": directory / "pid",
        "RABBITMQ_ENABLED_PLUGINS_FILE": directory / "plugins",
    }
    return _spawn("rabbitmq", [script], r"completed with \d+ plugins", directory, kept, port, environment)


def rabbitmq_script():
    """The script beside the packaged wrapper: the wrapper in the PATH switches user and so wants root."""
    for candidate in ("/usr/lib/rabbitmq/bin/rabbitmq-server", shutil.which("rabbitmq-server")):
        if candidate and Path(candidate).exists():
            return candidate
    raise Unavailable("no RabbitMQ server installed")


def _spawn(name, command, ready, directory, kept, port, environment=None):
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=directory,
        env=os.environ | {key: str(value) for key, value in (environment or {}).items()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # a group of its own, so that a stubborn broker is killed with its children
    )
    broker = Broker(name, process, port, directory, ready, kept)
    threading.Thread(target=broker._read, name=f"{name} output", daemon=True).start()
    return broker


def temporary():
    return Path(tempfile.mkdtemp(prefix="warrenmq-test-"))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
