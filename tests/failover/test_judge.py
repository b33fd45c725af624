"""The judge notices each way in which messages may go wrong, and takes what is right."""

import pytest

from failover.judge import GRACE, RULES, SLACK, Judge

PREFETCH = 2
ONE, OTHER = "one.1", "other.1"  # processes


class Story:
    """Short words for what happens to the messages of publisher `p` in queue `q`; a second passes with each word."""

    def __init__(self, ordered=("q",)):
        self.judge, self.time = Judge(ordered), 100.0
        for member in (ONE, OTHER):
            self.note(member, "c", "consume", "q", PREFETCH)

    def note(self, member, role, what, *details):
        self.time += 1
        self.judge.note(member, self.time, role, what, *details)
        return self

    def publish(self, last, first=1, *, confirmed=True, persistent=True, unrouted=(), queues=("q",)):
        self.note("writer.1", "p", "publish", first, last, list(queues), persistent)
        return self.note("writer.1", "p", "confirmed", first, last, list(unrouted)) if confirmed else self

    def take(self, *numbers, by=ONE, marked=False, back=False, publisher="p", queue="q"):
        for number in numbers:
            self.note(by, "c", "take", queue, publisher, number, marked, back)
        return self

    def kill_host(self):
        self.judge.calm(None)
        self.time += 1
        self.judge.killed_host(self.time)
        return self.note(ONE, "", "reconnected").note(OTHER, "", "reconnected")

    def calm(self):
        self.time += 1
        self.judge.calm(self.time)
        return self

    def wait(self, seconds):
        self.time += seconds
        return self

    def drain(self):
        return self.note("drain.1", "", "drained", "q")

    @property
    def found(self):
        return [rule for rule in RULES if self.judge.counts[rule]]


SOUND = {
    "all is taken once": Story().publish(3).take(1, 2, 3).drain(),
    "what was not confirmed is not there": Story().publish(3, confirmed=False).take(1).drain(),
    "what was in flight comes again, marked": Story().publish(2).take(1).kill_host().take(1, 2, marked=True).drain(),
    "what was given back comes again": Story().publish(1).calm().take(1, back=True).take(1, marked=True).drain(),
    "a slow process is late with its note": Story().publish(1).take(1, by=OTHER, marked=True).take(1).drain(),
    "a transient message is lost with its host": Story().publish(2, persistent=False).kill_host().take(2).drain(),
    "a transient message is lost when all have left": Story().publish(1, persistent=False).drain(),
    "an ack is not written when the host is killed": (
        Story().publish(3).calm().take(1, 2, 3).kill_host().take(1, marked=True)
    ),
    "an ack is not written when its host is gone, though its consumer had more since": (
        Story().publish(3).take(1, 2, 3).wait(GRACE).kill_host().take(1, marked=True)
    ),
    "a queue with several consumers has no order": Story(ordered=()).publish(2).take(2).take(1, by=OTHER).drain(),
    "the last queue of two is drained later": (
        Story().publish(1, queues=("q", "r")).take(1).drain().take(1, queue="r", by="drain.1")
    ),
    "a call is answered": Story().note(ONE, "r", "call", 1, 2.0).note(ONE, "r", "answer", 1, ""),
    "a call times out": Story().note(ONE, "r", "call", 1, 2.0).wait(2).note(ONE, "r", "answer", 1, "TIMEOUT", "so"),
}


@pytest.mark.parametrize("story", SOUND.values(), ids=SOUND)
def test_what_is_right_is_taken(story):
    assert story.found == [], story.judge.contradictions


FAULTY = {
    "a confirmed message is not there": ("lost", Story().publish(2).take(1).drain()),
    "a transient message is skipped": ("dropped", Story().publish(2, persistent=False).take(2)),
    "a queue did not take a message": ("unrouted", Story().publish(2, unrouted=[1]).take(1, 2)),
    "it comes as new to two": ("doubled", Story().publish(1).take(1).take(1, by=OTHER)),
    "it comes as new to who had it": ("doubled", Story().publish(1).take(1, marked=True).take(1)),
    "it comes again in a calm time": ("doubled", Story().publish(1).calm().take(1).take(1, by=OTHER, marked=True)),
    "it comes again after its ack was written": (
        "late",
        Story().publish(3).calm().take(1, 2, 3).wait(GRACE).kill_host().take(1, marked=True),
    ),
    "it comes again after all was drained": ("late", Story().publish(1).take(1).drain().take(1, marked=True)),
    "nobody published it": ("phantom", Story().publish(1).take(2)),
    "it went to another queue": ("phantom", Story().publish(1).take(1, queue="r")),
    "its content is another": ("phantom", Story().publish(1).take(-1, publisher="p 1 ?")),
    "a message overtakes another": ("disordered", Story().publish(2).take(2, 1)),
    "an exclusive queue gets what is not for it": ("phantom", Story().note(ONE, "own.1", "echo", "own.2", 1)),
    "a call ends too late": (
        "overdue",
        Story().note(ONE, "r", "call", 1, 2.0).wait(2 + SLACK).note(ONE, "r", "answer", 1, ""),
    ),
    "a call is answered wrongly": ("wrong", Story().note(ONE, "r", "call", 1, 2.0).note(ONE, "r", "answer", 1, "no")),
    "something fails": ("broken", Story().note(ONE, "p", "failed", "CLOSED", "the connection was closed")),
}


@pytest.mark.parametrize("rule, story", FAULTY.values(), ids=FAULTY)
def test_what_is_wrong_is_found(rule, story):
    assert story.found == [rule], story.judge.contradictions


def test_a_call_that_never_ends_is_told_once_and_not_when_its_process_has_ended():
    story = Story().note(ONE, "r", "call", 1, 2.0).note(OTHER, "r", "call", 1, 2.0)
    story.judge.gone(OTHER)
    for _ in range(2):
        story.judge.overdue(story.time + 10)
    assert story.judge.counts["overdue"] == 1


def test_the_time_for_which_a_process_was_stopped_is_not_its_call_s():
    story = Story().note(ONE, "r", "call", 1, 2.0)
    story.judge.stopped(ONE, 20)
    assert story.wait(21).note(ONE, "r", "answer", 1, "").found == []


def test_progress_is_what_is_achieved_not_what_is_tried():
    story = Story().publish(1, confirmed=False)
    assert not story.judge.progress
    story.publish(1)
    assert story.judge.progress == {("writer.1", "p"): story.time}
