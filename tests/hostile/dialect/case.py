"""A conversation with a broker. The conversations are in `order`, `messages` and `topology`, see `test_dialect.py`."""

import struct
from dataclasses import dataclass

from support.frames import method, shortstr
from support.methods import declare


@dataclass(frozen=True)
class Case:
    """The answers are those that RabbitMQ 3.10 gave. In short: the method's name, and what matters of its
    arguments, such as reply code and text, counts of messages and consumers, delivery tags.
    """

    name: str
    steps: list  # of what is sent, and the answers to wait for before the next is
    warrenmq: list  # WarrenMQ's answers
    capabilities: dict

    def talk(self, broker):
        if broker != "warrenmq":
            return self.steps
        return [(sent, answers) for (sent, _), answers in zip(self.steps, self.warrenmq, strict=True)]


def case(name, *steps, warrenmq=None, why="", capabilities=None):
    """`steps`: what is sent and what it is answered with, in turn; `warrenmq`: its answers, if it has others, and
    `why`."""
    assert bool(warrenmq) == bool(why), f"{name}: a difference needs a reason"
    answers = [split(step) for step in steps[1::2]]
    own = [split(step) for step in warrenmq] if warrenmq else answers
    return Case(name, list(zip(steps[::2], answers, strict=True)), own, capabilities or {})


def split(answers):
    return answers.split(" | ") if answers else []


REPLY_TO = "amq.rabbitmq.reply-to"
CLOSE_OK = method("channel.close-ok")
QUEUE = declare("dq", 4)  # exclusive, so that it goes with the connection
NOTIFY = {"consumer_cancel_notify": True}
LENIENT = "what comes on a closed channel is not listened to; RabbitMQ still checks the order of its frames"


def property_at(bit, value):
    """Properties with one short string: 9 is reply-to, 8 expiration, 4 user-id."""
    return struct.pack(">H", 1 << bit) + shortstr(value)
