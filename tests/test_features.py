"""The comparison with other routers claims nothing that no test or page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_evidence import NAMED, missing

TEXT = (Path(__file__).parents[1] / "docs/features.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?!---)([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
ROWS = ROW.findall(TEXT)
SOURCE = re.compile(r"\[([AHCG]\d+)\]")
SOURCES = dict(re.findall(r"^- \[([AHCG]\d+)\] .+<(https://[^>]+)>$", TEXT, re.MULTILINE))
SILENT = "—"


def unfounded(row: tuple[str, ...]) -> list[str]:
    """What is claimed in a row and not shown."""
    _, *others, ours = row
    claims = [cell for cell in others if cell != SILENT and not SOURCE.findall(cell)]
    if not ours.startswith(("no", "Apache-2.0")) and not NAMED.findall(ours):
        claims.append(ours)
    return (
        claims + missing(ours) + [source for cell in others for source in SOURCE.findall(cell) if source not in SOURCES]
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_claim_names_a_test_or_a_page(row: tuple[str, ...]) -> None:
    assert unfounded(row) == []


def test_every_row_is_read_and_every_page_used() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and "| Apollo |" not in line]
    assert len(rows) == len(ROWS) > 50
    assert set(SOURCES) == {source for row in ROWS for source in SOURCE.findall(" ".join(row[1:5]))}


def test_what_nothing_shows_is_noticed() -> None:
    silent = (SILENT,) * 4
    assert unfounded(("x", *silent, "yes")) == ["yes"]
    assert unfounded(("x", "yes", *silent[1:], "no")) == ["yes"]
    assert unfounded(("x", "yes [A99]", *silent[1:], "no")) == ["A99"]
    assert unfounded(("x", *silent, "yes: `tests/test_features.py::test_nobody_wrote`")) == [
        "tests/test_features.py::test_nobody_wrote"
    ]
