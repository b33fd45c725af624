"""All that the members noted, and what of it must not be.

* **lost**: a message was confirmed, nobody saw it, and it is not there when the queues are drained.
* **dropped**: one that is not persistent was skipped, though no host was killed since: those that are closed hand over,
  save the last one.
* **unrouted**: a message was confirmed though a queue that it belongs to did not take it.
* **doubled**: a message comes as new for the second time; or to a process that has had it before; or it comes again
  in a calm time though nobody gave it back.
* **late**: a message comes again though its ack was certainly written, or it was taken when all was drained.
* **phantom**: a message that nobody published, or whose content differs.
* **disordered**: a queue's lone consumer gets a publisher's messages, each for the first time, in another order.
* **stuck**: a role makes no progress within the time allowed after the last upheaval.
* **unheard**: a process lost its host, and its listener was not called with `reconnected`.
* **overdue**: a call neither answered nor failed by its time-out.
* **wrong**: a call was answered wrongly, or failed for another reason than a host or a server that went.
* **broken**: anything else failed, or a process ended by itself or badly.

A message that comes again is marked as redelivered, always: a host that takes over marks all that it finds. A process
that is slow may note a message after others have had it again, which is why only its own notes are in order.

An ack is certainly written when its consumer has had as many messages after it as it may hold, in one calm time, and no
host was killed from the ack until `GRACE` seconds later.
"""

from collections import Counter, defaultdict, deque

GRACE = 1.0  # seconds in which a host writes the acks that it was told
SLACK = 3.0  # seconds beyond its time-out that a busy machine may make a call take
ALLOWED = {"TIMEOUT", "CLOSED", "NO_ROUTE", "UNROUTABLE"}  # of calls whose host or server goes
RULES = ("lost", "dropped", "unrouted", "doubled", "late", "phantom", "disordered")
RULES += ("stuck", "unheard", "overdue", "wrong", "broken")
SHOWN = 10  # contradictions of a kind that are told in full
PROGRESS = {"confirmed", "take", "answer", "echo"}


class Entry:
    """A message in one queue."""

    __slots__ = (
        "number",
        "at",
        "persistent",
        "confirmed",
        "takers",
        "fresh",
        "acked",
        "written",
        "latest",
        "given_back",
    )

    def __init__(self, number, at, persistent):
        self.number, self.at, self.persistent = number, at, persistent
        self.confirmed = False
        self.takers = set()
        self.fresh = 0  # how often it came unmarked
        self.acked = self.written = None  # when; only until it comes again
        self.latest = None  # when it came last
        self.given_back = False


class Consumer:
    """A consumer, and what it has acked while it is not certain that the host knows."""

    def __init__(self, prefetch):
        self.prefetch, self.uncertain = prefetch, deque()


