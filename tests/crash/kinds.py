"""Queues of special kinds, and the clients that know what each of them promises."""

import random
import time
from collections import deque
from dataclasses import dataclass, field

from crash import letters
from crash.client import Content
from crash.ledger import milliseconds
from crash.load import Consumer, Publisher, confirm, drain
from support import frames, methods

TTL = 400  # milliseconds, of the messages in `brief`
RECENT = 200  # messages that may be sent again, fewer than a queue remembers


def _number(value):
    return b"I" + value.to_bytes(4, "big")


EXPIRED = "expired"  # where the messages go that expire in `brief`
ARGUMENTS = {
    letters.RANKED: {"x-max-priority": _number(letters.RANKS - 1)},
    letters.UNIQUE: {"x-message-deduplication": True},
    letters.LATER: {},
    letters.BRIEF: {
        "x-message-ttl": _number(TTL),
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": EXPIRED,
    },
    EXPIRED: {},
    "counted": {"x-queue-type": "quorum"},
    "stream": {"x-queue-type": "stream"},
}


def lay(client):
    for queue, arguments in ARGUMENTS.items():
        declare = methods.declare(queue, bits=2, arguments=frames.table(**arguments))
        client.call(declare, "queue.declare-ok")


def clients(chance):
    return [
        Ranked(chance),
        Consumer("ranked.each", letters.RANKED, chance, prefetch=10),
        Resender(chance),
        Consumer("unique.late", letters.UNIQUE, chance, "late", alone=True),
        Timed(letters.LATER, letters.delay),
        Consumer("later.each", letters.LATER, chance),
        Timed(letters.BRIEF, lambda _: TTL),
        Getter(letters.BRIEF),
        Consumer("expired.each", EXPIRED, chance, account=letters.BRIEF),
        Publisher("counted", ("counted",), 20),
        Consumer("counted.keeps", "counted", chance, "keeps"),
        Publisher("stream", ("stream",), 50),
        Reader("stream"),
    ]


def count(client, ledger):
    """Drains them all, when every delay and every time to live is over."""
    ranks = Ranks(ledger)
    drain(client, letters.RANKED, ledger, ranks.take)
    for queue in (letters.UNIQUE, "counted"):
        drain(client, queue, ledger)
    read_all(client, "stream", ledger)
    time.sleep(max(0, ledger.last_due() + 700 - milliseconds()) / 1000)
    drain(client, letters.LATER, ledger)
    drain(client, letters.BRIEF, ledger, closes=False)
    drain(client, EXPIRED, ledger, account=letters.BRIEF)


class Ranks:
    """From a queue that nobody publishes to, messages come in the order of their priorities."""

    def __init__(self, ledger):
        self.ledger, self.last = ledger, letters.RANKS

    def take(self, content):
        publisher, number = letters.sender(content.body) or ("", 0)
        if (rank := letters.rank(publisher)) is None:
            return
        if rank > self.last:
            self.ledger.outranked(f"{publisher} {number} after one of priority {self.last}")
        self.last = rank


@dataclass
class Ranked:
    """Publishes with priorities, as a publisher for each."""

    chance: random.Random
    name: str = letters.RANKED
    window: int = 30
    numbers: dict = field(default_factory=lambda: dict.fromkeys(range(letters.RANKS), 0))

    def work(self, client, ledger):
        client.call(methods.select(), "confirm.select-ok")
        waiting, tag = {}, 0
        while True:
            while len(waiting) < self.window:
                rank = self.chance.randrange(letters.RANKS)
                self.numbers[rank] += 1
                tag, publisher, number = tag + 1, f"{self.name}.{rank}", self.numbers[rank]
                waiting[tag] = ledger.publishing([self.name], publisher, number)
                client.send(letters.frames_of(publisher, number, "", self.name))
            confirm(client, waiting, ledger)


