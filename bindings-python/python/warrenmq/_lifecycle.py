"""What happens to connections when the interpreter exits and when the process forks."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import threading
from typing import Protocol
from weakref import WeakValueDictionary

from . import _native
from .errors import Error

_PATIENCE = 1.0  # seconds for a broker to say goodbye while the interpreter exits


class Closeable(Protocol):
    """What is to be closed before the interpreter goes."""

    def shut(self, patience: float) -> None:
        """Closes it within that many seconds."""


# In the order in which they were opened.
_open: WeakValueDictionary[int, Closeable] = WeakValueDictionary()
_opened = itertools.count()


def watch(closeable: Closeable) -> None:
    """Has it closed at exit, if it is still there, so that acknowledgements leave and threads end."""
    _open[next(_opened)] = closeable


@atexit.register
def _exit() -> None:
    excepthook = threading.excepthook

    def all_but_ours(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, Error):
            excepthook(args)

    # Daemon threads that still send and receive end here, which is no news to anybody.
    threading.excepthook = all_but_ours
    # What was opened last first: a broker in this process has to outlive those who are connected to its port.
    for _, closeable in sorted(_open.items(), reverse=True):
        with contextlib.suppress(Exception):  # there is nobody left to tell
            closeable.shut(_PATIENCE)


def _forked() -> None:
    _native.after_fork()
    _open.clear()  # they are the parent's to close


os.register_at_fork(after_in_child=_forked)
