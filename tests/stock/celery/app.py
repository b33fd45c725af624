"""The Celery application, configured by the environment: `celery -A stock.celery.app worker`."""

import os

from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

CLASSIC = (
    Queue("celery"),
    Queue("feeds", Exchange("media", "topic"), routing_key="feed.#"),
    Queue("images", Exchange("media", "topic"), routing_key="image.*"),
    Queue("refusing", queue_arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "refused"}),
    Broadcast("everybody"),
)
QUORUM = (
    Queue("replicated", Exchange("replicated", "topic"), "replicated", queue_arguments={"x-queue-type": "quorum"}),
)
URGENT = (Queue("urgent", max_priority=10),)


def create(broker_url, backend="rpc://", queues=CLASSIC):
    """An application, for the worker or for the test that gives it work."""
    app = Celery("stock", broker=broker_url, backend=backend, include=["stock.celery.tasks"], set_as_current=False)
    app.loader.import_default_modules()
    app.conf.update(
        task_queues=queues,
        task_default_queue=queues[0].name,
        task_default_exchange=queues[0].exchange.name,
        task_default_exchange_type=queues[0].exchange.type,
        task_default_routing_key=queues[0].routing_key,
        task_routes={
            "stock.celery.tasks.shout": {"queue": "everybody", "exchange": "everybody"},
            "stock.celery.tasks.refuse": {"queue": "refusing"},
        },
        task_send_sent_event=True,
        task_track_started=True,
        worker_send_task_events=True,
        worker_timer_precision=0.1,
        broker_connection_retry_on_startup=True,
        result_chord_retry_interval=0.2,
        result_expires=600,
    )
    return app


if "STOCK_QUEUES" in os.environ:
    app = create(os.environ["STOCK_BROKER"], os.environ["STOCK_BACKEND"], globals()[os.environ["STOCK_QUEUES"]])
