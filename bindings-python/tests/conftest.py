"""Fixtures of all tests."""

import itertools
import subprocess
import sys
import textwrap

import pytest

import warrenmq


@pytest.fixture(params=["inproc", "amqp"])
def url(request):
    """Where a broker of the test's own is."""
    name = f"inproc://test {next(_numbers)}"
    if request.param == "inproc":
        yield name
    else:
        with warrenmq.connect(name) as broker:
            yield f"amqp://{broker.listen()}"


_numbers = itertools.count()


@pytest.fixture
def mq(url):
    """A connection to that broker."""
    with warrenmq.connect(url) as connection:
        yield connection


@pytest.fixture
def run():
    """Runs a program in an interpreter of its own; it has to end within ten seconds."""

    def run(program, *, status=0, timeout=10):
        ended = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert ended.returncode == status, ended.stderr
        assert "Traceback" not in ended.stderr, ended.stderr
        assert "panicked" not in ended.stderr, ended.stderr
        return ended.stdout

    return run
