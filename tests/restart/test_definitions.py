"""What was declared is there again after SIGKILL, from the moment at which the client was told so."""

import itertools
import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pika
import pytest

DEFINITIONS = Path(__file__).parents[1] / "access" / "definitions.json"


def exists(home, declare):
    """Whether a passive declaration finds it."""
    connection = home.connect()
    try:
        declare(connection.channel())
        return True
    except pika.exceptions.ChannelClosedByBroker as closed:
        assert closed.reply_code == 404, closed
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("round_", range(3))
def test_what_declare_ok_promised_survives_a_kill_at_once(home, round_):
    home.start()
    channel = home.connect().channel()
    channel.exchange_declare("e", "topic", durable=True)
    channel.queue_declare("q", durable=True)
    channel.queue_bind("q", "e", "a.*")
    channel.queue_declare(f"last.{round_}", durable=True)
    home.kill()

    home.start()
    assert exists(home, lambda channel: channel.queue_declare(f"last.{round_}", passive=True))
    channel = home.connect().channel()
    channel.queue_declare("q", durable=True)  # declared alike: nothing else is allowed
    channel.exchange_declare("e", "topic", durable=True)
    channel.basic_publish("e", "a.b", b"hello")
    assert channel.basic_get("q", auto_ack=True)[2] == b"hello"


def test_what_delete_ok_and_unbind_ok_promised_stays_gone(home):
    home.start()
    channel = home.connect().channel()
    for queue in ("q", "bound"):
        channel.queue_declare(queue, durable=True)
        channel.queue_bind(queue, "amq.direct", "k")
    channel.exchange_declare("e", durable=True)
    channel.exchange_delete("e")
    channel.queue_unbind("bound", "amq.direct", "k")
    channel.queue_delete("q")
    home.kill()

    home.start()
    assert not exists(home, lambda channel: channel.queue_declare("q", passive=True))
    assert not exists(home, lambda channel: channel.exchange_declare("e", passive=True))
    assert exists(home, lambda channel: channel.queue_declare("bound", passive=True))
    channel = home.connect().channel()
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("amq.direct", "k", b"", mandatory=True)


def test_many_clients_that_declare_at_once_all_find_their_queues(home):
    home.start()
    clients = 20

    def declare(client):
        channel = home.connect().channel()
        for number in range(5):
            channel.queue_declare(f"q.{client}.{number}", durable=True)
            channel.queue_bind(f"q.{client}.{number}", "amq.topic", f"{client}.{number}")

    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(declare, range(clients)))
    home.kill()

    found = home.definitions()
    assert len(found["queues"]) == len(found["bindings"]) == 5 * clients


def test_kills_amid_declarations_and_deletions_lose_nothing_that_was_answered(home):
    clients, rounds = 12, 6
    there = [set() for _ in range(clients)]  # the queues that each client was told are there
    open_ = [None] * clients  # the one whose answer did not come

    def change(client, round_, enough):
        mine = there[client]
        with suppress(pika.exceptions.AMQPError):
            channel = home.connect().channel()
            for number in itertools.count():
                name = f"{client}.{round_}.{number}"
                open_[client] = name
                channel.queue_declare(name, durable=True)
                mine.add(name)
                channel.queue_bind(name, "amq.topic", name)
                if number % 3:
                    open_[client] = name = min(mine)
                    channel.queue_delete(name)
                    mine.discard(name)
                enough.release()

    for round_ in range(rounds):
        home.start()
        enough = threading.Semaphore(0)
        with ThreadPoolExecutor(clients) as threads:
            changing = [threads.submit(change, client, round_, enough) for client in range(clients)]
            for _ in range(40 + 7 * round_):
                assert enough.acquire(timeout=30)
            home.kill()
            for change_ in changing:
                change_.result()
        found = home.definitions()
        queues = {queue["name"] for queue in found["queues"]}
        for client, mine in enumerate(there):
            undecided = {open_[client]}
            assert mine - queues <= undecided
            assert {name for name in queues if name.split(".")[0] == str(client)} - mine <= undecided
            mine -= undecided - queues
            mine |= undecided & queues
        assert {binding["destination"] for binding in found["bindings"]} <= queues


