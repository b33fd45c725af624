"""Queues, exchanges, bindings and what is published to them."""

import pytest

import warrenmq


def bodies(queue):
    taken = []
    while (message := queue.get(no_ack=True)) is not None:
        taken.append(message.text())
    return taken


def test_a_declared_queue_tells_its_name_and_counts(mq):
    queue = mq.queue("tasks")
    assert (queue.name, queue.message_count, queue.consumer_count) == ("tasks", 0, 0)
    queue.send_many(["a", "b"])
    with queue.consume(1):
        assert queue.info() == warrenmq.QueueInfo("tasks", 1, 1)
    assert mq.queue("tasks").message_count == 2
    assert repr(queue) == "<Queue 'tasks'>"


def test_the_broker_makes_up_a_name_where_none_is_given(mq):
    names = {mq.queue(exclusive=True).name for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("amq.gen-") for name in names)


def test_a_passive_declare_finds_what_is_there_and_nothing_else(mq):
    mq.queue("there").send("x")
    assert mq.queue("there", passive=True).message_count == 1
    with pytest.raises(warrenmq.NotFound):
        mq.queue("elsewhere", passive=True)
    with pytest.raises(warrenmq.NotFound):
        mq.exchange("nowhere", passive=True)
    assert mq.exchange("amq.topic", passive=True).name == "amq.topic"


def test_a_queue_that_was_declared_otherwise_is_refused_and_the_connection_goes_on(mq):
    mq.queue("tasks", durable=True)
    with pytest.raises(warrenmq.PreconditionFailed) as caught:
        mq.queue("tasks")
    assert caught.value.reply_code == 406
    assert "durable" in caught.value.reply_text
    assert mq.queue("tasks", durable=True).send("still here").routed


def test_an_exclusive_queue_is_locked_for_others_and_goes_with_its_connection():
    with warrenmq.connect("inproc://exclusive") as other:
        with warrenmq.connect("inproc://exclusive") as owner:
            owner.queue("mine", exclusive=True)
            with pytest.raises(warrenmq.ResourceLocked):
                other.queue("mine", passive=True)
        with pytest.raises(warrenmq.NotFound):
            other.queue("mine", passive=True)


def test_an_auto_delete_queue_goes_with_its_last_consumer(mq):
    queue = mq.queue("fleeting", auto_delete=True)
    with queue.consume():
        pass
    with pytest.raises(warrenmq.NotFound):
        queue.info()


def test_purge_and_delete_tell_how_many_messages_there_were(mq):
    queue = mq.queue("tasks")
    queue.send_many(["a", "b", "c"])
    assert queue.purge() == 3
    queue.send("d")
    with pytest.raises(warrenmq.PreconditionFailed):
        queue.delete(if_empty=True)
    with queue.consume(), pytest.raises(warrenmq.PreconditionFailed):
        queue.delete(if_unused=True)
    assert queue.delete() == 1
    with pytest.raises(warrenmq.NotFound):
        queue.info()


def test_a_batch_tells_which_of_its_messages_no_queue_took(mq):
    topic = mq.exchange("topic", "topic")
    assert topic.publish_many(["a", "b"], "nobody") == warrenmq.BatchReceipt(2, [0, 1])
    queue = mq.queue("tasks")
    assert queue.send_many(str(number) for number in range(20_000)) == warrenmq.BatchReceipt(20_000, [])
    assert bodies(queue) == [str(number) for number in range(20_000)]
    assert queue.send_many([]) == warrenmq.BatchReceipt(0, [])


def test_a_batch_may_mix_bytes_text_and_json(mq):
    queue = mq.queue("tasks")
    queue.send_many([b"x", "y", {"z": 1}], app_id="mixed")
    messages = [queue.get(no_ack=True) for _ in range(3)]
    assert [message.value() for message in messages] == [b"x", "y", {"z": 1}]
    assert {message.properties["app_id"] for message in messages} == {"mixed"}


@pytest.mark.parametrize("alone", [b"body", "body", bytearray(b"body"), {"body": 1}])
def test_one_body_is_no_batch(mq, alone):
    with pytest.raises(warrenmq.InvalidArgument, match="a list of bodies is due"):
        mq.queue("tasks").send_many(alone)


def test_a_batch_names_the_body_that_is_wrong(mq):
    with pytest.raises(warrenmq.InvalidArgument) as caught:
        mq.queue("tasks").send_many(["fine", {"a": float("nan")}])
    assert caught.value.__notes__ == ["in bodies[1]"]


def test_the_default_exchange_sends_to_the_queue_that_the_key_names(mq):
    queue = mq.queue("hello")
    assert mq.exchange("").publish("one", "hello").routed
    assert mq.publish("", "two", "hello").routed
    assert not mq.exchange("").publish("lost", "nobody").routed
    assert bodies(queue) == ["one", "two"]


def test_direct_fanout_topic_and_headers_exchanges_route_as_amqp_says(mq):
    queue = mq.queue("all")
    direct, fanout = mq.exchange("d"), mq.exchange("f", "fanout")
    topic, headers = mq.exchange("t", "topic"), mq.exchange("h", "headers")
    queue.bind(direct, "error")
    queue.bind("f")
    queue.bind(topic, "*.redis.#")
    queue.bind(headers, arguments={"x-match": "all", "n": 1})
    assert [direct.publish("d1", key).routed for key in ("error", "info")] == [True, False]
    assert fanout.publish("f1", "whatever").routed
    assert [topic.publish("t1", key).routed for key in ("a.redis.b", "redis")] == [True, False]
    assert [headers.publish("h1", headers={"n": n}).routed for n in (1, 2)] == [True, False]
    assert bodies(queue) == ["d1", "f1", "t1", "h1"]
    queue.unbind(direct, "error")
    assert not direct.publish("d2", "error").routed


