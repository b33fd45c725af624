"""Carries out scenario steps: one JSON line in, one JSON line out. See ../README.md.

Usage: python runner.py warrenmq|pika
"""

import json
import sys

from common import told
from player import Player


def main():
    answers, sys.stdout = sys.stdout, sys.stderr  # a stray print must not look like an answer
    player = Player(sys.argv[1])
    for line in sys.stdin:
        answers.write(json.dumps(player.answer(json.loads(line)), default=told) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
