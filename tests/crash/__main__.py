"""`python -m crash`: a long trial from the command line."""

import argparse
import random
import shutil
import sys

from crash.subject import SUBJECTS
from crash.trial import MOMENTS, Trial
from support import brokers


def main():
    parser = argparse.ArgumentParser(
        prog="python -m crash", description="Kill a broker under load and count what is lost."
    )
    parser.add_argument("--broker", choices=SUBJECTS, default="warrenmq")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of what is random but time")
    parser.add_argument("--pause", type=int, default=20, help="kills between two counts")
    parser.add_argument("--moment", dest="moments", action="append", choices=MOMENTS, help="only this one [any]")
    parser.add_argument("--segment-bytes", type=int, help="--segment-size for WarrenMQ")
    parser.add_argument(
        "--break", dest="broken", choices=["memory", "newest"], default="",
        help="break the broker, to see it found out: it keeps all in memory, or its newest file goes at each kill",
    )  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="keep the data also when nothing was wrong")
    arguments = parser.parse_args()

    directory, (port,) = brokers.temporary(), brokers.free_ports(1)
    subject = SUBJECTS[arguments.broker](directory, port, broken=arguments.broken)
    if arguments.segment_bytes:
        subject.segment_bytes = arguments.segment_bytes
    trial = Trial(subject, arguments.kills, arguments.seed, arguments.pause, tuple(arguments.moments or MOMENTS)).run()
    print(trial.report())
    if trial.passed and not arguments.keep:
        shutil.rmtree(directory)
    else:
        print(f"the data is in {directory}")
    return not trial.passed


if __name__ == "__main__":
    sys.exit(main())
