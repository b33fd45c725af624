"""Clients that turn whole queues and definitions over while the broker is killed."""

import random
from collections import deque
from dataclasses import dataclass, field

from crash import letters
from crash.client import Refused
from crash.load import confirm
from support import methods

NOT_FOUND = 404


@dataclass
class Turnover:
    """Fills a queue, deletes or purges it with its backlog, and begins anew under the same name."""

    queue: str
    chance: random.Random
    number: int = 0

    def work(self, client, ledger):
        client.call(methods.select(), "confirm.select-ok")
        tag = 0
        while True:
            client.call(methods.declare(self.queue, bits=2), "queue.declare-ok")
            waiting = {}
            for _ in range(self.chance.randint(1, 200)):
                tag, self.number = tag + 1, self.number + 1
                waiting[tag] = ledger.publishing([self.queue], self.queue, self.number)
                client.send(letters.frames_of(self.queue, self.number, "", self.queue))
            while waiting:
                confirm(client, waiting, ledger)
            ledger.emptying(self.queue)
            if self.chance.random() < 0.3:
                client.call(methods.purge(self.queue), "queue.purge-ok")
                ledger.purged(self.queue)
            else:
                client.call(methods.delete(self.queue), "queue.delete-ok")
                ledger.deleted(self.queue)


@dataclass
class Definitions:
    """Declares queues, exchanges and bindings, deletes the older ones, and knows which must be there."""

    exchange: str = "definitions"
    kept: int = 15
    number: int = 0
    present: deque = field(default_factory=deque)
    absent: deque = field(default_factory=lambda: deque(maxlen=20))
    uncertain: list = field(default_factory=list)

    def work(self, client, ledger):
        client.call(methods.exchange(self.exchange, "direct", bits=2), "exchange.declare-ok")
        while True:
            self.number += 1
            name = f"definition.{self.number}"
            self.uncertain.append(name)
            client.call(methods.declare(name, bits=2), "queue.declare-ok")
            client.call(methods.exchange(name, "fanout", bits=2), "exchange.declare-ok")
            client.call(methods.bind(name, self.exchange, name), "queue.bind-ok")
            self.present.append(self.uncertain.pop())
            if len(self.present) > self.kept:
                self.uncertain.append(self.present.popleft())
                self._delete(client, self.uncertain[-1])
                self.absent.append(self.uncertain.pop())

    def verify(self, client, ledger):
        """After a start: what was acknowledged is there, what was deleted is not, and the rest is tidied away."""
        client.call(methods.exchange(self.exchange, "direct", bits=2), "exchange.declare-ok")
        for names, expected in ((self.present, True), (self.absent, False)):
            for name in names:
                there = {
                    f"queue {name}": self._exists(client, methods.declare(name, bits=1), "queue.declare-ok"),
                    f"exchange {name}": self._exists(client, methods.exchange(name, bits=1), "exchange.declare-ok"),
                    f"binding {name}": self._routes(client, name),
                }
                for what, found in there.items():
                    if found != expected:
                        ledger.forgotten(f"{what} {'came back' if found else 'is gone'} in life {ledger.life}")
        for name in self.uncertain:
            self._delete(client, name)
        self.uncertain.clear()
        self.absent.clear()

    def _delete(self, client, name):
        client.call(methods.delete(name), "queue.delete-ok")
        client.call(methods.delete_exchange(name), "exchange.delete-ok")

    def _exists(self, client, passive, answer):
        try:
            return bool(client.call(passive, answer))
        except Refused as refused:
            if refused.code != NOT_FOUND:
                raise
            return False

    def _routes(self, client, key):
        """Whether the broker finds a queue for this key: it returns a mandatory message if not."""
        came = []
        client.send(methods.send(key, exchange=self.exchange, bits=1))
        client.call(methods.qos(), "basic.qos-ok", came.append)
        return not came
