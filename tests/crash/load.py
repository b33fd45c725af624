"""The clients that work while the broker is killed. Each tells the ledger before it acts, and when it is answered."""

import random
import struct
from collections import deque
from dataclasses import dataclass, field

from crash import letters
from crash.client import Content
from support import methods

SYNCED = 25  # acks after which a consumer asks for an answer


def confirm(client, waiting, ledger):
    """Takes the next confirm, for one or more of the messages that wait for it, by their tags."""
    frame = client.take()
    last, multiple = struct.unpack_from(">Q?", frame.payload)
    messages = [waiting.pop(tag) for tag in list(waiting) if tag == last or multiple and tag < last]
    if frame.name == "basic.ack":
        ledger.confirmed(messages)
    else:
        ledger.refused(len(messages))


@dataclass
class Publisher:
    """Publishes with confirms, at most `window` of them outstanding. Numbers go on from life to life."""

    name: str
    queues: tuple  # that each message reaches
    window: int
    exchange: str = ""
    number: int = 0

    def work(self, client, ledger):
        client.call(methods.select(), "confirm.select-ok")
        waiting, tag = {}, 0
        while True:
            parts = []
            while len(waiting) < self.window:
                tag, self.number = tag + 1, self.number + 1
                waiting[tag] = ledger.publishing(self.queues, self.name, self.number)
                parts.append(letters.frames_of(self.name, self.number, self.exchange, self.queues[0]))
            client.send(b"".join(parts))
            confirm(client, waiting, ledger)


@dataclass
class Transactions:
    """Publishes in transactions; every fifth or so is rolled back."""

    name: str
    queue: str
    chance: random.Random
    number: int = 0

    def work(self, client, ledger):
        client.call(methods.select("tx"), "tx.select-ok")
        while True:
            messages = []
            for _ in range(self.chance.randint(1, 20)):
                self.number += 1
                messages.append(ledger.publishing([self.queue], self.name, self.number, withdrawn=True))
                client.send(letters.frames_of(self.name, self.number, "", self.queue))
            if self.chance.random() < 0.2:
                client.call(methods.method("tx.rollback"), "tx.rollback-ok")
                continue
            ledger.committing(messages)
            client.call(methods.method("tx.commit"), "tx.commit-ok")
            ledger.confirmed(messages)


@dataclass
class Consumer:
    """Acknowledges each delivery, or late and many at once (`late`), or gives some back (`returns`) and does not
    settle some that come again (`keeps`), or in transactions (`tx`)."""

    name: str
    queue: str
    chance: random.Random
    style: str = "each"
    alone: bool = False  # on its queue
    prefetch: int = 100
    account: str = ""  # the queue in which the messages expired, if they come from there
    _inbox: deque = field(default_factory=deque)

    def work(self, client, ledger):
        self._inbox.clear()
        if self.style == "tx":
            client.call(methods.select("tx"), "tx.select-ok")
        client.call(methods.qos(count=self.prefetch), "basic.qos-ok")
        client.call(methods.consume(self.queue, self.name), "basic.consume-ok")
        held, sent, returned, kept = [], [], [], 0
        while True:
            content = self._inbox.popleft() if self._inbox else client.take()
            assert isinstance(content, Content), f"{self.name} got {content}"
            account, expired = self.account or self.queue, bool(self.account)
            entry = ledger.delivered(account, self.name, content, self.alone, expired)
            entries = [entry] if entry else []
            if self.style in ("returns", "keeps") and entry and self.chance.random() < 0.15:
                ledger.returning(entry)
                returned.append((entry, entry.count + 1))
                client.send(methods.nack(content.tag, bits=2))
                continue
            if self.style == "keeps" and entry and entry.count and kept < self.prefetch // 2:
                kept += 1
                continue
            held += entries
            if self.style == "late" and len(held) < self.prefetch // 2:
                continue
            ledger.acking(held)
            client.send(methods.ack(content.tag, multiple=self.style == "late"))
            sent, held = sent + held, []
            if len(sent) >= SYNCED:
                self._sync(client)
                ledger.answered(sent)
                ledger.returned(returned)
                sent, returned = [], []

    def _sync(self, client):
        """A method that is answered after the acks; what comes before the answer waits."""
        if self.style == "tx":
            client.call(methods.method("tx.commit"), "tx.commit-ok", self._inbox.append)
        else:
            client.call(methods.qos(count=self.prefetch), "basic.qos-ok", self._inbox.append)


QUEUES = ("one", "two", "deep", "left", "right")
FANOUT = "both"
TURNED = "turnover"  # the queue that is deleted and declared again


def lay(client):
    """Declares what the clients use; again at each start, which must change nothing."""
    for queue in (*QUEUES, TURNED):
        client.call(methods.declare(queue, bits=2), "queue.declare-ok")
    client.call(methods.exchange(FANOUT, "fanout", bits=2), "exchange.declare-ok")
    for queue in ("left", "right"):
        client.call(methods.bind(queue, FANOUT), "queue.bind-ok")


def clients(chance):
    """One queue with a lone consumer, one shared by three, one that only grows, and two behind a fanout."""
    return [
        Publisher("wide", ("one",), 50),
        Publisher("single", ("two",), 1),
        Publisher("pair", ("two",), 20),
        Publisher("deep", ("deep",), 100),
        Publisher("fan", ("left", "right"), 20, FANOUT),
        Transactions("tx", "one", chance),
        Consumer("one.each", "one", chance, alone=True),
        Consumer("two.late", "two", chance, "late"),
        Consumer("two.returns", "two", chance, "returns"),
        Consumer("two.tx", "two", chance, "tx"),
        Consumer("left.late", "left", chance, "late", alone=True),
    ]


def drain(client, queue, ledger, look=lambda content: None, account="", closes=True):
    """Takes and acknowledges everything; when the queue is empty, the ledger closes it. `account` is the queue in
    which the messages expired, if they come from there."""

    def settle(inbox):
        if not inbox:
            return
        entries = []
        for content in inbox:
            look(content)
            entries.append(ledger.delivered(account or queue, "drain", content, alone=True, expired=bool(account)))
        ledger.acking([entry for entry in entries if entry])
        client.send(methods.ack(inbox[-1].tag, multiple=1))
        inbox.clear()

    client.call(methods.qos(count=500), "basic.qos-ok")
    inbox = deque()
    client.call(methods.consume(queue, "drain"), "basic.consume-ok", inbox.append)
    ready = 1
    while ready or inbox:
        ready = client.ready(queue, inbox.append)
        settle(inbox)
    client.call(methods.cancel("drain"), "basic.cancel-ok", inbox.append)
    settle(inbox)
    while (got := _get(client, queue)).name == "basic.get-ok":
        settle(deque([got]))
    if closes:
        ledger.drained(account or queue)


def _get(client, queue):
    client.send(methods.get(queue))
    return client.take()
