"""Celery workers as their users start them, each a process of its own."""

import itertools
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

from amqp.exceptions import AMQPError

from stock.celery.app import CLASSIC, QUORUM, URGENT, create
from support.programs import Program

QUEUES = {"CLASSIC": CLASSIC, "QUORUM": QUORUM, "URGENT": URGENT}
TESTS = Path(__file__).resolve().parents[2]
_serial = itertools.count(1)


class Worker(Program):
    """`celery worker`, ready when the constructor returns. `name` is what remote control calls it."""

    def __init__(self, broker, *options, backend="rpc://", queues="CLASSIC"):
        self.name = f"worker{next(_serial)}@stock"
        super().__init__(
            *(sys.executable, "-m", "celery", "-A", "stock.celery.app", "worker", "-n", self.name, "-l", "INFO"),
            *options,
            cwd=TESTS,
            environment={"STOCK_BROKER": broker.url, "STOCK_BACKEND": backend, "STOCK_QUEUES": queues},
        )
        try:
            self.printed(r" ready\.$")
        except BaseException:
            self.__exit__()
            raise


@contextmanager
def client(broker, backend="rpc://", queues="CLASSIC"):
    """The application as a web server has it: gives work and reads results."""
    app = create(broker.url, backend, QUEUES[queues])
    app.set_current()  # the canvas of a result that was reduced by a task looks for it
    try:
        with app.connection_for_write() as connection:
            for queue in app.conf.task_queues:
                queue.bind(connection.default_channel).declare()
                queue.bind(connection.default_channel).purge()
        yield app
    finally:
        if consumer := getattr(app.backend, "result_consumer", None):
            with suppress(OSError, AMQPError):  # its broker may be gone
                consumer.stop()
        app.close()  # its pooled connections live on for the next client of this broker


def tasks(app):
    """The application's tasks by their short names: `tasks(app).add`."""
    return SimpleNamespace(**{name.rpartition(".")[2]: task for name, task in app.tasks.items()})
