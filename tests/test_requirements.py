"""Every requirement of the list is on its page, once, with a test or an honest "not yet"."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.requirements import IDS, NAMED, NOT_YET, PAGE, Requirement, read, summary
from tests.test_evidence import missing

TEXT = PAGE.read_text(encoding="utf-8")


def test_each_requirement_is_there_once() -> None:
    assert Counter(row.id for row in read(TEXT)) == Counter(IDS)


def test_a_row_that_is_missing_or_doubled_is_noticed() -> None:
    first = TEXT.index("\n| S3-2 ") + 1
    row = TEXT[first : TEXT.index("\n", first) + 1]
    assert Counter(each.id for each in read(TEXT.replace(row, ""))) != Counter(IDS)
    assert Counter(each.id for each in read(TEXT + row)) != Counter(IDS)


@pytest.mark.parametrize("row", read(TEXT), ids=lambda row: row.id)
def test_each_has_a_test_or_says_not_yet(row: Requirement) -> None:
    """In both languages, and the tests that are named exist."""
    assert NAMED.search(row.evidence) or NOT_YET in row.evidence
    assert missing(row.evidence) == []
    assert any("가" <= letter <= "힣" for letter in row.korean)


def test_the_page_counts_itself() -> None:
    """Otherwise: python -m tests.requirements says the sentence."""
    assert summary(read(TEXT)) in TEXT
    assert summary([Requirement("S3-1", "a", "가", NOT_YET)]) == "1 rows: 0 shown by tests, 0 partly, 1 not yet."
