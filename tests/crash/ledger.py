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
* **outranked**: from a queue that nobody publishes to, a message comes before one of a higher priority.
* **early**: a message comes before its delay is over, or is dead-lettered before its time to live is.
* **stale**: a message whose time to live is over is delivered.
* **uncounted**: the delivery count is lower than how often the message was returned, certainly written.
* **displaced**: a confirmed message of a stream has another offset than before.

A message that is moved when its time comes, from where it is delayed or out of the queue where it expires, is for a
moment in both places, and after a kill may be left in both. What was moved less than `UNDER_WAY` before a kill is not
judged by *unmarked*, *twice* and *late*.

A broker that stops in good order closes one connection after the other, and what it takes back from one it may give
to another; nor do two clients read in the order in which the broker wrote. From then on *disordered*, *unmarked*,
*marked* and *twice* are not judged.

Which ack was certainly written the protocol does not say. Here: when the broker answered a later method on the
ack's channel, and lived on for `grace` seconds.
"""

import copy
import threading
import time
from collections import Counter, defaultdict

from crash import letters

RULES = ("lost", "phantom", "disordered", "unmarked", "marked", "twice", "late", "forgotten")
RULES += ("outranked", "early", "stale", "uncounted", "displaced")
UNDER_WAY = 300  # milliseconds
READ = 500  # milliseconds that a delivery may take from the broker to the ledger
SHOWN = 10  # contradictions of a kind that are told in full


class Entry:
    """A message in one queue."""

    __slots__ = (
        *("publisher", "number", "life", "confirmed", "withdrawn", "seen", "acked", "answered"),
        *("due", "count", "returns", "offset"),
    )

    def __init__(self, publisher, number, life, withdrawn, due=None):
        self.publisher, self.number = publisher, number
        self.life = life  # in which it was published
        self.withdrawn = withdrawn  # in a transaction that is not committed
        self.confirmed = False
        self.seen = 0  # the life of its latest delivery; 0 never, negative if it was given back since
        self.acked = False  # an ack was sent
        self.answered = None  # (life, moment) from which on that ack was processed
        self.due = due  # when its delay or its time to live is over, or a little later: milliseconds since 1970
        self.count = 0  # deliveries before the latest, as that one said
        self.returns = ()  # of those returns that were answered: (count from then on, life, moment)
        self.offset = None  # in a stream

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
    """Shared by all clients. `grace` None: an ack is only certain when the broker stopped in good order. `counting`:
    whether the broker counts the deliveries of a message in queues of every type."""

    def __init__(self, grace, counting=True):
        self.grace = grace
        self.counting = counting
        self.life = 0
        self._stopping = False
        self.counts = Counter()
        self.contradictions = []
        self._ends = {}  # of each life: when the broker was killed, infinity if it was stopped
        self._spans = {}  # of each life: from when on clients could connect, and when it was killed; since 1970
        self._queues = defaultdict(Queue)
        self._lock = threading.Lock()

    # --- lives ---

    def begin(self):
        with self._lock:
            self.life += 1
            self._stopping = False
            for queue in self._queues.values():
                queue.latest.clear()

    def ready(self):
        """Clients can connect."""
        with self._lock:
            self._spans[self.life] = milliseconds(), None

    def stopping(self):
        """Before the broker is asked to stop."""
        with self._lock:
            self._stopping = True

    def end(self, killed):
        """At this moment, or in good order (None)."""
        with self._lock:
            self._ends[self.life] = killed or float("inf")
            if killed:
                begun, now = self._spans.get(self.life, (None, None))[0], milliseconds()
                self._spans[self.life] = begun or now, now

    # --- backups ---

    def remember(self):
        """What is certain now, for `as_of`."""
        with self._lock:
            entries = {
                (queue, key): (entry.confirmed, entry.seen, entry.acked, entry.answered, entry.returns, entry.offset)
                for queue, account in self._queues.items()
                for key, entry in account.entries.items()
            }
            return time.monotonic(), milliseconds(), entries

    def as_of(self, memory):
        """The ledger for what was copied at that moment of the latest life or a little later: as if that had been
        its end, but that what came later may be there, too."""
        moment, since_1970, entries = memory
        then = Ledger(self.grace, self.counting)
        then.life, then._ends, then._spans = self.life, {**self._ends}, {**self._spans}
        then._ends[self.life] = moment
        then._spans[self.life] = self._spans[self.life][0], since_1970
        for name, queue in self._queues.items():
            then._queues[name].closed.update(queue.closed)
            for key, entry in queue.entries.items():
                entry = copy.copy(entry)
                then._queues[name].entries[key] = entry
                acked, before = entry.acked, entries.get((name, key), (False, 0, False, None, (), None))
                entry.confirmed, entry.seen, entry.acked, entry.answered, entry.returns, entry.offset = before
                entry.acked |= acked  # that ack may be in the copy
        return then

    def add(self, other, what):
        """Contradictions that another one found."""
        for rule in RULES:
            self.counts[rule] += other.counts[rule]
        self.contradictions += [f"{what}: {contradiction}" for contradiction in other.contradictions]

    # --- publishers ---

    def publishing(self, queues, publisher, number, withdrawn=False, lasts=None):
        """`lasts`: milliseconds of its delay or its time to live."""
        due = milliseconds() + lasts if lasts else None
        with self._lock:
            self.counts["published"] += 1
            return [self._enter(queue, publisher, number, withdrawn, due) for queue in queues]

    def _enter(self, queue, publisher, number, withdrawn, due):
        entry = self._queues[queue].entries[publisher, number] = Entry(publisher, number, self.life, withdrawn, due)
        return entry

    def knows(self, queue, publisher, number):
        """Whether the message may still come."""
        with self._lock:
            return (publisher, number) in self._queues[queue].entries

    def resending(self, queue, publisher, number):
        """The entry of a message that is published again under its id; none when its queue was closed. One that was
        not confirmed, and did not come in this life, may not be there: it may come as new."""
        with self._lock:
            entry = self._queues[queue].entries.get((publisher, number))
            if entry and not entry.confirmed and entry.seen != self.life:
                entry.seen, newest = 0, self._queues[queue].newest
                newest[publisher] = min(newest.get(publisher, 0), number - 1)
            return [entry] if entry else []

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

    def delivered(self, queue, consumer, content, alone=False, expired=False):
        """Judges a delivery and returns its entry; None for a message that should not be there. `expired`: it came
        from where this queue's expired messages go."""
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
            self._judge(queue, consumer, content, entry, alone, expired)
            if self._stopping and entry.acked and abs(entry.seen) == self.life:
                return entry  # this delivery may be the earlier one
            entry.seen, entry.acked, entry.answered = self.life, False, None
            return entry

    def _judge(self, queue, consumer, content, entry, alone, expired):
        def contradict(rule, why=""):
            self._contradict(rule, f"{queue}: {entry} to {consumer} in life {self.life}{why}")

        if entry.withdrawn:
            contradict("phantom")
        self._compare(content, entry, contradict)
        if entry.due is not None:
            self._time(content, entry, expired, contradict)
        elif not self._stopping:
            self._order(self._queues[queue], consumer, content, entry, alone, contradict)
        self._count(content, entry, contradict)
        if entry.acked and abs(entry.seen) != self.life:
            self.counts["duplicates"] += 1
            if entry.answered and self._certain(*entry.answered) and not self._under_way(entry):
                contradict("late")

    def _compare(self, content, entry, contradict):
        expected = letters.body(entry.publisher, entry.number), letters.properties(entry.publisher, entry.number)
        if (content.body, letters.without_headers(content.properties)) != (
            expected[0],
            letters.without_headers(expected[1]),
        ):
            contradict("phantom", f", changed: {content.properties!r}, {len(content.body)} bytes")

    def _certain(self, life, moment):
        """Whether what was answered then was written before that life ended."""
        end = self._ends.get(life)
        return end == float("inf") or bool(end and self.grace is not None and end - moment > self.grace)

    def _time(self, content, entry, expired, contradict):
        """Of a message with a delay, or a time to live: its order follows from that."""
        late = milliseconds() - entry.due
        if late < 0 and (expired or not entry.publisher.startswith(letters.BRIEF)):
            contradict("early", f", by {-late} ms")
        if late > READ and not expired and entry.publisher.startswith(letters.BRIEF):
            contradict("stale", f", by {late} ms")
        if entry.seen == self.life and not self._stopping and not self._under_way(entry):
            contradict("twice")

    def _under_way(self, entry):
        """Whether a kill may have left a message in two places."""
        if entry.due is None:
            return False
        spans = [self._spans.get(life, (0, None)) for life in range(entry.life, self.life)]
        return any(end and 0 <= end - max(entry.due, begun) < UNDER_WAY for begun, end in spans)

    def _count(self, content, entry, contradict):
        entry.count = letters.header(content.properties, "x-delivery-count") or 0
        sure = [count for count, life, moment in entry.returns if life == self.life or self._certain(life, moment)]
        if self.counting and entry.count < max(sure, default=0):
            contradict("uncounted", f": {entry.count} instead of {max(sure)}")

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

    def returned(self, entries):
        """These were given back, and a method after that was answered now; each with its count from then on."""
        with self._lock:
            for entry, count in entries:
                entry.returns = (*entry.returns, (count, self.life, time.monotonic()))

    def answered(self, entries):
        """These acks were sent, and a method after them was answered now."""
        with self._lock:
            now = self.life, time.monotonic()
            for entry in entries:
                entry.answered = now

    def outranked(self, what):
        with self._lock:
            self._contradict("outranked", what)

    # --- streams ---

    def read(self, queue, reader, content):
        """Judges a message of a stream, of which a reading begins with `reading`; its entry, if there is one."""
        with self._lock:
            self.counts["delivered"] += 1
            sender, offset = letters.sender(content.body), letters.header(content.properties, "x-stream-offset")
            entry = sender and self._queues[queue].entries.get(sender)
            if not entry:
                return self._contradict("phantom", f"{queue}: {content.body[:60]!r} at {offset} to {reader}")

            def contradict(rule, why):
                self._contradict(rule, f"{queue}: {entry} at {offset} to {reader} in life {self.life}, {why}")

            self._compare(content, entry, contradict)
            latest = self._queues[queue].latest
            for key, place in (((reader, entry.publisher), entry.number), ((reader, ""), offset)):
                if place <= latest.get(key, -1):
                    contradict("disordered", f"after {latest[key]}")
                latest[key] = place
            if entry.confirmed and entry.offset not in (None, offset):
                contradict("displaced", f"before at {entry.offset}")
            entry.offset = offset
            return entry

    def reading(self, queue, reader):
        """A reader begins at the beginning."""
        with self._lock:
            latest = self._queues[queue].latest
            for key in [key for key in latest if key[0] == reader]:
                del latest[key]

    # --- whole queues ---

    def last_due(self):
        """When the last delay or time to live is over, in milliseconds since 1970."""
        with self._lock:
            entries = (entry for queue in self._queues.values() for entry in queue.entries.values())
            return max((entry.due for entry in entries if entry.due), default=0)

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


def milliseconds():
    """Since 1970, as the broker reckons."""
    return time.time_ns() // 1_000_000
