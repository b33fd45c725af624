"""Who may do what with queues and exchanges. ann may use what begins with `ann.` and, in part, `amq.`."""

import pika
import pytest

from access.conftest import opened
from stock.pika_words import refused

OTHERS_Q = "queue 'others.q' in vhost '/'"
OTHERS_X = "exchange 'others.x' in vhost '/'"


def test_one_s_own_queues_and_exchanges_are_one_s_own(ann, name):
    queue, exchange = name("ann.q"), name("ann.x")
    channel = ann()
    channel.exchange_declare(exchange)
    channel.queue_declare(queue)
    channel.queue_bind(queue, exchange, "k")
    channel.basic_publish(exchange, "k", b"x", mandatory=True)
    channel.basic_publish("", queue, b"y", mandatory=True)
    assert channel.basic_get(queue, auto_ack=True)[2] == b"x"
    assert channel.queue_purge(queue).method.message_count == 1
    channel.queue_unbind(queue, exchange, "k")
    channel.queue_delete(queue)
    channel.exchange_delete(exchange)


@pytest.mark.parametrize(
    "right, entity, act",
    [
        ("configure", OTHERS_Q, lambda channel: channel.queue_declare("others.q", durable=True)),
        ("configure", OTHERS_Q, lambda channel: channel.queue_delete("others.q")),
        ("read", OTHERS_Q, lambda channel: channel.queue_purge("others.q")),
        ("read", OTHERS_Q, lambda channel: channel.basic_get("others.q")),
        ("read", OTHERS_Q, lambda channel: channel.basic_consume("others.q", print)),
        ("write", OTHERS_Q, lambda channel: channel.queue_bind("others.q", "ann.x")),
        ("write", OTHERS_Q, lambda channel: channel.queue_unbind("others.q", "ann.x", "k")),
        ("configure", OTHERS_X, lambda channel: channel.exchange_declare("others.x", durable=True)),
        ("configure", OTHERS_X, lambda channel: channel.exchange_delete("others.x")),
        ("read", OTHERS_X, lambda channel: channel.queue_bind("ann.rest", "others.x", "k")),
        ("read", OTHERS_X, lambda channel: channel.exchange_bind("ann.x", "others.x", "k")),
        ("write", OTHERS_X, lambda channel: channel.exchange_bind("others.x", "ann.x", "k")),
        ("write", OTHERS_X, lambda channel: channel.basic_publish("others.x", "k", b"")),
        # What is not there is not told to those who may not see it.
        ("read", "queue 'nowhere' in vhost '/'", lambda channel: channel.basic_get("nowhere")),
        ("write", "exchange 'nowhere' in vhost '/'", lambda channel: channel.basic_publish("nowhere", "k", b"")),
    ],
)
def test_what_is_others_is_refused(ann, denied, right, entity, act):
    with denied(right, entity):
        act(ann())


def test_a_passive_declare_needs_no_permission(ann):
    channel = ann()
    channel.queue_declare("others.q", passive=True)
    channel.exchange_declare("others.x", passive=True)


def test_a_queue_that_the_server_names_is_allowed_by_that_name(ann):
    assert ann().queue_declare("", exclusive=True).method.queue.startswith("amq.gen-")


def test_dead_letters_need_reading_here_and_writing_there(ann, denied, name):
    queue = name("ann.q")
    with denied("write", OTHERS_X):
        ann().queue_declare(queue, arguments={"x-dead-letter-exchange": "others.x"})
    ann().queue_declare(queue, arguments={"x-dead-letter-exchange": "ann.x"}, exclusive=True)
    generated = ann()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as error:
        generated.queue_declare("", arguments={"x-dead-letter-exchange": "ann.x"})
    assert "to queue 'amq.gen-" in error.value.reply_text, "it may be declared, but not read"


def test_an_alternate_exchange_needs_writing_there(ann, denied, name):
    with denied("write", OTHERS_X):
        ann().exchange_declare(name("ann.x"), arguments={"alternate-exchange": "others.x"})
    channel, exchange = ann(), name("ann.x")
    channel.exchange_declare(exchange, arguments={"alternate-exchange": "ann.x"})
    channel.exchange_delete(exchange)


def test_topics_are_allowed_one_by_one(ann, broker):
    ann().basic_publish("amq.topic", "ann.news", b"")
    ann().queue_bind("ann.rest", "amq.topic", "/public.news")

    def text(right, topic):
        words = f"{right} access" if broker.name == "warrenmq" else "access"
        return (
            f"ACCESS_REFUSED - {words} to topic '{topic}' in exchange 'amq.topic' in vhost '/' refused for user 'ann'"
        )

    with refused(403, text("write", "bob.news")):
        ann().basic_publish("amq.topic", "bob.news", b"")
    with refused(403, text("read", "secret.news")):
        ann().queue_bind("ann.rest", "amq.topic", "secret.news")


def test_a_publish_that_is_allowed_does_not_allow_the_next(ann, denied):
    channel = ann()
    for _ in range(3):
        channel.basic_publish("ann.x", "k", b"")
    with denied("write", OTHERS_X):
        channel.basic_publish("others.x", "k", b"")


@pytest.mark.parametrize(
    "user, claimed, allowed", [("ann", "ann", True), ("ann", "bob", False), ("herald", "bob", True)]
)
def test_a_user_id_is_one_s_own_unless_one_may_impersonate(connect, user, claimed, allowed):
    channel = opened(connect(user))

    def publish():
        channel.basic_publish("", "ann.rest", b"", pika.BasicProperties(user_id=claimed))

    if allowed:
        return publish()
    text = f"PRECONDITION_FAILED - user_id property set to '{claimed}' but authenticated user was '{user}'"
    with refused(406, text):
        publish()
