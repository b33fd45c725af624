"""The clients of Go and Java (with Spring AMQP), in their own test runners, where their tool chains are installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.timeout(600)  # the first run fetches what it needs
@pytest.mark.parametrize(
    ("language", "command"),
    [("go", ["go", "test", "-count=1", "./..."]), ("java", ["mvn", "--batch-mode", "--quiet", "test"])],
    ids=["go", "java"],
)
def test_language(broker, language, command):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    environment = os.environ | {"AMQP_URL": broker.url}
    done = subprocess.run(command, cwd=HERE / language, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
