"""How native threads wake an asyncio event loop."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from ._native import Bridge

# One for each loop, kept for as long as the loop is: a file descriptor that is closed while a loop still
# watches it may come back as another's.
_bridges: WeakKeyDictionary[asyncio.AbstractEventLoop, Bridge] = WeakKeyDictionary()


def bridge() -> Bridge:
    """The running loop's bridge."""
    loop = asyncio.get_running_loop()
    found = _bridges.get(loop)
    if found is None:
        found = _bridges[loop] = Bridge()
        loop.add_reader(found.fileno(), found.drain)
    return found
