"""Carries out scenario steps: one JSON line in, one JSON line out. See ../README.md.

Usage: python runner.py warrenmq|pika
"""

import importlib
import json
import sys
import traceback

from common import told

API = importlib.import_module(f"{sys.argv[1]}_session")


def carry_out(sessions, step):
    role, verb = step.pop("role", None), step.pop("do")
    if verb == "open":
        sessions[role] = API.Session(**step)
    elif verb == "reset":
        for session in sessions.values():
            session.close()
        sessions.clear()
    elif verb == "close":
        sessions.pop(role).close()
    else:
        return getattr(sessions[role], verb)(**step)


def main():
    answers, sys.stdout = sys.stdout, sys.stderr  # a stray print must not look like an answer
    sessions = {}
    for line in sys.stdin:
        try:
            answer = {"value": carry_out(sessions, json.loads(line))}
        except Exception as error:
            known = API.error_of(error)
            answer = {"error": known} if known else {"crash": traceback.format_exc()}
        answers.write(json.dumps(answer, default=told) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
