"""Python inside a Node process, where it can be had: it takes node-calls-python, built against the system's Python."""

import functools
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {"PATH": f"/usr/bin:{os.environ['PATH']}"}


@functools.cache
def unavailable():
    """Why it cannot be had; None when it can."""
    tried = subprocess.run(
        ["node", "--input-type=module", "--eval", "await import('./python.mjs'); process.exit()"],
        cwd=HERE / "twins",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line for line in tried.stderr.splitlines() if "Error" in line] or [f"status {tried.returncode}"]
    return None if tried.returncode == 0 else f"no Python in Node: {lines[0].strip()}"
