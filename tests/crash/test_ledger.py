"""The ledger notices each way in which a broker may be wrong, and takes what is right."""

import pytest

from crash import letters
from crash.client import Content
from crash.ledger import RULES, Ledger

NEVER, SOON = None, 0.0


class Story:
    """Short words for what happens to the messages of publisher `p` in queue `q`."""

    def __init__(self, grace=SOON):
        self.ledger = Ledger(grace)
        self.ledger.begin()
        self.entries = {}

    def publish(self, *numbers, confirmed=True, withdrawn=False):
        for number in numbers:
            self.entries[number] = self.ledger.publishing(["q"], "p", number, withdrawn)
            if confirmed:
                self.ledger.confirmed([self.entries[number]])
        return self

    def deliver(self, *numbers, redelivered=False, body=None, to="c", alone=False):
        for number in numbers:
            properties = letters.properties("p", number)
            content = Content("basic.deliver", 1, redelivered, properties, body or letters.body("p", number))
            self.ledger.delivered("q", to, content, alone)
        return self

    def ack(self, *numbers, answered=True):
        entries = [self.entries[number][0] for number in numbers]
        self.ledger.acking(entries)
        if answered:
            self.ledger.answered(entries)
        return self

    def give_back(self, number):
        self.ledger.returning(self.entries[number][0])
        return self

    def crash(self, after=1.0):
        """Killed so many seconds after the latest ack was answered."""
        moments = [entry.answered[1] for (entry,) in self.entries.values() if entry.answered]
        self.ledger.end(max(moments, default=1.0) + after)
        self.ledger.begin()
        return self

    def stop(self):
        self.ledger.end(None)
        self.ledger.begin()
        return self

    def leave(self):
        self.ledger.stopping()
        return self

    def drain(self):
        self.ledger.drained("q")
        return self

    def delete(self, answered=True):
        self.ledger.emptying("q")
        if answered:
            self.ledger.deleted("q")
        return self

    def purge(self):
        self.ledger.emptying("q")
        self.ledger.purged("q")
        return self

    @property
    def wrong(self):
        return {rule: self.ledger.counts[rule] for rule in RULES if self.ledger.counts[rule]}


WRONG = {
    "a confirmed message that does not come": (lambda s: s.publish(1, 2).deliver(1).ack(1).crash().drain(), "lost"),
    "a delivery that was not acknowledged does not come again": (
        lambda s: s.publish(1).deliver(1).crash().drain(),
        "lost",
    ),
    "one that was given back does not come again": (
        lambda s: s.publish(1).deliver(1).give_back(1).crash().drain(),
        "lost",
    ),
    "one that came again after its ack, and then not": (
        lambda s: s.publish(1).deliver(1).ack(1).crash(0).deliver(1, redelivered=True).crash().drain(),
        "lost",
    ),
    "while the broker stops, an unacknowledged one goes": (
        lambda s: s.publish(1).leave().deliver(1).deliver(1, to="d").crash().drain(),
        "lost",
    ),
    "a body that nobody wrote": (lambda s: s.publish(1).deliver(1, body=b"what"), "phantom"),
    "a message that is not published yet": (lambda s: s.publish(1).deliver(2), "phantom"),
    "a body that ends too early": (lambda s: s.publish(1).deliver(1, body=letters.body("p", 1)[:-1]), "phantom"),
    "a transaction that was not committed": (
        lambda s: s.publish(1, confirmed=False, withdrawn=True).crash().deliver(1),
        "phantom",
    ),
    "an older one after a newer one": (lambda s: s.publish(1, 2).deliver(2, 1), "disordered"),
    "an older one after a newer one in another order than before the crash": (
        lambda s: s.publish(1, 2).deliver(1, 2).crash().deliver(2, 1, redelivered=True),
        "disordered",
    ),
    "an older one in a later life": (
        lambda s: s.publish(1, 2).deliver(2, alone=True).crash().deliver(1, alone=True, to="drain"),
        "disordered",
    ),
    "one that comes again as if it were new": (lambda s: s.publish(1).deliver(1).crash().deliver(1), "unmarked"),
    "one that was given back comes as if it were new": (
        lambda s: s.publish(1).deliver(1).give_back(1).deliver(1),
        "unmarked",
    ),
    "a new one that comes as redelivered": (lambda s: s.publish(1).deliver(1, redelivered=True), "marked"),
    "one that comes twice": (lambda s: s.publish(1).deliver(1).deliver(1, redelivered=True), "twice"),
    "one that comes again after its ack was written": (
        lambda s: s.publish(1).deliver(1).ack(1).crash(0.1).deliver(1, redelivered=True),
        "late",
    ),
    "one that comes again after a drain": (
        lambda s: s.publish(1).deliver(1).ack(1).drain().crash().deliver(1, redelivered=True),
        "late",
    ),
    "one of a queue that was deleted": (lambda s: s.publish(1).delete().crash().deliver(1), "late"),
    "one that was purged": (lambda s: s.publish(1).purge().crash(0.1).deliver(1), "late"),
}


@pytest.mark.parametrize("happens, rule", WRONG.values(), ids=WRONG.keys())
def test_the_broker_is_wrong(happens, rule):
    assert happens(Story()).wrong == {rule: 1}


RIGHT = {
    "each comes once and in order": lambda s: s.publish(1, 2).deliver(1, 2).ack(1, 2).crash().drain(),
    "an unconfirmed one may go": lambda s: s.publish(1, confirmed=False).crash().drain(),
    "an unconfirmed one may come": lambda s: s.publish(1, confirmed=False).crash().deliver(1).ack(1).drain(),
    "a late ack may be lost": lambda s: (
        s.publish(1).deliver(1).ack(1, answered=False).crash().deliver(1, redelivered=True).ack(1).drain()
    ),
    "an ack just before the crash may be lost": lambda s: (
        s.publish(1).deliver(1).ack(1).crash(-1).deliver(1, redelivered=True).ack(1).drain()
    ),
    "two consumers of a queue overtake each other": lambda s: s.publish(1, 2).deliver(2, to="d").deliver(1).ack(1, 2),
    "one that was given back comes after newer ones": lambda s: (
        s.publish(1, 2).deliver(1, 2).give_back(1).deliver(1, redelivered=True).ack(1, 2).crash().drain()
    ),
    "while the broker stops, another consumer gets what one has acknowledged too late": lambda s: (
        s.publish(1).deliver(1).ack(1, answered=False).leave().deliver(1, to="d").crash().drain()
    ),
    "a deletion that was not answered may have happened": lambda s: s.publish(1).delete(answered=False).crash().drain(),
    "a deletion that was not answered may not have happened": lambda s: (
        s.publish(1).delete(answered=False).crash().deliver(1).ack(1).drain()
    ),
}


@pytest.mark.parametrize("happens", RIGHT.values(), ids=RIGHT.keys())
def test_the_broker_is_right(happens):
    assert happens(Story()).drain().wrong == {}


def test_without_a_grace_only_a_clean_stop_makes_acks_certain():
    killed = Story(NEVER).publish(1).deliver(1).ack(1).crash(3600).deliver(1, redelivered=True)
    stopped = Story(NEVER).publish(1).deliver(1).ack(1).stop().deliver(1, redelivered=True)
    assert (killed.wrong, stopped.wrong) == ({}, {"late": 1})
