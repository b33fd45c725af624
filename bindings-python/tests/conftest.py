"""Fixtures of all tests."""

import subprocess
import sys
import textwrap

import pytest

import warrenmq


@pytest.fixture
def mq():
    """A connection to a broker of its own."""
    with warrenmq.connect("inproc://") as connection:
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
