"""How much there may be of something, and what it may be called."""

import pytest

from stock.pika_words import refused


def test_a_virtual_host_has_no_more_queues_than_it_may(connect):
    connection = connect(vhost="short")
    channel = connection.channel()
    for queue in ["one", "two", "one"]:
        channel.queue_declare(queue)
    text = "cannot declare queue 'three': queue limit in vhost 'short' (2) is reached"
    with refused(406, f"PRECONDITION_FAILED - {text}"):
        channel.queue_declare("three")
    channel = connection.channel()
    channel.queue_delete("one")
    channel.queue_declare("three")


def test_a_queue_without_a_type_is_of_the_virtual_host_s_default_type_where_it_can_be(connect, broker):
    if broker.name == "rabbitmq":
        pytest.skip("RabbitMQ 3.10 imports no default queue type")
    connection = connect(vhost="quorums")
    channel = connection.channel()
    channel.queue_declare("durable", durable=True)
    channel.queue_declare("durable", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_declare("transient")
    with refused(406, "PRECONDITION_FAILED - inequivalent arg 'x-queue-type'"):
        channel.queue_declare("durable", durable=True, arguments={"x-queue-type": "classic"})


@pytest.mark.parametrize("word", ["é" * 127, "日本", "tab\there", "x" * 255, "☃" * 85, " "])
def test_a_name_is_any_text_of_up_to_255_bytes(admin, word):
    assert admin.queue_declare(word, exclusive=True).method.queue == word
    admin.exchange_declare(word, auto_delete=True)
    admin.queue_bind(word, word, word)
    admin.basic_publish(word, word, b"x", mandatory=True)
    method, _, body = admin.basic_get(word, auto_ack=True)
    assert (method.exchange, method.routing_key, body) == (word, word, b"x")
    admin.queue_delete(word)


def test_line_feeds_in_names_are_dropped(admin, name):
    # Not in the queue's declaration: pika would wait for an answer with the name that it sent.
    queue, exchange = name("q"), name("x")
    admin.queue_declare(queue, exclusive=True)
    admin.exchange_declare(f"\n{exchange}", auto_delete=True)
    admin.queue_bind(f"{queue}\n", f"{exchange}\r\n", "line\nfeed")
    admin.basic_publish(exchange, "line\nfeed", b"x", mandatory=True)
    method, _, _ = admin.basic_get(queue, auto_ack=True)
    assert method.routing_key == "line\nfeed"
    admin.queue_delete(f"{queue}\n")
    with refused(404):
        admin.queue_declare(queue, passive=True)


def test_getting_from_a_name_with_a_line_feed_finds_nothing(admin, name):
    queue = name("q")
    admin.queue_declare(queue, exclusive=True)
    with refused(404, f"NOT_FOUND - no queue '{queue}\n' in vhost '/'"):
        admin.basic_get(f"{queue}\n")
