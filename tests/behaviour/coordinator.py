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

    def __init__(self, url, cast):
        self.url, self.cast = url, cast
        self.open, self.names = set(), {}

    def run(self, case):
        for step in case["steps"]:
            for each in step.get("each", [None]):
                names = self.names if each is None else self.names | {"each": each}
                self.take_step(substitute({key: value for key, value in step.items() if key != "each"}, names))

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
            assert error["code"] == wanted, f"{step}: {error}"
            assert error["text"] == step.get("text", error["text"]), f"{step}: {error}"
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
    if isinstance(wanted, dict) and isinstance(seen, dict):
        for key, part in wanted.items():
            if key == "body":
                body = body_of(part)
                digest = (len(body), hashlib.sha256(body).hexdigest())
                assert (seen["size"], seen["sha256"]) == digest, f"{step}: another body: {seen}"
            elif key in ("json", "headers"):
                assert same(part, seen.get(key)), f"{step}: {key} is {seen.get(key)!r}"
            else:
                assert key in seen, f"{step}: no {key} in {seen}"
                check(part, seen[key], step)
    elif isinstance(wanted, dict) and "matches" in wanted:
        assert re.search(wanted["matches"], seen), f"{step}: {seen!r}"
    else:
        assert same(wanted, seen), f"{step}: {seen!r}"


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
