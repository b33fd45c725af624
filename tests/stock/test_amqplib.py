"""The suites of amqplib, in Node's own test runner."""

import os
import subprocess
from pathlib import Path

import pytest

SUITES = Path(__file__).parent / "amqplib"


@pytest.mark.parametrize("suite", ["promise", "callback"])
def test_amqplib(broker, suite):
    command = ["node", "--test-reporter=spec", SUITES / f"{suite}.test.mjs"]
    done = subprocess.run(command, env=os.environ | {"AMQP_URL": broker.url}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
