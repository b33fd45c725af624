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


def publish(key, *, exchange="", routes=None, window=1, way="many", ranks=0, persistent=True):
    """Publishes numbered messages, up to `window` at a time: each awaited (`one`), as a batch (`many`), or all begun
    before the first is awaited (`burst`). `routes` has for each routing key the queues that it leads to."""
    return {
        **{"do": "publish", "name": key, "exchange": exchange, "routes": routes or {key: [key]}},
        **{"window": window, "way": way, "ranks": ranks, "persistent": persistent},
    }


def fan(**how):
    return publish("both", exchange="both", routes={"": ["left", "right"]}, **how)


def topic(**how):
    return publish("news", exchange="news", routes={"sky.blue": ["every"], "sky.red": ["red", "every"]}, **how)


def consume(queue, way="each", prefetch=50):
    """Acknowledges each (`each`), or many at once (`late`), or gives some back before (`returns`)."""
    return {"do": "consume", "name": queue, "queue": queue, "way": way, "prefetch": prefetch}


SERVE = {"do": "serve", "name": "double", "queue": "double"}
CALL = {"do": "call", "name": "double", "queue": "double", "timeout": CALL_TIMEOUT}
# Sends itself messages through an exclusive queue that is bound to an exchange.
OWN = {"do": "own", "name": "own", "exchange": "news"}


@dataclass(frozen=True)
class Part:
    """What a process does, and in which language."""

    name: str
    language: str
    roles: tuple


def _parts(language, *groups):
    for number, roles in enumerate(groups, 1):
        name = f"{language}{number}"
        named = (role | {"name": f"{name}.{role['do']}.{role['name']}"} for role in roles)
        yield Part(name, language, tuple(named))


def cast():
    """Twenty processes, half of them Python and half Node."""
    return [
        *_parts(
            "python",
            [publish("solo", way="one")],
            [publish("solo", window=50), publish("ranks", ranks=4)],
            [fan(window=20)],
            [topic(window=10), CALL],
            [publish("shared", window=100)],
            [consume("shared", "late"), SERVE],
            [consume("left"), OWN],
            [consume("every", "returns")],
            [consume("shared", "returns", prefetch=10), CALL],
            [publish("deep", window=5), consume("memory", "late")],
        ),
        *_parts(
            "node",
            [publish("solo", way="one"), publish("deep", window=5)],
            [publish("solo", window=50, way="burst")],
            [fan(window=20, way="burst")],
            [topic(window=10), CALL],
            [publish("shared", window=100), OWN],
            [consume("solo"), SERVE],
            [consume("right", "late"), CALL],
            [consume("red")],
            [consume("shared"), publish("memory", persistent=False)],
            [consume("ranks"), publish("ranks", ranks=4)],
        ),
    ]
