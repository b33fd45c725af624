"""A trial: start, load, kill, again and again, and now and then a count."""

import random
import threading
import time
from dataclasses import dataclass, field

from crash import kinds, load
from crash.client import Client
from crash.ledger import RULES, Ledger
from crash.subject import START
from crash.upheaval import Definitions, Turnover
from support.frames import Closed

# When a life ends, by weight: under the steady load, also under clients that turn queues or definitions over, while
# the broker stops after SIGTERM, or soon after its start, once or more, with load from earlier lives to recover; under
# a load of queues of special kinds; after a backup was made of it under either load.
MOMENTS = {"load": 4, "turnover": 2, "definitions": 2, "stopping": 1, "recovery": 2, "kinds": 5, "backup": 1}
LONGEST = 0.4  # seconds of load before a kill; the shortest are 5 ms
LONGER = 8  # times as long is one in twenty, so that more is sealed, removed and left behind
OFTEN = 0.25  # of the lives of special queues are, as what is promised of some is certain after a second only
JOIN = 40  # seconds in which a client notices that its broker is gone


class Hand(threading.Thread):
    """A client at work, until the broker is gone. `error` is what ended it otherwise."""

    def __init__(self, role, broker, ledger, lined_up):
        super().__init__(name=getattr(role, "name", type(role).__name__), daemon=True)
        self.role, self.ledger, self.lined_up, self.error = role, ledger, lined_up, None
        self.client = Client(broker)

    def run(self):
        try:
            with self.client:
                self.lined_up.wait()
                self.role.work(self.client, self.ledger)
        except Closed:
            pass
        except Exception as error:
            self.error = error


