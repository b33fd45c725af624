"""``warrenmq`` and ``python -m warrenmq``: the same command line as the binary's."""

from __future__ import annotations

import signal
import sys

from . import _native


def main() -> int:
    """Runs the command line of this process; its exit status."""
    # The command handles it, and hands it on to whoever did before: not to Python, which would raise at the end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.cli(["warrenmq", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
