"""pika against brokers that took their users, virtual hosts and policies from `definitions.json`.

Every user's password is its name.
"""

from pathlib import Path

import pika
import pytest

from support import brokers

DEFINITIONS = Path(__file__).with_name("definitions.json")


@pytest.fixture(scope="package", params=["warrenmq", "rabbitmq"])
def broker(request, tmp_path_factory):
    try:
        if request.param == "warrenmq":
            running = brokers.start_warrenmq("--definitions", DEFINITIONS)
        else:
            running = start_rabbitmq(tmp_path_factory.mktemp("rabbitmq"))
    except brokers.Unavailable as reason:
        pytest.skip(str(reason))
    yield running
    assert running.alive, f"{running.name} died:\n" + "\n".join(running.output)
    assert running.stop() == 0


def start_rabbitmq(directory):
    config = directory / "advanced.config"
    config.write_text(f'[{{rabbit, [{{load_definitions, "{DEFINITIONS}"}}]}}].\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RABBITMQ_ADVANCED_CONFIG_FILE", str(config))
        return brokers.start_rabbitmq()


@pytest.fixture
def connect(broker):
    """Opens a connection as a user; whatever is still open is closed after the test."""
    opened = []

    def open_one(user="admin", vhost="/", password=None, host="127.0.0.1"):
        credentials = pika.PlainCredentials(user, user if password is None else password)
        parameters = pika.ConnectionParameters(host, broker.port, vhost, credentials)
        opened.append(pika.BlockingConnection(parameters))
        return opened[-1]

    yield open_one
    for connection in opened:
        if connection.is_open:
            connection.close()


@pytest.fixture
def admin(connect):
    """A channel of one who may do everything."""
    return opened(connect())


@pytest.fixture
def ann(connect):
    """Channels of one who may do little: a new one each, as a refusal closes it."""
    connection = connect("ann")
    return lambda: opened(connection)


def opened(connection):
    channel = connection.channel()
    channel.confirm_delivery()
    return channel


@pytest.fixture
def denied(broker, refused_text):
    """`with denied("write", "queue 'q' in vhost '/'")`: ann is refused, in RabbitMQ 3.13's words."""
    from stock.pika_words import refused

    def context(right, entity):
        return refused(403, refused_text(right, entity, "ann"))

    return context


@pytest.fixture
def refused_text(broker):
    """The text of a refusal. RabbitMQ names the right since 3.12."""

    def text(right, entity, user):
        words = f"{right} access" if broker.name == "warrenmq" else "access"
        return f"ACCESS_REFUSED - {words} to {entity} refused for user '{user}'"

    return text
