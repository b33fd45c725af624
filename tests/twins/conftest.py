"""Programs in two languages, in one process."""

import json
import subprocess
import textwrap
from pathlib import Path

import pytest

from support.twins import ENVIRONMENT, unavailable

HERE = Path(__file__).parent

NODE = """
import { connect, WarrenError } from 'warrenmq'
import { python } from './python.mjs'

const { call, callSync } = python('%(directory)s', 'program')
const tell = (value) => {
  console.log(JSON.stringify(value))
  process.exit()
}
const first = %(first)s
"""

PYTHON = """
import json, os, threading, warrenmq

def begin():
    global before
    before = warrenmq.connect("inproc://before")
"""

FIRST = {
    "node": "await connect('inproc://before')",
    "python": "callSync('begin')",
}


@pytest.fixture(params=["node", "python"])
def twins(request, tmp_path):
    """Runs a program in both languages, with the module of one or of the other as the first that connects. What the
    Node half tells; it has `connect`, and `call` and `callSync` for functions of the Python half.
    """
    if reason := unavailable():
        pytest.skip(reason)

    def run(node, python, wrapper=(), timeout=50):
        (tmp_path / "program.py").write_text(PYTHON + textwrap.dedent(python))
        head = NODE % {"directory": tmp_path, "first": FIRST[request.param]}
        ended = subprocess.run(
            [*wrapper, "node", "--input-type=module", "--eval", head + textwrap.dedent(node)],
            cwd=HERE,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert ended.returncode == 0, f"status {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return json.loads(ended.stdout)

    return run