class Judge:
    """Gets notes in the order of their times, save that one process may be late with them."""

    def __init__(self, ordered):
        self.ordered = ordered  # queues
        self.counts = Counter()
        self.contradictions = []
        self.progress = {}  # by (member, role): when it last came on
        self.reconnected = {}  # by member: when it was last told so
        self.kills = [0.0]  # when hosts were killed
        self._queues = defaultdict(dict)  # by name: entries by (publisher, number)
        self._newest = {}  # by (queue, publisher): the greatest number seen
        self._consumers = defaultdict(dict)  # by member and role
        self._calls = {}  # by (member, role, number): (since, timeout, what it had been stopped for)
        self._stopped = Counter()  # by member: seconds
        self._closed = set()  # (queue, publisher) whose messages are all gone
        self._calm = None  # since when

    # --- what the coordinator knows ---

    def killed_host(self, at):
        self.kills.append(at)

    def stopped(self, member, seconds):
        """It was stopped for so long, and goes on."""
        self._stopped[member] += seconds

    def calm(self, since):
        """From then on nothing happens to anybody, until it is called with None."""
        self._calm = since
        for consumers in self._consumers.values():
            for consumer in consumers.values():
                consumer.uncertain.clear()

    def contradict(self, rule, what):
        self.counts[rule] += 1
        if self.counts[rule] <= SHOWN:
            self.contradictions.append(f"{rule}: {what}")

    def overdue(self, now):
        """Looks for calls that should have ended by now; each is told once."""
        for key, (since, timeout, stopped) in list(self._calls.items()):
            if now - since - (self._stopped[key[0]] - stopped) > timeout + SLACK:
                self.contradict("overdue", f"call {key[2]} of {key[1]} since {now - since:.1f} s")
                del self._calls[key]

    def gone(self, member):
        """Its process has ended: what it was about to do is no longer expected."""
        for key in [key for key in self._calls if key[0] == member]:
            del self._calls[key]
        for key in [key for key in self.progress if key[0] == member]:
            del self.progress[key]
        self._consumers.pop(member, None)

    # --- what the members note ---

    def note(self, member, at, role, what, *details):
        self.counts[what] += 1
        if what in PROGRESS:
            self.progress[member, role] = at
        if handle := getattr(self, f"_note_{what}", None):
            handle(member, at, role, *details)

    def _note_reconnected(self, member, at, _):
        self.reconnected[member] = at

    def _note_failed(self, member, at, role, code, text):
        self.contradict("broken", f"{role or member}: {code}: {text}")

    def _note_publish(self, member, at, publisher, first, last, queues, persistent):
        for queue in queues:
            for number in range(first, last + 1):
                self._queues[queue][publisher, number] = Entry(number, at, persistent)

    def _note_confirmed(self, member, at, publisher, first, last, unrouted):
        self.counts["messages"] += last + 1 - first
        for index in unrouted:
            self.contradict("unrouted", f"{publisher} {first + index}")
        for entries in self._queues.values():
            for number in range(first, last + 1):
                if entry := entries.get((publisher, number)):
                    entry.confirmed = True

    def _note_consume(self, member, at, role, queue, prefetch):
        self._consumers[member][role] = Consumer(prefetch)

    def _note_take(self, member, at, role, queue, publisher, number, redelivered, back):
        what = f"{publisher} {number} of {queue} to {role}"
        if (queue, publisher) in self._closed:
            return self.contradict("late", f"{what}, after all was drained")
        entry = self._queues[queue].get((publisher, number))
        if not entry:
            return self.contradict("phantom", what)
        if not entry.takers and queue in self.ordered:
            self._order(queue, publisher, number, what)
        self._repeat(member, at, entry, redelivered, what)
        entry.takers.add(member)
        entry.fresh += not redelivered
        entry.latest, entry.given_back = at, back
        entry.acked, entry.written = None if back else at, None
        self._write(self._consumers[member].get(role), at, entry)

    def _order(self, queue, publisher, number, what):
        newest = self._newest.get((queue, publisher), 0)
        if number < newest:
            self.contradict("disordered", f"{what}, after {newest}")
        for skipped in range(newest + 1, number):
            entry = self._queues[queue].get((publisher, skipped))
            if entry and not entry.persistent and self.kills[-1] < entry.at:
                self._missing("dropped", queue, publisher, entry)
        self._newest[queue, publisher] = max(newest, number)

    def _missing(self, rule, queue, publisher, entry):
        if entry.confirmed and not entry.takers:
            self.contradict(rule, f"{publisher} {entry.number} of {queue}, published at {entry.at:.3f}")

    def _repeat(self, member, at, entry, redelivered, what):
        self.counts["again"] += bool(entry.takers)
        if not redelivered and (entry.fresh or member in entry.takers):
            self.contradict("doubled", f"{what}, as new")
        elif entry.takers and not entry.given_back and self._calm is not None and entry.latest > self._calm:
            self.contradict("doubled", f"{what}, in a calm time")
        elif entry.written and not any(entry.acked <= kill <= entry.written + GRACE for kill in self.kills):
            self.contradict("late", f"{what}, {at - entry.acked:.1f} s after its ack")

    def _write(self, consumer, at, entry):
        """An ack is known to the host when the consumer has had as many messages since as it may hold."""
        if not consumer or self._calm is None or at < self._calm:
            return
        consumer.uncertain.append((entry, at))
        if len(consumer.uncertain) > consumer.prefetch:
            known, since = consumer.uncertain.popleft()
            if known.acked == since:
                known.written = at

    def _note_call(self, member, at, role, number, timeout):
        self._calls[member, role, number] = at, timeout, self._stopped[member]

    def _note_answer(self, member, at, role, number, error, text=""):
        since, timeout, stopped = self._calls.pop((member, role, number), (at, 0, 0))
        lasted = at - since - (self._stopped[member] - stopped)
        if error:
            self.counts["failed calls"] += 1
        if error and error not in ALLOWED:
            self.contradict("wrong", f"call {number} of {role}: {error} {text}")
        if lasted > timeout + SLACK and timeout:
            self.contradict("overdue", f"call {number} of {role} lasted {lasted:.1f} s")

    def _note_echo(self, member, at, role, publisher, number):
        if publisher != role:
            self.contradict("phantom", f"{publisher} {number} to {role}, who owns the queue alone")

    def _note_drained(self, member, at, _, queue):
        for (publisher, _), entry in self._queues.pop(queue, {}).items():
            self._closed.add((queue, publisher))
            if entry.persistent:
                self._missing("lost", queue, publisher, entry)
