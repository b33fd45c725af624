"""`warrenmq status`: who has a directory, who is attached, what is in its queues and how fast it goes through them."""

import json
import signal
import threading

import pika

from restart.everything import confirming, publish


def status(home, *options):
    told = home.command("status", "--json", *options, home.data)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def queue(told, name):
    return next(queue for queue in told["queues"] if queue["name"] == name)


def test_the_host_its_connections_and_its_queues_are_told(home):
    broker = home.start()
    properties = {"connection_name": "counter"}
    parameters = pika.ConnectionParameters("127.0.0.1", broker.port, client_properties=properties)
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.queue_declare("tasks", durable=True)
    channel.queue_declare("steps", durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_qos(prefetch_count=2)
    for number in range(5):
        channel.basic_publish("", "tasks", b"%d" % number)
    got = []
    channel.basic_consume("tasks", lambda *delivery: got.append(delivery))
    while len(got) < 2:
        connection.process_data_events(1)

    told = status(home, "--over", "0")
    assert told["host"]["process"] == broker.process.pid
    assert " serve " in told["host"]["command"] and str(home.data) in told["host"]["command"]
    assert told["host"]["listening"] == [f"amqp://127.0.0.1:{broker.port}"]
    assert told["host"]["memory"]["resident"] > 1 << 20
    assert told["disk"]["used"] > 0 and told["disk"]["free"] > 0
    (attached,) = told["attached"]
    assert (attached["name"], attached["channels"], attached["consumers"]) == ("counter", 1, 1)
    assert attached["address"].startswith("127.0.0.1:") and "Pika" in attached["library"]
    tasks = queue(told, "tasks")
    assert (tasks["vhost"], tasks["type"], tasks["ready"], tasks["unacked"], tasks["consumers"]) == (
        ("/", "classic", 3, 2, 1)
    )
    assert (tasks["counts"]["published"], tasks["counts"]["delivered"], tasks["counts"]["acknowledged"]) == (5, 2, 0)
    assert queue(told, "steps")["type"] == "quorum"

    got[-1][0].basic_ack(got[-1][1].delivery_tag, multiple=True)
    while len(got) < 4:
        connection.process_data_events(1)
    assert queue(status(home, "--over", "0"), "tasks")["counts"]["acknowledged"] == 2

    shown = home.command("status", home.data)
    assert f"is hosted by process {broker.process.pid} for" in shown.stdout
    (row,) = [line.split() for line in shown.stdout.splitlines() if " tasks " in line]
    assert row[:6] == ["/", "tasks", "classic", "1", "2", "1"]
    connection.close()


def test_messages_per_second_are_those_of_the_time_that_is_looked_at(home):
    home.start()
    channel = confirming(home)
    channel.queue_declare("busy", durable=True)
    channel.queue_declare("idle", durable=True)
    publish(channel, "idle", b"before")
    done, begun = threading.Event(), threading.Event()

    def load():
        channel = confirming(home)
        while not done.is_set():
            publish(channel, "busy", b"x")
            begun.set()

    thread = threading.Thread(target=load)
    thread.start()
    assert begun.wait(10)
    told = status(home)
    done.set()
    thread.join()
    assert queue(told, "busy")["rates"]["published"] > 0
    assert queue(told, "idle")["rates"] == {"published": 0, "delivered": 0, "acknowledged": 0}
    assert told["rates"] == queue(told, "busy")["rates"]


def test_what_is_at_rest_is_told_when_nobody_has_the_directory(home):
    home.start()
    channel = confirming(home)
    channel.queue_declare("tasks", durable=True)
    for _ in range(3):
        publish(channel, "tasks", b"four")
    home.stop()
    before = {path: path.read_bytes() for path in home.data.rglob("*") if path.is_file() and path.name != "lock"}
    told = status(home)
    assert (told["host"], told["attached"]) == (None, [])
    tasks = queue(told, "tasks")
    assert (tasks["ready"], tasks["bytes"], tasks["durable"]) == (3, 12, True)
    assert "is hosted by nobody" in home.command("status", home.data).stdout
    after = {path: path.read_bytes() for path in home.data.rglob("*") if path.is_file() and path.name != "lock"}
    assert {path: content for path, content in before.items() if path.name != "definitions"} == {
        path: content for path, content in after.items() if path.name != "definitions"
    }
    home.start()
    assert home.connect().channel().basic_get("tasks", auto_ack=True)[2] == b"four"


def test_who_looks_again_and_again_keeps_nobody_from_hosting(home):
    home.start()
    home.stop()
    done = threading.Event()

    def look():
        while not done.is_set():
            assert home.command("status", "--over", "0", home.data).returncode == 0

    looking = [threading.Thread(target=look) for _ in range(2)]
    for thread in looking:
        thread.start()
    for _ in range(5):
        home.start()
        home.stop()
    done.set()
    for thread in looking:
        thread.join()


def test_a_host_that_hangs_is_named(home):
    broker = home.start()
    broker.process.send_signal(signal.SIGSTOP)
    told = home.command("status", home.data)
    broker.process.send_signal(signal.SIGCONT)
    assert told.returncode == 1
    assert f"is in use by process {broker.process.pid}, which does not answer" in told.stderr


def test_what_is_no_directory_of_a_broker_is_refused(home):
    for path in (home.directory, home.directory / "nowhere"):
        told = home.command("status", path)
        assert told.returncode == 1
        assert "NOT_FOUND" in told.stderr and str(path) in told.stderr
