"""The tasks of the Celery tests. What happens when is decided by the test: by arguments, or by files that it makes."""

import os
import time
from pathlib import Path

from celery import shared_task
from celery.exceptions import Reject
from celery.utils.log import get_task_logger

log = get_task_logger(__name__)


@shared_task
def add(x, y):
    return x + y


@shared_task
def total(numbers):
    return sum(numbers)


@shared_task
def shout(words):
    """A line in the worker's log."""
    log.warning("heard %s", words)


@shared_task
def fail(text):
    raise ValueError(text)


@shared_task(bind=True, max_retries=5)
def stubborn(self, failures, pause=0.1):
    """Fails so many times, then tells how often it was tried."""
    if self.request.retries < failures:
        raise self.retry(countdown=pause)
    return self.request.retries + 1


@shared_task
def when():
    return time.time()


@shared_task
def process():
    return os.getpid()


@shared_task(acks_late=True)
def refuse():
    raise Reject("not for me", requeue=False)


def _hold(gate):
    gate = Path(gate)
    (gate / str(os.getpid())).touch()
    while not (gate / "open").exists():
        time.sleep(0.02)
    return os.getpid()


@shared_task
def hold(gate):
    """Leave a file named after this process in the folder, and wait there for a file named `open`."""
    return _hold(gate)


@shared_task(acks_late=True, reject_on_worker_lost=True)
def hold_unacked(gate):
    """As `hold`, but acked when it is done."""
    return _hold(gate)