def test_what_does_not_last_is_gone(home):
    home.start()
    connection = home.connect()
    channel = connection.channel()
    channel.queue_declare("transient")
    channel.queue_declare("exclusive", durable=True, exclusive=True)
    channel.exchange_declare("passing")
    channel.queue_declare("auto-delete", durable=True, auto_delete=True)
    tag = channel.basic_consume("auto-delete", lambda *_: None)
    channel.basic_cancel(tag)
    channel.queue_declare("q", durable=True)  # what came before is on disk with it
    home.kill()

    home.start()
    for queue in ("transient", "exclusive", "auto-delete"):
        assert not exists(home, lambda channel, queue=queue: channel.queue_declare(queue, passive=True)), queue
    assert not exists(home, lambda channel: channel.exchange_declare("passing", passive=True))


def test_arguments_keep_their_types(home):
    arguments = {
        "int": 7,
        "long": 1 << 40,
        "time": datetime(2026, 1, 2, tzinfo=UTC),
        "bytes": b"\xff\x00",
        "table": {"list": [1, "two", None, {"three": True}]},
        "x-max-length": 5,
    }
    home.start()
    home.connect().channel().queue_declare("q", durable=True, arguments=arguments)
    home.kill()

    home.start()
    home.connect().channel().queue_declare("q", durable=True, arguments=arguments)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="inequivalent arg 'x-max-length'"):
        home.connect().channel().queue_declare("q", durable=True, arguments={**arguments, "x-max-length": 6})


def test_users_permissions_policies_and_limits_come_with_an_import_and_stay(home):
    imported = home.command("definitions", "import", home.data, DEFINITIONS)
    assert (imported.returncode, imported.stderr) == (0, "")
    for ending in (signal.SIGKILL, signal.SIGTERM):
        home.start()
        assert home.connect("sha512").is_open
        channel = home.connect("ann").channel()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            channel.queue_declare("not.ann", durable=True)
        channel = home.connect("admin").channel()
        channel.queue_declare("ruled.q", durable=True)
        channel.confirm_delivery()
        for body in (b"1", b"2", b"3"):
            channel.basic_publish("", "ruled.q", body)
        with pytest.raises(pika.exceptions.NackError):  # the operator's policy says 3
            channel.basic_publish("", "ruled.q", b"4")
        channel.queue_purge("ruled.q")
        channel = home.connect("admin", "short").channel()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="queue limit"):
            for queue in ("a", "b", "c"):
                channel.queue_declare(queue, durable=True)
        home.broker.process.send_signal(ending)
        home.broker.process.wait(30)

    given, found = json.loads(DEFINITIONS.read_text()), home.definitions()
    for key in ("permissions", "topic_permissions", "policies"):
        assert len(found[key]) == len(given[key]), key
    assert {user["name"] for user in found["users"]} == {user["name"] for user in given["users"]}
    single = next(user for user in found["users"] if user["name"] == "single")
    assert single["limits"] == {"max-connections": 1, "max-channels": 2}


def test_an_import_that_is_refused_changes_nothing(home):
    home.start()
    assert home.broker.stop() == 0
    before = home.definitions()
    file = home.directory / "definitions.json"
    permissions = {"user": "nobody", "vhost": "new", "configure": "", "write": "", "read": ""}
    file.write_text(json.dumps({"vhosts": [{"name": "new"}], "permissions": [permissions]}))
    refused = home.command("definitions", "import", home.data, file)
    assert refused.returncode == 1
    assert "no user 'nobody'" in refused.stderr
    assert home.definitions() == before


def test_an_export_goes_into_a_file_and_comes_back_the_same(home):
    home.command("definitions", "import", home.data, DEFINITIONS)
    file, other = home.directory / "exported.json", home.directory / "other"
    assert home.command("definitions", "export", home.data, "--to", file).returncode == 0
    assert home.command("definitions", "import", other, file).returncode == 0
    assert json.loads(home.command("definitions", "export", other).stdout) == json.loads(file.read_text())


def test_a_directory_has_one_broker_and_others_are_told_which(home):
    running = home.start()
    told = f"is in use by process {running.process.pid}"
    with pytest.raises(RuntimeError, match=told):
        home.start()
    assert told in home.command("definitions", "export", home.data).stderr
    assert running.alive
    home.broker = running
    home.kill()
    assert home.start().alive


def test_a_new_broker_has_guest_and_one_that_lost_it_does_not_get_it_back(home):
    home.start()
    assert home.connect().is_open
    assert home.broker.stop() == 0
    given = {"users": [{"name": "only", "password": "only"}], "vhosts": [{"name": "/"}]}
    file = home.directory / "definitions.json"
    file.write_text(json.dumps(given))
    other = home.directory / "other"
    home.command("definitions", "import", other, file)
    home.data = other
    home.start()
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        home.connect()