@dataclass
class Resender:
    """Publishes with ids. After a kill it sends again what was not confirmed, in order; and at any time something
    that was."""

    chance: random.Random
    name: str = letters.UNIQUE
    window: int = 20
    number: int = 0
    open: deque = field(default_factory=deque)  # not confirmed yet
    recent: deque = field(default_factory=lambda: deque(maxlen=RECENT))  # confirmed

    def work(self, client, ledger):
        client.call(methods.select(), "confirm.select-ok")
        # What was counted meanwhile is done with, whether it had been there or not.
        self.open = deque(number for number in self.open if ledger.knows(self.name, self.name, number))
        waiting, tag, again = {}, 0, deque(self.open)
        again.extend(number for number in self.recent if self.chance.random() < 0.3)
        while True:
            while len(waiting) < self.window:
                tag += 1
                if again:
                    number = again.popleft()
                    waiting[tag] = ledger.resending(self.name, self.name, number)
                elif self.recent and self.chance.random() < 0.1:
                    number = self.chance.choice(self.recent)
                    waiting[tag] = ledger.resending(self.name, self.name, number)
                else:
                    self.number = number = self.number + 1
                    self.open.append(number)
                    waiting[tag] = ledger.publishing([self.name], self.name, number)
                client.send(letters.frames_of(self.name, number, "", self.name))
            confirm(client, waiting, ledger)
            self._close({entry.number for entries in waiting.values() for entry in entries}, again)

    def _close(self, waiting, again):
        """What is neither waited for nor to be sent again is confirmed."""
        while self.open and self.open[0] not in waiting and self.open[0] not in again:
            self.recent.append(self.open.popleft())


@dataclass
class Timed:
    """Publishes messages of which each has a delay or a time to live: `lasts(number)` milliseconds."""

    name: str
    lasts: object
    window: int = 10
    number: int = 0

    def work(self, client, ledger):
        client.call(methods.select(), "confirm.select-ok")
        waiting, tag = {}, 0
        while True:
            while len(waiting) < self.window:
                tag, self.number = tag + 1, self.number + 1
                lasts = self.lasts(self.number)
                waiting[tag] = ledger.publishing([self.name], self.name, self.number, lasts=lasts)
                client.send(letters.frames_of(self.name, self.number, "", self.name))
            confirm(client, waiting, ledger)


@dataclass
class Getter:
    """Takes one message now and then, and acknowledges it, while the others grow old."""

    name: str
    pause: float = 0.003

    def work(self, client, ledger):
        while True:
            client.send(methods.get(self.name))
            taken = client.take()
            if isinstance(taken, Content):
                entry = ledger.delivered(self.name, f"{self.name}.get", taken)
                entries = [entry] if entry else []
                ledger.acking(entries)
                client.send(methods.ack(taken.tag))
                client.call(methods.qos(), "basic.qos-ok")
                ledger.answered(entries)
            time.sleep(self.pause)


@dataclass
class Reader:
    """Reads a stream from its beginning."""

    queue: str

    def work(self, client, ledger):
        for content in _from_first(client, self.queue):
            ledger.read(self.queue, "reader", content)


def read_all(client, queue, ledger):
    """Everything that is in a stream; it is deleted then, so that the next one begins anew."""
    ledger.reading(queue, "count")
    there, entries = client.ready(queue, None), []
    contents = _from_first(client, queue)
    for _ in range(there):
        entries.append(ledger.read(queue, "count", next(contents)))
    ledger.acking([entry for entry in entries if entry])
    ledger.drained(queue)
    client.call(methods.delete(queue), "queue.delete-ok", lambda _: None)


def _from_first(client, queue, prefetch=200):
    inbox = deque()
    client.call(methods.qos(count=prefetch), "basic.qos-ok", inbox.append)
    begin = frames.table(**{"x-stream-offset": "first"})
    client.call(methods.consume(queue, "stream", arguments=begin), "basic.consume-ok", inbox.append)
    for taken in range(1, 1 << 62):
        content = inbox.popleft() if inbox else client.take()
        assert isinstance(content, Content), f"a reader of {queue} got {content}"
        if taken % (prefetch // 2) == 0:
            client.send(methods.ack(content.tag, multiple=1))
        yield content