def test_an_exchange_can_be_bound_to_another_and_deleted(mq):
    source, target = mq.exchange("source", "fanout"), mq.exchange("target", "fanout")
    queue = mq.queue("end")
    queue.bind(target)
    target.bind(source)
    assert source.publish("through").routed
    with pytest.raises(warrenmq.PreconditionFailed):
        target.delete(if_unused=True)
    target.unbind(source)
    assert not source.publish("not through").routed
    source.delete()
    with pytest.raises(warrenmq.NotFound):
        source.publish("gone")
    assert bodies(queue) == ["through"]


def test_a_mandatory_message_that_no_queue_takes_comes_back_with_the_error_and_as_an_event(mq):
    returned = []
    mq.on("return", returned.append)
    with pytest.raises(warrenmq.Unroutable) as caught:
        mq.exchange("").publish({"n": 1}, "nobody", mandatory=True, message_id="m")
    message = caught.value.message
    assert (caught.value.code, caught.value.reply_code) == ("NO_ROUTE", 312)
    assert (message.json(), message.routing_key, message.properties["message_id"]) == ({"n": 1}, "nobody", "m")
    assert returned == [message]
    with pytest.raises(warrenmq.PreconditionFailed, match="nothing to acknowledge"):
        message.ack()


def test_a_mandatory_message_that_a_queue_takes_is_no_error(mq):
    mq.queue("tasks")
    assert mq.exchange("").publish("x", "tasks", mandatory=True) == mq.queue("tasks").send("y")


def test_an_unknown_type_of_exchange_is_refused(mq):
    with pytest.raises(warrenmq.PreconditionFailed, match="unknown exchange type"):
        mq.exchange("odd", "no-such-type")


@pytest.mark.parametrize("name", ["x" * 256, "é" * 128])
def test_a_name_that_amqp_has_no_room_for_is_refused(mq, name):
    with pytest.raises(warrenmq.Error):
        mq.queue(name)
    with pytest.raises(warrenmq.InvalidArgument):
        mq.exchange("").publish("x", name)
    with pytest.raises(warrenmq.Error):
        mq.publish(name, "x")


def test_connections_of_one_name_share_a_broker_and_others_do_not():
    with warrenmq.connect("inproc://shared") as one, warrenmq.connect("inproc://shared") as two:
        one.queue("tasks").send("hello")
        assert two.queue("tasks").get(no_ack=True).text() == "hello"
    with warrenmq.connect("inproc://") as alone, pytest.raises(warrenmq.NotFound):
        alone.queue("tasks", passive=True)


def test_a_connection_tells_what_it_is(mq, url):
    assert (mq.url, mq.transport, mq.is_open) == (url, url.split(":")[0], True)
    assert repr(mq) == f"<Connection {url}>"
    mq.close()
    assert not mq.is_open
    assert repr(mq) == f"<Connection {url}, closed>"
    mq.close()


def test_the_close_event_comes_once_and_says_that_this_side_closed(mq):
    import queue

    told = queue.SimpleQueue()
    mq.on("close", told.put)
    mq.close()
    assert told.get(timeout=5) is None


def test_an_unknown_event_is_refused(mq):
    with pytest.raises(
        ValueError, match="none of close, blocked, unblocked, unresponsive, responsive, reconnected, return"
    ):
        mq.on("party", print)


def test_what_is_used_after_its_connection_closed_says_so(mq):
    queue, exchange, channel = mq.queue("tasks"), mq.exchange("x", "fanout"), mq.channel()
    consumer = queue.consume()
    mq.close()
    for use in (
        lambda: queue.send("x"),
        lambda: queue.send_many(["x"]),
        lambda: exchange.publish("x"),
        queue.get,
        queue.info,
        queue.consume,
        mq.channel,
        lambda: channel.queue("y"),
        lambda: mq.call("tasks", 1),
        consumer.get,
        lambda: next(consumer),
    ):
        with pytest.raises(warrenmq.Closed):
            use()
    consumer.cancel()


def test_a_broker_in_this_process_can_let_others_in():
    with warrenmq.connect("inproc://") as mq:
        host, port = mq.listen().split(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        with pytest.raises(warrenmq.Error, match="listen"):
            mq.listen("not an address")
        with warrenmq.connect(f"amqp://guest:guest@{host}:{port}") as other:
            assert other.url == f"amqp://guest:***@{host}:{port}"
            with pytest.raises(warrenmq.Unsupported):
                other.listen()


def test_a_closed_connection_lets_nobody_in():
    with warrenmq.connect("inproc://") as mq:
        mq.close()
        with pytest.raises(warrenmq.Closed):
            mq.listen()


def test_a_port_where_nobody_listens_is_unreachable():
    with pytest.raises(warrenmq.Unreachable) as caught:
        warrenmq.connect("amqp://127.0.0.1:1", timeout=5)
    assert isinstance(caught.value, ConnectionError)


def test_a_wrong_password_is_refused():
    with warrenmq.connect("inproc://") as broker, pytest.raises(warrenmq.AccessRefused):
        warrenmq.connect(f"amqp://guest:wrong@{broker.listen()}")


def test_a_listener_that_fails_is_logged_and_does_not_keep_others_from_being_told(mq, caplog):
    import queue

    told = queue.SimpleQueue()

    def fail(about):
        raise RuntimeError("no ear")

    mq.on("blocked", fail)
    mq.on("close", told.put)
    mq._listeners.tell_all([("blocked", "short of memory")])
    assert "'blocked' failed" in caplog.text
    mq.close()
    assert told.get(timeout=5) is None