@dataclass
class Trial:
    """`pause` is the number of kills between two counts; `moments` those of MOMENTS that are chosen from. `tell` gets
    a line for each life."""

    subject: object
    kills: int
    seed: int
    pause: int = 20
    moments: tuple = tuple(MOMENTS)
    tell: object = print
    killed: int = 0
    backups: int = 0
    longest: float = 0.0  # seconds from a start to the first open channel
    failures: list = field(default_factory=list)

    def __post_init__(self):
        self.chance = random.Random(self.seed)
        self.ledger = Ledger(self.subject.grace, self.subject.counting)
        self.turnover = Turnover(load.TURNED, self.chance)
        self.definitions = Definitions()
        self.roles = load.clients(self.chance)
        self.special = kinds.clients(self.chance) if self.subject.kinds else []
        if not self.special:
            self.moments = tuple(moment for moment in self.moments if moment not in ("kinds", "backup"))
        self.starts = []
        self.broker = None

    def run(self):
        """Returns itself, with what was seen."""
        try:
            while self.killed < self.kills and not self.failures:
                for _ in range(self.pause):
                    if self.killed < self.kills and not self.failures:
                        self._life()
                self._count()
            if not self.failures:
                self._count()  # nothing may come that was not there before
        except Exception as error:
            self.failures.append(f"life {self.ledger.life}: {type(error).__name__}: {error}")
            self.failures += self.broker.output if self.broker else []
        finally:
            if self.broker and self.broker.alive:
                self.broker.kill()
        return self

    @property
    def passed(self):
        return self.ledger.sound and not self.failures

    # --- a life ---

    def _life(self):
        moment = self.chance.choices(self.moments, [MOMENTS[moment] for moment in self.moments])[0]
        if moment == "recovery":
            for _ in range(self.chance.randint(1, 3)):
                self._stillbirth()
        self._start()
        special = moment == "kinds" or moment == "backup" and self.chance.random() < 0.5
        roles = self.special if special else self.roles
        roles = roles + [self.turnover] * (moment == "turnover") + [self.definitions] * (moment == "definitions")
        lined_up = threading.Barrier(len(roles) + 1)
        hands = [Hand(role, self.broker, self.ledger, lined_up) for role in roles]
        for hand in hands:
            hand.start()
        lined_up.wait(JOIN)
        longer = OFTEN if special else 0.05
        lasted = self.chance.uniform(0.005, LONGEST) * (LONGER if self.chance.random() < longer else 1)
        time.sleep(lasted)
        gone = [hand for hand in hands if not hand.is_alive()]
        if moment == "stopping":
            self.ledger.stopping()
            self.broker.terminate()
            time.sleep(self.chance.uniform(0, 0.03))
        if moment == "backup":
            memory = self.ledger.remember()
            self.subject.backup()
        self._kill()
        for hand in hands:
            hand.join(JOIN)
        self._blame(hands, gone)
        if moment == "backup" and not self.failures:
            self._prove(memory)
        self.tell(f"life {self.ledger.life}: {moment}, killed after {lasted * 1000:.0f} ms, {self.told()}")

    def _prove(self, memory):
        """What was backed up is whole, and has what was certain then."""
        self.backups += 1
        trial = Trial(self.subject.restored(), 0, self.seed, tell=lambda line: None)
        trial.ledger = self.ledger.as_of(memory)
        trial.run()
        self.ledger.add(trial.ledger, f"in the backup of life {self.ledger.life}")
        self.failures += trial.failures

    def _blame(self, hands, gone):
        for hand in hands:
            if hand.is_alive():
                self.failures.append(f"life {self.ledger.life}: {hand.name} does not notice that the broker is gone")
            elif hand.error:
                self.failures.append(f"life {self.ledger.life}: {hand.name}: {type(hand.error).__name__}: {hand.error}")
            elif hand in gone:
                self.failures.append(f"life {self.ledger.life}: the broker left {hand.name} before it was killed")
        if self.failures:
            self.failures += self.broker.output

    def _stillbirth(self):
        """A start that is killed before it is done, or soon after."""
        usual = sorted(self.starts)[len(self.starts) // 2] if self.starts else 0.1
        self.ledger.begin()
        self.broker = self.subject.spawn()
        time.sleep(self.chance.uniform(0, 1.3) * usual)
        self._kill()

    def _start(self):
        begun = time.monotonic()
        self.ledger.begin()
        self.broker = self.subject.spawn().wait(START)
        with Client(self.broker) as client:
            self.starts.append(time.monotonic() - begun)
            self.longest = max(self.longest, self.starts[-1])
            self.ledger.ready()
            load.lay(client)
            if self.special:
                kinds.lay(client)
            self.definitions.verify(client, self.ledger)

    def _kill(self):
        self.ledger.end(time.monotonic())
        self.broker.kill()
        self.killed += 1
        self.subject.breakage()

    def _count(self):
        """A life without load: every queue is drained. It ends well, or by a kill once the acks are certain."""
        self._start()
        with Client(self.broker) as client:
            for queue in (*load.QUEUES, load.TURNED):
                load.drain(client, queue, self.ledger)
            if self.special:
                kinds.count(client, self.ledger)
        if self.subject.grace is not None and self.chance.random() < 0.5:
            time.sleep(self.subject.grace)
            self._kill()
        else:
            status = self.broker.stop()
            self.ledger.end(None)
            if status != 0:
                self.failures.append(f"{self.subject.name} stopped with status {status}")
        self.tell(f"counted after {self.killed} kills: {self.told()}")

    def told(self):
        counts = self.ledger.counts
        return ", ".join(
            f"{counts[word]} {word}" for word in ("confirmed", "refused", "duplicates", *RULES) if counts[word]
        )

    def report(self):
        """A table for people."""
        counts = self.ledger.counts
        rows = {"broker": self.subject.name, "seed": self.seed, "lives": self.ledger.life, "kills": self.killed}
        rows |= {"backups": self.backups}
        rows |= {word: counts[word] for word in ("published", "confirmed", "refused", "delivered", "acked")}
        rows |= {"duplicates": counts["duplicates"]} | {rule: counts[rule] for rule in RULES}
        rows |= {"longest start": f"{self.longest:.3f} s"}
        lines = [f"| {name:13} | {value!s:>12} |" for name, value in rows.items()]
        return "\n".join([*lines, *self.ledger.contradictions, *self.failures])
