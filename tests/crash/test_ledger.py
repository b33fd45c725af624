"""The ledger notices each way in which a broker may be wrong, and takes what is right."""

import time

import pytest

from crash import letters
from crash.client import Content
from crash.kinds import Ranks
from crash.ledger import RULES, Ledger
from support import frames

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


class Special:
    """The same for messages of which more is known: of publisher `name`, in a queue of that name."""

    def __init__(self, name):
        self.name, self.ledger, self.entries = name, Ledger(SOON), {}
        self.begin()

    def begin(self):
        self.ledger.begin()
        self.ledger.ready()
        return self

    def publish(self, *numbers, lasts=None):
        for number in numbers:
            self.entries[number] = self.ledger.publishing([self.name], self.name, number, lasts=lasts)
            self.ledger.confirmed([self.entries[number]])
        return self

    def content(self, number, name="", value=0, redelivered=False):
        properties = letters.properties(self.name, number)
        if name:  # the first flag says that there are headers
            headers = frames.table(**{name: b"l" + value.to_bytes(8, "big")})
            properties = bytes([properties[0] | 0x20]) + properties[1:2] + headers + properties[2:]
        return Content("basic.deliver", 1, redelivered, properties, letters.body(self.name, number))

    def deliver(self, *numbers, count=0, expired=False, redelivered=False):
        for number in numbers:
            content = self.content(number, "x-delivery-count" if count else "", count, redelivered)
            self.ledger.delivered(self.name, "c", content, expired=expired)
        return self

    def give_back(self, number, count):
        (entry,) = self.entries[number]
        self.ledger.returning(entry)
        self.ledger.returned([(entry, count)])
        return self

    def ack(self, *numbers):
        entries = [self.entries[number][0] for number in numbers]
        self.ledger.acking(entries)
        self.ledger.answered(entries)
        return self

    def read(self, *offsets, by="r"):
        for number, offset in enumerate(offsets, 1):
            if offset is not None:
                self.ledger.read(self.name, by, self.content(number, "x-stream-offset", offset))
        return self

    def later(self, milliseconds):
        """As if so much time had passed."""
        for (entry,) in self.entries.values():
            entry.due -= milliseconds
        return self

    def begun(self, milliseconds):
        """As if this life had begun so much earlier."""
        begun, end = self.ledger._spans[self.ledger.life]
        self.ledger._spans[self.ledger.life] = begun - milliseconds, end
        return self

    def crash(self, after=1.0):
        self.ledger.end(time.monotonic() + after)
        return self.begin()

    def aged(self):
        """As if what was answered had been so a second earlier."""
        for (entry,) in self.entries.values():
            entry.answered = entry.answered and (entry.answered[0], entry.answered[1] - 1)
        return self

    def copied(self, happens):
        """The ledger of a backup that was asked for before this happened."""
        memory = self.ledger.remember()
        happens(self)
        self.ledger.end(time.monotonic())
        self.ledger = self.ledger.as_of(memory)
        self.entries = {key: [self.ledger._queues[self.name].entries[self.name, key]] for key in self.entries}
        return self.begin()

    def drain(self):
        self.ledger.drained(self.name)
        return self

    @property
    def wrong(self):
        return {rule: self.ledger.counts[rule] for rule in RULES if self.ledger.counts[rule]}


SPECIAL_WRONG = {
    "a delayed message comes early": (lambda: Special("later").publish(1, lasts=500).deliver(1), "early"),
    "a message expires early": (lambda: Special("brief").publish(1, lasts=500).deliver(1, expired=True), "early"),
    "an expired message is delivered": (
        lambda: Special("brief").publish(1, lasts=500).later(2000).deliver(1),
        "stale",
    ),
    "a delayed message comes twice": (
        lambda: Special("later").publish(1, lasts=500).later(600).deliver(1, 1),
        "twice",
    ),
    "one that came long before the kill comes again": (
        lambda: Special("later").publish(1, lasts=1).later(9000).deliver(1).ack(1).begun(9000).crash().deliver(1),
        "late",
    ),
    "an expired message is not dead-lettered": (
        lambda: Special("brief").publish(1, lasts=500).later(2000).drain(),
        "lost",
    ),
    "a count goes back": (
        lambda: Special("counted").publish(1).deliver(1).give_back(1, 1).crash().deliver(1, redelivered=True),
        "uncounted",
    ),
    "a message of a stream is at another offset": (
        lambda: Special("stream").publish(1).read(0).crash().read(1),
        "displaced",
    ),
    "messages of a stream are out of order": (lambda: Special("stream").publish(1, 2).read(5, 4), "disordered"),
    "a message of a stream does not come": (lambda: Special("stream").publish(1).drain(), "lost"),
    "what was confirmed is not in the backup": (
        lambda: Special("plain").publish(1).copied(lambda s: s.deliver(1)).drain(),
        "lost",
    ),
    "what was acknowledged long before is in the backup": (
        lambda: Special("plain").publish(1).deliver(1).ack(1).aged().copied(lambda s: s).deliver(1, redelivered=True),
        "late",
    ),
}
SPECIAL_RIGHT = {
    "each comes at its time": lambda: Special("later").publish(1, lasts=500).later(500).deliver(1).ack(1),
    "it is delivered in time": lambda: Special("brief").publish(1, lasts=500).deliver(1).ack(1),
    "it expires in time": lambda: Special("brief").publish(1, lasts=500).later(500).deliver(1, expired=True).ack(1),
    "a kill leaves a message in two places": lambda: (
        Special("later").publish(1, lasts=500).later(500).deliver(1).ack(1).crash().deliver(1).ack(1)
    ),
    "a count goes up": lambda: (
        Special("counted").publish(1).deliver(1).give_back(1, 1).crash().deliver(1, count=1, redelivered=True).ack(1)
    ),
    "a count that was not written goes back": lambda: (
        Special("counted").publish(1).deliver(1).give_back(1, 1).crash(-1).deliver(1, redelivered=True).ack(1)
    ),
    "a stream is read twice": lambda: Special("stream").publish(1, 2).read(0, 1).read(0, 1, by="s").ack(1, 2),
    "what was published later is not in the backup": lambda: Special("plain").copied(lambda s: s.publish(1)),
    "what was acknowledged later is in the backup": lambda: (
        Special("plain").publish(1).deliver(1).copied(lambda s: s.ack(1)).deliver(1, redelivered=True).ack(1)
    ),
    "what was acknowledged later is not in the backup": lambda: (
        Special("plain").publish(1).deliver(1).copied(lambda s: s.ack(1))
    ),
}


@pytest.mark.parametrize("happens, rule", SPECIAL_WRONG.values(), ids=SPECIAL_WRONG.keys())
def test_the_broker_is_wrong_about_special_messages(happens, rule):
    assert happens().wrong == {rule: 1}


@pytest.mark.parametrize("happens", SPECIAL_RIGHT.values(), ids=SPECIAL_RIGHT.keys())
def test_the_broker_is_right_about_special_messages(happens):
    assert happens().drain().wrong == {}


def test_a_lower_priority_before_a_higher_one_is_noticed():
    ledger = Ledger(SOON)
    ranks = Ranks(ledger)
    for publisher in ("ranked.4", "ranked.2", "ranked.2", "ranked.0", "ranked.1"):
        ranks.take(Content("basic.deliver", 1, False, b"", letters.body(publisher, 1)))
    assert ledger.counts["outranked"] == 1
