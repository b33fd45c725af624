"""Plays a scenario: hands each step to the runner that holds its role, and judges what came of it."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

from support.waiting import eventually

HERE = Path(__file__).parent
COMMANDS = {
    "python": [sys.executable, HERE / "python/runner.py", "warrenmq"],
    "node": ["node", HERE / "node/runner.mjs", "warrenmq"],
    "node+python": ["node", HERE / "node/twins.mjs", "node,python"],
    "python+node": ["node", HERE / "node/twins.mjs", "python,node"],
    "pika": [sys.executable, HERE / "python/runner.py", "pika"],
    "amqplib": ["node", HERE / "node/runner.mjs", "amqplib"],
}


class Runner:
    """A runner process, which holds the sessions of the roles it has been given."""

    def __init__(self, kind):
        self.kind = kind
        self.process = subprocess.Popen(
            [str(part) for part in COMMANDS[kind]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, step):
        """The answer: {"value": …} or {"error": {"code", "text"}}."""
        self.process.stdin.write(json.dumps(step) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the {self.kind} runner has died at {step}"
        answer = json.loads(line)
        assert "crash" not in answer, f"{step}\n{answer['crash']}"
        return answer

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(20)
        self.process.stdout.close()
        assert status == 0, f"the {self.kind} runner ended with status {status}"


class Play:
    """One case on one broker. `cast` tells for each role the runner that plays it."""

    def __init__(self, broker, url, cast):
        self.broker, self.url, self.cast = broker, url, cast
        self.open, self.names = set(), {}

    def run(self, case):
        for step in case["steps"]:
            step = as_played_on(self.broker, step)
            for each in rounds(step):
                names = self.names if each is None else self.names | {"each": each}
                self.take_step(substitute({key: value for key, value in step.items() if key not in REPEATED}, names))

    def take_step(self, step):
        if step.pop("eventually", False):
            eventually(lambda: self.holds(step))
        else:
            self.judge(step, self.perform(step))

    def perform(self, step):
        role, verb = step["role"], step["do"]
        runner = self.cast(role)
        if verb == "kill":
            return self.kill(role, runner)
        if role not in self.open:
            self.open.add(role)
            opened = runner.ask({"role": role, "do": "open", "url": self.url})
            assert "error" not in opened, f"{runner.kind} cannot connect to {self.url}: {opened['error']}"
        if verb == "close":
            self.open.remove(role)
        return runner.ask({key: value for key, value in step.items() if key not in JUDGED})

    def kill(self, role, runner):
        """SIGKILL where the role has a process to itself; else its connection closes with all that it holds."""
        self.open.remove(role)
        return {"value": None} if self.cast.kill(role) else runner.ask({"role": role, "do": "close"})

    def judge(self, step, answer):
        error = answer.get("error")
        if wanted := step.get("error"):
            assert error, f"{step}: expected the error {wanted}, and it succeeded with {answer['value']}"
            check(wanted, error["code"], step | {"seen": error})
            if "text" in step:
                check(step["text"], error["text"], step)
            return
        assert not error, f"{step}: {error}"
        if "expect" in step:
            check(step["expect"], answer["value"], step)
        if "let" in step:
            self.names[step["let"]] = answer["value"]["name"]

    def holds(self, step):
        try:
            self.judge(step, self.perform(step))
        except AssertionError:
            return False
        return True


JUDGED = {"expect", "error", "text", "let"}  # the fields of a step that are the coordinator's business
REPEATED = {"each", "times"}


def as_played_on(broker, step):
    """The step with what differs on this broker in the place of what it says else."""
    differences = step.get("differs", {})
    plain = {key: value for key, value in step.items() if key != "differs"}
    return plain | {key: value for key, value in differences.get(broker, {}).items() if key != "because"}


def rounds(step):
    """The values that `$each` takes on; None for a step that is done once."""
    return map(str, range(1, step["times"] + 1)) if "times" in step else step.get("each", [None])


def substitute(value, names):
    """`$name` in a string is that name's value; a string that is nothing else keeps the value's type."""
    if isinstance(value, dict):
        return {key: substitute(part, names) for key, part in value.items()}
    if isinstance(value, list):
        return [substitute(part, names) for part in value]
    if isinstance(value, str):
        if value.startswith("$") and value[1:] in names:
            return names[value[1:]]
        return re.sub(r"\$(\w+)", lambda match: str(names.get(match[1], match[0])), value)
    return value


def check(wanted, seen, step):
    """All that is wanted is there; what is not mentioned may be anything."""
    if is_matcher(wanted):
        for name, operand in wanted.items():
            assert MATCHERS[name](operand, seen), f"{step}: {seen!r}"
    elif isinstance(wanted, dict) and isinstance(seen, dict):
        for key, part in wanted.items():
            if key == "body":
                body = body_of(part)
                digest = (len(body), hashlib.sha256(body).hexdigest())
                assert (seen["size"], seen["sha256"]) == digest, f"{step}: another body: {seen}"
            elif key in ("json", "headers") and not is_matcher(part):
                assert same(part, seen.get(key)), f"{step}: {key} is {seen.get(key)!r}"
            else:
                assert key in seen, f"{step}: no {key} in {seen}"
                check(part, seen[key], step)
    else:
        assert same(wanted, seen), f"{step}: {seen!r}"


def is_matcher(wanted):
    return isinstance(wanted, dict) and bool(wanted.keys() & MATCHERS.keys())


def contains(wanted, seen):
    """Every field that is wanted is there, however deep; lists are of the same length."""
    if is_matcher(wanted):
        return all(MATCHERS[name](operand, seen) for name, operand in wanted.items())
    if isinstance(wanted, dict) and isinstance(seen, dict):
        return all(key in seen and contains(part, seen[key]) for key, part in wanted.items())
    if isinstance(wanted, list) and isinstance(seen, list):
        return len(wanted) == len(seen) and all(map(contains, wanted, seen))
    return same(wanted, seen)


MATCHERS = {
    "matches": lambda pattern, seen: isinstance(seen, str) and re.search(pattern, seen) is not None,
    "contains": contains,
    "lacks": lambda names, seen: not set(names) & seen.keys(),
    "above": lambda bound, seen: seen > bound,
    "among": lambda values, seen: any(same(value, seen) for value in values),
}


def same(a, b):
    """Equality of JSON values: true is not 1, but 1 is 1.0, as JavaScript cannot tell them apart."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def body_of(given):
    if isinstance(given, str):
        return given.encode()
    return bytes.fromhex(given["hex"]) * given.get("times", 1)
