"""`python -m failover`: a long trial from the command line."""

import argparse
import random
import shutil
import sys

from failover.judge import RULES
from failover.trial import UPHEAVALS, Trial
from support import brokers


def main():
    parser = argparse.ArgumentParser(
        prog="python -m failover", description="Kill, stop and restart processes that share a directory, and count."
    )
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of what is random but time")
    parser.add_argument("--pause", type=int, default=25, help="rounds between two counts")
    parser.add_argument("--bound", type=float, default=30.0, help="seconds in which everybody is to come on")
    parser.add_argument(
        "--upheaval", dest="upheavals", action="append", choices=UPHEAVALS, help="only this one [any]"
    )  # fmt: skip
    parser.add_argument(
        "--despite", action="append", choices=RULES, default=[], help="count what is against this rule, and go on"
    )
    parser.add_argument("--keep", action="store_true", help="keep directory and logs also when nothing was wrong")
    arguments = parser.parse_args()

    root = brokers.temporary()
    upheavals = tuple(arguments.upheavals or UPHEAVALS)
    print(f"seed {arguments.seed}, in {root}")
    trial = Trial(
        root, arguments.rounds, arguments.seed, arguments.bound, arguments.pause, upheavals, tuple(arguments.despite)
    ).run()
    print(trial.report())
    if trial.passed and not arguments.keep:
        shutil.rmtree(root)
    else:
        print(f"directory, notes and logs are in {root}; the seed was {arguments.seed}")
    return not trial.passed


if __name__ == "__main__":
    sys.exit(main())
