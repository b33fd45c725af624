"""Who takes part: the queues, and what each process does with them.

Each member is a process of its own with one connection. Its roles are done side by side; every queue that is consumed
has a publisher in each language, and the queues that are judged by their order have one consumer.
"""

from dataclasses import dataclass

QUEUES = {"solo": {}, "shared": {}, "left": {}, "right": {}, "red": {}, "every": {}, "deep": {}, "memory": {}}
QUEUES |= {"ranks": {"max_priority": 4}}
EXCHANGES = {"both": "fanout", "news": "topic"}
BINDINGS = [("left", "both", ""), ("right", "both", ""), ("red", "news", "*.red"), ("every", "news", "sky.#")]
ORDERED = {"solo", "left", "right", "red", "every", "memory"}  # those with a lone consumer
TOPOLOGY = {"queues": QUEUES, "exchanges": EXCHANGES, "bindings": BINDINGS}

CALL_TIMEOUT = 2.0  # seconds


def publish(name, key="", queues=(), *, exchange="", window=1, way="many", ranks=0, transient=False):
    """Publishes numbered messages, `window` at most at a time: each awaited (`one`), as a batch (`many`), or all begun
    before the first is awaited (`burst`)."""
    routes = {key: list(queues or [key])}
    return {"do": "publish", "name": name, "exchange": exchange, "routes": routes} | {
        "window": window, "way": way, "ranks": ranks, "persistent": not transient,
    }  # fmt: skip


def fan(name, **how):
    return publish(name, "", ["left", "right"], exchange="both", **how)


def topic(name, **how):
    role = publish(name, exchange="news", **how)
    return role | {"routes": {"sky.blue": ["every"], "sky.red": ["red", "every"]}}


def consume(name, queue, way="each", prefetch=50):
    """Acknowledges each (`each`), or many at once (`late`), or gives some back before (`returns`)."""
    return {"do": "consume", "name": name, "queue": queue, "way": way, "prefetch": prefetch}


def serve(name):
    return {"do": "serve", "name": name, "queue": "double"}


def call(name):
    return {"do": "call", "name": name, "queue": "double", "timeout": CALL_TIMEOUT}


def own(name):
    """Sends itself messages through an exclusive queue that is bound to an exchange."""
    return {"do": "own", "name": name, "exchange": "news"}


@dataclass(frozen=True)
class Part:
    """What a process does, and in which language."""

    name: str
    language: str
    roles: tuple


def _parts(language, roles):
    letter = language[0]
    return [
        Part(f"{language}{number}", language, tuple(make(f"{letter}.{word}") for word, make in group.items()))
        for number, group in enumerate(roles, 1)
    ]


def cast():
    """Twenty processes, half of them Node and half Python."""
    return _parts("python", [
        {"one": lambda name: publish(name, "solo", way="one")},
        {"many": lambda name: publish(name, "solo", window=50), "ranks": lambda name: publish(name, "ranks", ranks=4)},
        {"fan": lambda name: fan(name, window=20)},
        {"topic": lambda name: topic(name, window=10), "call": call},
        {"wide": lambda name: publish(name, "shared", window=100)},
        {"shared": lambda name: consume(name, "shared", "late"), "serve": serve},
        {"left": lambda name: consume(name, "left"), "own": own},
        {"every": lambda name: consume(name, "every", "returns")},
        {"shared": lambda name: consume(name, "shared", "returns", prefetch=10), "call": call},
        {"deep": lambda name: publish(name, "deep", window=5), "memory": lambda name: consume(name, "memory", "late")},
    ]) + _parts("node", [
        {"one": lambda name: publish(name, "solo", way="one"), "deep": lambda name: publish(name, "deep", window=5)},
        {"burst": lambda name: publish(name, "solo", window=50, way="burst")},
        {"fan": lambda name: fan(name, window=20, way="burst")},
        {"topic": lambda name: topic(name, window=10), "call": call},
        {"wide": lambda name: publish(name, "shared", window=100), "own": own},
        {"solo": lambda name: consume(name, "solo"), "serve": serve},
        {"right": lambda name: consume(name, "right", "late"), "call": call},
        {"red": lambda name: consume(name, "red")},
        {"shared": lambda name: consume(name, "shared"), "memory": lambda name: publish(name, "memory", transient=True)},
        {"ranks": lambda name: consume(name, "ranks", "each"), "ranked": lambda name: publish(name, "ranks", ranks=4)},
    ])  # fmt: skip
