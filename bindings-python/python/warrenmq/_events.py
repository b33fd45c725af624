"""Functions that are called when something happens to a connection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from ._options import EVENTS

log = logging.getLogger("warrenmq")


class Listeners:
    """Who is to be told of what."""

    def __init__(self) -> None:
        self._functions: dict[str, list[Callable[[Any], object]]] = {event: [] for event in EVENTS}

    def add(self, event: str, function: Callable[[Any], object]) -> None:
        if event not in self._functions:
            raise ValueError(f"event: {event!r} is none of {', '.join(EVENTS)}")
        self._functions[event].append(function)

    def tell(self, told: tuple[str, Any]) -> None:
        """Calls the functions for an event with what there is to say about it."""
        event, about = told
        for function in tuple(self._functions[event]):
            self.call(function, about)

    def tell_all(self, events: Iterable[tuple[str, Any]]) -> None:
        """Tells of events until there are no more. One that fails does not keep others from being told."""
        for event in events:
            try:
                self.tell(event)
            except Exception:
                log.exception("a function that was to be told of %r failed", event[0])

    def call(self, function: Callable[[Any], object], about: Any) -> None:
        function(about)
