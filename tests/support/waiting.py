"""Waiting for what another process does: until it has happened, never for a guessed time."""

import time


def eventually(condition, within=10, every=0.02):
    """The first true value of `condition()`; an AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{condition.__name__} did not come true within {within} s"
        time.sleep(every)
    return value
