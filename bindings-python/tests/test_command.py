"""The command line, the same as the binary's."""

import importlib.metadata
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import warrenmq

WAYS = {
    "python -m warrenmq": [sys.executable, "-m", "warrenmq"],
    "warrenmq": [str(Path(sysconfig.get_path("scripts")) / "warrenmq")],
}


@pytest.mark.parametrize("command", WAYS.values(), ids=WAYS)
def test_the_command_tells_its_version(command):
    ended = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout == f"warrenmq {warrenmq.__version__}\n"
    assert warrenmq.__version__ == importlib.metadata.version("warrenmq")


def test_a_command_that_is_not_understood_has_the_exit_status_2():
    ended = subprocess.run([*WAYS["python -m warrenmq"], "srve"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "unrecognized subcommand 'srve'" in ended.stderr
