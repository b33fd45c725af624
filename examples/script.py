"""What must be seen, read from an example's README, so that the README cannot be wrong.

It is the block ```` ```text ````, each line of which is `program | what it prints`. The lines of one program
must come in that order; how those of several programs mingle is left open.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from pathlib import Path


class Script:
    """The lines that an example is to show."""

    def __init__(self, lines: list[tuple[str, str]]) -> None:
        self._lines = lines
        self.names = list(dict.fromkeys(name for name, _ in lines))

    @classmethod
    def of(cls, readme: Path) -> Script:
        """Reads a README."""
        block = re.search(r"^```text\n(.*?)^```", readme.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        if block is None:
            raise ValueError(f"{readme} has no ```text block")
        pairs = (line.partition("|") for line in block[1].splitlines())
        return cls([(name.strip(), line.strip()) for name, _, line in pairs])

    @property
    def counts(self) -> Counter[str]:
        """How many lines each program prints."""
        return Counter(name for name, _ in self._lines)

    def difference(self, seen: list[tuple[str, str]]) -> list[str]:
        """A diff from what is written here to what was seen, program by program."""
        names = list(dict.fromkeys([*self.names, *(name for name, _ in seen)]))
        due, came = _by_name(self._lines, names), _by_name(seen, names)
        return list(difflib.unified_diff(due, came, "README", "seen", lineterm=""))


def _by_name(lines: list[tuple[str, str]], names: list[str]) -> list[str]:
    return [f"{who} | {line}" for name in names for who, line in lines if who == name]
