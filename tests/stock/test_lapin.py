"""The suite of lapin, in Cargo's test runner."""

import os
import subprocess

import pytest

from support.brokers import ROOT


@pytest.mark.timeout(900)  # a first build is part of it
def test_lapin(broker):
    command = ["cargo", "test", "--quiet", "--package", "stock-lapin", "--test", "scenarios", "--", "--include-ignored"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"AMQP_URL": broker.url}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
