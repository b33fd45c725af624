"""Runs all examples and the demo, and checks what they show: `python examples/check.py`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from run import run
from scenarios import SCENARIOS

DEMO = Path(__file__).parent / "demo" / "demo.mjs"
AT_ONCE = 3

FILES = {
    "poem.txt": "ein Wort — zwei Wörter\n\n\tund\vein drittes\r\n".encode(),
    "no newline at the end": b"one\ntwo\nthree",
    "empty": b"",
    "bytes": bytes(range(256)) * 300,
    "long line": b"word " * 100_000 + b"\n",
}


def demo() -> list[str]:
    """Counts files of all kinds, some of which cannot be read; what was wrong, empty if nothing was."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in FILES.items():
            (Path(folder) / name).write_bytes(content)
        command = ["node", str(DEMO.resolve()), *FILES]
        counted = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        partly = subprocess.run([*command, "missing"], cwd=folder, capture_output=True, text=True)
    return [
        *_unlike(counted, 0, "the same as wc"),
        *_unlike(partly, 1, "missing: no such file", "the same as wc"),
    ]


def _unlike(result: subprocess.CompletedProcess[str], status: int, *texts: str) -> Iterator[str]:
    output = result.stdout + result.stderr
    if result.returncode != status or not all(text in output for text in texts):
        yield f"expected: exit status {status}, {texts}; seen: exit status {result.returncode}, and\n{output}"


def timed(check: Callable[[], list[str]]) -> tuple[list[str], float]:
    """What a check found, and how many seconds it took."""
    start = time.monotonic()
    return check(), time.monotonic() - start


def main() -> int:
    checks = {name: partial(run, name, show=False) for name in SCENARIOS} | {"demo": demo}
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, (wrong, seconds) in zip(checks, pool.map(timed, checks.values()), strict=True):
            print(f"{name:32} {'FAILED' if wrong else 'ok':6} {seconds:5.1f} s", *wrong, sep="\n", flush=True)
            failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
