"""Other libraries of Node, most of them between the application and amqplib, in Node's own test runner."""

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUITES = ["amqp_connection_manager/manager", "nestjs/microservice", "rabbitmq_client/client", "rascal/rascal"]


@pytest.mark.parametrize("suite", SUITES)
def test_suite(broker, suite):
    command = ["node", "--test-reporter=spec", "--test-timeout=20000", HERE / f"{suite}.test.mjs"]
    done = subprocess.run(command, env=os.environ | {"AMQP_URL": broker.url}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
