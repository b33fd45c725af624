"""Runs an example, and shows what its programs print: `python examples/run.py 03`."""

import sys
from pathlib import Path

from scenarios import SCENARIOS
from script import Script
from stage import Failed, Stage, showing

HERE = Path(__file__).parent


def run(folder: str, *, show: bool) -> list[str]:
    """Plays one example; how what was seen differs from its README, empty if it does not."""
    script = Script.of(HERE / folder / "README.md")
    stage = Stage(HERE / folder, showing(script.names) if show else None)
    try:
        with stage:
            SCENARIOS[folder](stage)
            stage.settle(script.counts)
    except Failed as failure:
        return [str(failure), *script.difference(stage.lines)]
    return script.difference(stage.lines)


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) == 2 else ""
    folder = next((name for name in SCENARIOS if wanted and name.startswith(wanted)), None)
    if folder is None:
        print(f"usage: python {sys.argv[0]} EXAMPLE\nwhich is one of {', '.join(SCENARIOS)}, or its number")
        return 2
    difference = run(folder, show=True)
    if difference:
        print("\nThis is not what the README shows:", *difference, sep="\n")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
