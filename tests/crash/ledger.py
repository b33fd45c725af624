"""All that the clients know, and what of it the broker contradicts.

A *life* is the time from one start of the broker to its end. The rules:

* **lost**: a message was confirmed, was never acknowledged, and is not there when the queues are drained.
* **phantom**: a message that nobody published, whose content differs, or whose transaction was not committed.
* **disordered**: within a life a consumer gets each publisher's messages of a queue in ascending order, unless it
  or another gave one back; a consumer that is alone on its queue gets new ones so over all lives.
* **unmarked**: a message that came before comes again without the redelivered flag.
* **marked**: a message comes as redelivered though it was published in this life and nobody has seen it.
* **twice**: a message comes again within a life though nobody gave it back.
* **late**: a message comes again though its ack was certainly written, or its queue was deleted.
* **forgotten**: a definition that was acknowledged is gone, or one that was deleted is there again.

A broker that stops in good order closes one connection after the other, and what it takes back from one it may give
to another; nor do two clients read in the order in which the broker wrote. From then on *disordered*, *unmarked*,
*marked* and *twice* are not judged.

Which ack was certainly written the protocol does not say. Here: when the broker answered a later method on the
ack's channel, and lived on for `grace` seconds.
"""

import threading
import time
from collections import Counter, defaultdict

from crash import letters

RULES = ("lost", "phantom", "disordered", "unmarked", "marked", "twice", "late", "forgotten")
SHOWN = 10  # contradictions of a kind that are told in full


class Entry:
    """A message in one queue."""

    __slots__ = ("publisher", "number", "life", "confirmed", "withdrawn", "seen", "acked", "answered")

    def __init__(self, publisher, number, life, withdrawn):
        self.publisher, self.number = publisher, number
        self.life = life  # in which it was published
        self.withdrawn = withdrawn  # in a transaction that is not committed
        self.confirmed = False
        self.seen = 0  # the life of its latest delivery; 0 never, negative if it was given back since
        self.acked = False  # an ack was sent
        self.answered = None  # (life, moment) from which on that ack was processed

    def __str__(self):
        state = [word for word in ("confirmed", "withdrawn", "acked") if getattr(self, word)]
        state = ", ".join([*state, f"last seen in life {abs(self.seen)}" if self.seen else "never seen"])
        return f"{self.publisher} {self.number} (published in life {self.life}, {state})"


class Queue:
    def __init__(self):
        self.entries = {}  # by (publisher, number)
        self.closed = defaultdict(int)  # by publisher: messages below this number are gone for good
        self.latest = {}  # by (consumer, publisher): the last number of this life
        self.newest = {}  # by publisher: the greatest number ever delivered to a lone consumer

    def close(self):
        for publisher, number in self.entries:
            self.closed[publisher] = max(self.closed[publisher], number + 1)
        self.entries.clear()


