"""A trial: rounds of upheavals among processes that share a directory, each followed by a calm time, and counts."""

import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from failover import plan
from failover.judge import RULES, Judge
from failover.member import Member
from support.locks import holder

# What happens in a round, by weight.
UPHEAVALS = {
    "kill host": 5,
    "kill hosts in a row": 2,
    "close host": 4,
    "stop host": 1,
    "kill client": 3,
    "close client": 3,
    "stop client": 2,
    "kill half": 1,
    "close half": 1,
    "kill all": 0.3,
}
ROW = 0.05  # seconds at most between two kills in a row
STOP = 2.0  # seconds that a process is stopped at most
CALM = 0.3  # seconds that a calm time lasts at most
LEAVE = 30  # seconds in which a process that is told to ends by itself
LOOK = 0.03  # seconds between two looks at the notes


class Failed(Exception):
    """The trial cannot go on."""


@dataclass
class Trial:
    """`bound`: seconds in which everybody is to come on after an upheaval. `pause`: rounds between two counts."""

    root: Path
    rounds: int
    seed: int
    bound: float = 30.0
    pause: int = 25
    upheavals: tuple = tuple(UPHEAVALS)
    despite: tuple = ()  # rules that are counted, and do not end the trial
    parts: list = field(default_factory=plan.cast)
    tell: object = print
    round: int = 0
    pauses: dict = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self):
        self.chance = random.Random(self.seed)
        self.judge = Judge(plan.ORDERED)
        self.directory = self.root / "queues"
        for name in ("notes", "logs"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.members = {}  # by their parts' names: who is to be here
        self.past = []  # those that are leaving, or are gone with notes unread
        self.lives = defaultdict(int)
        self.host_ended, self.disturbed = 0.0, 0.0  # when the last host was ended; when the last upheaval was over
        self.left = None  # the last host, if it ends by itself
        self._early = []  # notes that are newer than the last look
        self.took, self.begun = [], 0.0  # what happened in this round, and when it began

    def run(self):
        """Returns itself, with what was seen."""
        try:
            while self.round < self.rounds and self.sound:
                self._play()
                if self.round % self.pause == 0 or self.round == self.rounds:
                    self._count()
            if self.sound:
                self._drain()  # nothing may come that was not there before
        except Failed as reason:
            self.tell(f"round {self.round} ({', '.join(self.took)}): {reason}")
        finally:
            for member in (*self.members.values(), *self.past):
                if member.alive:
                    member.kill()
        return self

    # --- a round ---

    def _play(self):
        self.round += 1
        self.took, self.begun = [], time.monotonic()
        self._complete()
        for what in self.chance.choices(
            self.upheavals, [UPHEAVALS[what] for what in self.upheavals], k=self.chance.choice((1, 1, 1, 2, 3))
        ):
            self.took.append(what)
            self.judge.calm(None)
            getattr(self, f"_{what.replace(' ', '_')}")()
            if self.chance.random() < 0.5:
                self._complete()
            time.sleep(self.chance.uniform(0, ROW))
        self._complete()
        self.disturbed = time.monotonic()
        self._settle()
        time.sleep(self.chance.uniform(0, CALM))
        self._gather()
        if self.round % 10 == 0:
            self.tell(f"{self.round} rounds: {self.told()}")

    def _complete(self):
        """Starts whoever is missing."""
        for part in self.chance.sample(self.parts, len(self.parts)):
            member = self.members.get(part.name)
            if member is None or not member.alive:
                if member is not None:
                    self._fallen(member)
                if not any(one.part is part and one.alive for one in self.past):
                    self._start(part)

    def _start(self, part):
        self.lives[part.name] += 1
        options = {"url": f"local:{self.directory}", "timeout": self.bound, "topology": plan.TOPOLOGY}
        self.members[part.name] = Member(part, self.lives[part.name], self.root, options)

    def _settle(self):
        """Waits until everybody has come on since the upheaval, and has told that the host was another."""
        deadline = time.monotonic() + self.bound
        while troubles := list(self._troubles()):
            if time.monotonic() > deadline:
                for rule, what in troubles:
                    self.judge.contradict(rule, f"{what}, {self.bound:.0f} s after round {self.round}")
                raise Failed(f"the host is {holder(self.directory)}")
            if not self.sound:
                raise Failed("see below")
            time.sleep(LOOK)
            self._complete()
            self._gather()
        since = time.monotonic()
        self.judge.calm(since)
        ended = max(self.host_ended, self.left.closing if self.left else 0.0)
        told = [self.judge.reconnected[member.id] - ended for member in self._survivors()]
        if told and len(self.took) == 1 and self.host_ended > self.begun:
            self.pauses[self.took[0]].append(max(told))

    def _troubles(self):
        for member in self.past:
            if member.alive:
                yield "stuck", f"{member.id} (process {member.pid}) does not end"
        for member in self.members.values():
            what = f"{member.id} (process {member.pid})"
            if not member.ready:
                yield "stuck", f"{what} is not ready"
                continue
            for role in member.progressive:
                if self.judge.progress.get((member.id, role), 0) < self.disturbed:
                    yield "stuck", f"{role} of {what} does nothing"
        for member in self._survivors():
            if self.judge.reconnected.get(member.id, 0) < self.host_ended:
                yield "unheard", f"{member.id} (process {member.pid})"

    def _survivors(self):
        """Those that lost a host, and were there before."""
        return [one for one in self.members.values() if one.opened and one.opened < self.host_ended]

    # --- upheavals ---

    def _host(self):
        """Who hosts now, if it is one of us that is not leaving."""
        process = holder(self.directory)
        return next((one for one in self.members.values() if one.pid == process and one.alive), None)

    def _clients(self):
        """All that do not host, and can be told to leave, in any order."""
        host = self._host()
        clients = [one for one in self.members.values() if one is not host and one.ready and one.alive]
        return self.chance.sample(clients, len(clients))

    def _kill(self, member):
        at, host = time.monotonic(), holder(self.directory)
        member.kill()
        if host in (member.pid, None):
            self.host_ended, self.left = at, None
            self.judge.killed_host(time.monotonic())
        self._record(at, "killed", member, host)
        self._fallen(member)

    def _record(self, at, what, member, host):
        """A line for people."""
        with (self.root / "upheavals").open("a") as file:
            file.write(f"{at:.6f} round {self.round}: {member.id} is {what}; the host is {host}, it is {member.pid}\n")

    def _close(self, member):
        if not member.ready:
            return
        if (host := holder(self.directory)) == member.pid:
            self.host_ended, self.left = time.monotonic(), member
        self._record(time.monotonic(), "closed", member, host)
        del self.members[member.part.name]
        self.past.append(member)
        member.leave(at_once=self.chance.random() < 0.5)

    def _stop(self, *members, meanwhile=lambda: None):
        since = time.monotonic()
        for member in members:
            self._record(time.monotonic(), "stopped", member, holder(self.directory))
            member.stop()
        meanwhile()
        time.sleep(self.chance.uniform(0.1, STOP))
        for member in members:
            member.go_on()
            self.judge.stopped(member.id, time.monotonic() - since)

    def _kill_host(self):
        if host := self._host():
            self._kill(host)

    def _kill_hosts_in_a_row(self):
        for _ in range(self.chance.randint(2, 4)):
            self._kill_host()
            time.sleep(self.chance.uniform(0, ROW))

    def _close_host(self):
        if host := self._host():
            self._close(host)

    def _stop_host(self):
        if host := self._host():
            self._stop(host)

    def _kill_client(self):
        for client in self._clients()[:1]:
            self._kill(client)

    def _close_client(self):
        for client in self._clients()[:1]:
            self._close(client)

    def _stop_client(self):
        """Now and then the host ends meanwhile."""
        clients = self._clients()[: self.chance.randint(1, 4)]
        self._stop(*clients, meanwhile=self._kill_host if self.chance.random() < 0.4 else lambda: None)

    def _kill_half(self):
        for member in self.chance.sample(list(self.members.values()), len(self.members) // 2):
            self._kill(member)

    def _close_half(self):
        for member in self.chance.sample(list(self.members.values()), len(self.members) // 2):
            self._close(member)

    def _kill_all(self):
        for member in self.chance.sample(list(self.members.values()), len(self.members)):
            self._kill(member)

    # --- counts ---

    def _count(self):
        """Has everybody leave, and sees what is left."""
        self.judge.calm(None)
        if self.chance.random() < 0.3:
            self._kill_all()
        else:
            for member in self.chance.sample(list(self.members.values()), len(self.members)):
                self._close(member)
        self._until_gone()
        self._drain()
        self.tell(f"counted after {self.round} rounds: {self.told()}")

    def _until_gone(self):
        deadline = time.monotonic() + LEAVE
        while alive := [member for member in self.past if member.alive]:
            if time.monotonic() > deadline:
                for member in alive:
                    self.judge.contradict("stuck", f"{member.id} (process {member.pid}) does not end")
                raise Failed("while all were to end")
            time.sleep(LOOK)
            self._gather()

    def _drain(self):
        part = plan.Part("drain", "python", ())
        options = {"url": f"local:{self.directory}", "timeout": self.bound, "topology": plan.TOPOLOGY, "drain": True}
        self.lives["drain"] += 1
        member = Member(part, self.lives["drain"], self.root, options)
        member.leaving = time.monotonic()
        self.past.append(member)
        self._until_gone()
        self._gather()

    # --- what is known ---

    def _fallen(self, member):
        """Takes leave of a process that is gone."""
        if self.members.get(member.part.name) is member:
            del self.members[member.part.name]
            self.past.append(member)

    def _gather(self):
        """Has the judge look at what was noted. A note may only be judged when those before it are there."""
        until = time.monotonic()
        gone = [member for member in self.past if not member.alive]
        for member in (*self.past, *self.members.values()):
            for at, role, what, *details in member.notes():
                member.heard(at, what)
                self._early.append((at, member.id, role, what, details))
        self._early.sort(key=lambda note: note[0])
        count = sum(at <= until for at, *_ in self._early)
        now, self._early = self._early[:count], self._early[count:]
        for at, member, role, what, details in now:
            self.judge.note(member, at, role, what, *details)
        for member in gone:
            self._look_at_end(member)
            self.past.remove(member)
            self.judge.gone(member.id)
        self.judge.overdue(until)

    def _look_at_end(self, member):
        status = member.process.returncode
        if member.leaving and (status != 0 or not member.ended) or not member.leaving and status != -9:
            what = "as it was told to" if member.leaving else "by itself"
            self.judge.contradict("broken", f"{member.id} ended {what} with status {status}:\n{member.last_words()}")

    def told(self):
        counts = self.judge.counts
        words = ("messages", "take", "again", "answer", "failed calls", "reconnected", *RULES)
        return ", ".join(f"{counts[word]} {word}" for word in words if counts[word])

    @property
    def sound(self):
        return not any(self.judge.counts[rule] for rule in RULES if rule not in self.despite)

    @property
    def passed(self):
        return self.sound and self.round == self.rounds

    def report(self):
        """A table for people."""
        counts = self.judge.counts
        rows = {"seed": self.seed, "rounds": self.round, "processes": sum(self.lives.values())}
        rows |= {"confirmed": counts["messages"], "taken": counts["take"], "taken again": counts["again"]}
        rows |= {"calls": counts["call"], "failed calls": counts["failed calls"], "reconnected": counts["reconnected"]}
        rows |= {rule: counts[rule] for rule in RULES}
        for what, lasted in sorted(self.pauses.items()):
            rows[f"after {what}"] = f"{median(lasted) * 1000:.0f} / {max(lasted) * 1000:.0f} ms"
        lines = [f"| {name:26} | {value!s:>14} |" for name, value in rows.items()]
        return "\n".join([*lines, *self.judge.contradictions])
