"""What docs/requirements.md says of each requirement. ``python -m tests.requirements`` prints what is still missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/requirements.md"
NAMED = re.compile(r"`tests/[\w/]+\.py::test_\w+`")
NOT_YET = "**not yet**"
ROW = re.compile(r"^\| (S\d-\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)

# Every row of the high-traffic shop and of the flash sale, and of crowdfunding and the coffee market what concerns
# accounts, payments, delivery and notifications.
WANTED = {
    "S1": "7 9 17 18 19 22 23 24 25 26 27 28 37 38 39 40 41 42 43 44 45 46 47",
    "S2": "5b 5c 11 11b 14 15 16 16b 17 18",
    "S3": "1 2 3 4 5 6 7 8 9 10 11 P O Pay D U SEQ N1 N2 N3 N4",
    "S4": "1 2 3 4 5 6 7 8 9 10 11 12 12b 13 14 15 16",
}
IDS = frozenset(f"{document}-{row}" for document, numbers in WANTED.items() for row in numbers.split())


@dataclass(frozen=True, slots=True)
class Requirement:
    """A row of the page."""

    id: str
    english: str
    korean: str
    evidence: str

    @property
    def state(self) -> str:
        """``shown`` by tests, ``partly``, or ``missing``."""
        if NOT_YET not in self.evidence:
            return "shown"
        return "partly" if NAMED.search(self.evidence) else "missing"


def read(text: str) -> list[Requirement]:
    """The rows of a page, in their order."""
    return [Requirement(*(cell.strip() for cell in found)) for found in ROW.findall(text)]


def summary(rows: list[Requirement]) -> str:
    """How many rows are in which state."""
    count = {state: sum(row.state == state for row in rows) for state in ("shown", "partly", "missing")}
    return f"{len(rows)} rows: {count['shown']} shown by tests, {count['partly']} partly, {count['missing']} not yet."


if __name__ == "__main__":
    found = read(PAGE.read_text(encoding="utf-8"))
    print(summary(found))
    for row in found:
        if row.state != "shown":
            print(f"{row.id:7} {row.state:8} {row.english}: {row.evidence.partition(NOT_YET)[2].strip(' :.')}")