class Ledger:
    """Shared by all clients. `grace` None: an ack is only certain when the broker stopped in good order."""

    def __init__(self, grace):
        self.grace = grace
        self.life = 0
        self._stopping = False
        self.counts = Counter()
        self.contradictions = []
        self._ends = {}  # of each life: when the broker was killed, infinity if it was stopped
        self._queues = defaultdict(Queue)
        self._lock = threading.Lock()

    # --- lives ---

    def begin(self):
        with self._lock:
            self.life += 1
            self._stopping = False
            for queue in self._queues.values():
                queue.latest.clear()

    def stopping(self):
        """Before the broker is asked to stop."""
        with self._lock:
            self._stopping = True

    def end(self, killed):
        """At this moment, or in good order (None)."""
        with self._lock:
            self._ends[self.life] = killed or float("inf")

    # --- publishers ---

    def publishing(self, queues, publisher, number, withdrawn=False):
        with self._lock:
            self.counts["published"] += 1
            return [self._enter(queue, publisher, number, withdrawn) for queue in queues]

    def _enter(self, queue, publisher, number, withdrawn):
        entry = self._queues[queue].entries[publisher, number] = Entry(publisher, number, self.life, withdrawn)
        return entry

    def committing(self, messages):
        with self._lock:
            for entry in (entry for message in messages for entry in message):
                entry.withdrawn = False

    def confirmed(self, messages):
        """Each message as `publishing` returned it: an entry in each of its queues."""
        with self._lock:
            for message in messages:
                self.counts["confirmed"] += 1
                for entry in message:
                    entry.confirmed = True

    def refused(self, count):
        with self._lock:
            self.counts["refused"] += count

    # --- consumers ---

    def delivered(self, queue, consumer, content, alone=False):
        """Judges a delivery and returns its entry; None for a message that should not be there."""
        with self._lock:
            self.counts["delivered"] += 1
            sender = letters.sender(content.body)
            if not sender:
                return self._contradict("phantom", f"{queue}: a body nobody wrote: {content.body[:60]!r}")
            entry = self._queues[queue].entries.get(sender)
            if not entry:
                gone = sender[1] < self._queues[queue].closed[sender[0]]
                return self._contradict(
                    "late" if gone else "phantom", f"{queue}: {sender[0]} {sender[1]} to {consumer}"
                )
            self._judge(queue, consumer, content, entry, alone)
            if self._stopping and entry.acked and abs(entry.seen) == self.life:
                return entry  # this delivery may be the earlier one
            entry.seen, entry.acked, entry.answered = self.life, False, None
            return entry

    def _judge(self, queue, consumer, content, entry, alone):
        def contradict(rule, why=""):
            self._contradict(rule, f"{queue}: {entry} to {consumer} in life {self.life}{why}")

        if entry.withdrawn:
            contradict("phantom")
        expected = letters.body(entry.publisher, entry.number), letters.properties(entry.publisher, entry.number)
        if (content.body, letters.without_headers(content.properties)) != expected:
            contradict("phantom", f", changed: {content.properties!r}, {len(content.body)} bytes")
        if not self._stopping:
            self._order(self._queues[queue], consumer, content, entry, alone, contradict)
        if entry.acked and abs(entry.seen) != self.life:
            self.counts["duplicates"] += 1
            if self._written(entry):
                contradict("late")

    def _written(self, entry):
        if not entry.answered:
            return False
        life, moment = entry.answered
        end = self._ends[life]
        return end == float("inf") or self.grace is not None and end - moment > self.grace

    def _order(self, queue, consumer, content, entry, alone, contradict):
        if entry.seen and not content.redelivered:
            contradict("unmarked")
        if not entry.seen and content.redelivered and entry.life == self.life:
            contradict("marked")
        if entry.seen == self.life:
            contradict("twice")
        if abs(entry.seen) != self.life:
            before = queue.latest.get((consumer, entry.publisher), -1)
            if entry.number < before:
                contradict("disordered", f", after {before}")
            queue.latest[consumer, entry.publisher] = entry.number
        if alone and not entry.seen:
            before = queue.newest.get(entry.publisher, -1)
            if entry.number < before:
                contradict("disordered", f", after {before} in an earlier life")
            queue.newest[entry.publisher] = max(before, entry.number)

    def acking(self, entries):
        """Before an ack is sent."""
        with self._lock:
            self.counts["acked"] += len(entries)
            for entry in entries:
                entry.acked = True

    def returning(self, entry):
        """Before a message is given back to its queue."""
        with self._lock:
            entry.seen = -abs(entry.seen)

    def answered(self, entries):
        """These acks were sent, and a method after them was answered now."""
        with self._lock:
            now = self.life, time.monotonic()
            for entry in entries:
                entry.answered = now

    # --- whole queues ---

    def emptying(self, queue):
        """Before a purge or deletion is sent: from here on everything in the queue may go."""
        with self._lock:
            for entry in self._queues[queue].entries.values():
                entry.confirmed = False

    def purged(self, queue):
        with self._lock:
            now = self.life, time.monotonic()
            for entry in self._queues[queue].entries.values():
                entry.acked, entry.answered = True, now

    def deleted(self, queue):
        with self._lock:
            self._queues[queue].close()

    def drained(self, queue):
        """The queue is empty and everything it held was delivered and acknowledged."""
        with self._lock:
            for entry in self._queues[queue].entries.values():
                if entry.confirmed and not entry.acked:
                    self._contradict("lost", f"{queue}: {entry}")
            self._queues[queue].close()

    # --- definitions ---

    def forgotten(self, what):
        with self._lock:
            self._contradict("forgotten", what)

    def _contradict(self, rule, what):
        self.counts[rule] += 1
        if self.counts[rule] <= SHOWN:
            self.contradictions.append(f"{rule}: {what}")

    @property
    def sound(self):
        return not any(self.counts[rule] for rule in RULES)
