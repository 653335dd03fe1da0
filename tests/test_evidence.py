"""The documents' claims name tests: each of them must be there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
PAGES = sorted(page for page in (ROOT / "docs").glob("*.md") if NAMED.search(page.read_text(encoding="utf-8")))


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of the tests in a file; none if there is no such file."""
    path = ROOT / file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return frozenset(re.findall(r"^\s*(?:async )?def (test_\w+)", text, re.MULTILINE))


def missing(text: str) -> list[str]:
    """The tests that a text names and that do not exist."""
    return [f"{file}::{test}" for file, test in NAMED.findall(text) if test not in names_in(file)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page: Path) -> None:
    assert missing(page.read_text(encoding="utf-8")) == []


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert missing("`tests/test_evidence.py::test_nobody_wrote` `tests/nowhere.py::test_a`") == [
        "tests/test_evidence.py::test_nobody_wrote",
        "tests/nowhere.py::test_a",
    ]
