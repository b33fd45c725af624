"""Libraries that Node applications put between themselves and amqplib, in Node's own test runner."""

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("suite", ["amqp_connection_manager/manager", "nestjs/microservice"])
def test_suite(broker, suite):
    command = ["node", "--test-reporter=spec", "--test-timeout=20000", HERE / f"{suite}.test.mjs"]
    done = subprocess.run(command, env=os.environ | {"AMQP_URL": broker.url}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
