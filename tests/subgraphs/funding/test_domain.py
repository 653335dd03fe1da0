"""The pure rules of funding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.funding.domain import (
    EDITABLE,
    LIVE_PLEDGES,
    MAX_AMOUNT,
    PUBLIC,
    RAISED,
    TEXT_EDITABLE,
    TRANSITIONS,
    FundingModel,
    Period,
    PledgeStatus,
    ProjectStatus,
    folded,
    may_become,
    opening_status,
    period_problem,
    pledge_total,
    progress_percent,
    slug_of,
    takes_pledges,
    text_problem,
    verdict,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
amounts = st.integers(1, MAX_AMOUNT)
spans = st.timedeltas(timedelta(days=-100), timedelta(days=100))


@given(amounts, st.integers(0, 2 * MAX_AMOUNT))
def test_the_goal_is_reached_by_reaching_it_exactly(goal: int, pledged: int) -> None:
    reached = verdict(FundingModel.ALL_OR_NOTHING, pledged, goal) is ProjectStatus.COLLECTING
    assert reached == (pledged >= goal)
    assert reached == (progress_percent(pledged, goal) >= 100), "what is shown as 100 % is reached, and only that"


@given(amounts, st.integers(0, MAX_AMOUNT))
def test_keep_it_all_keeps_whatever_there_is(goal: int, pledged: int) -> None:
    outcome = verdict(FundingModel.KEEP_IT_ALL, pledged, goal)
    assert (outcome is ProjectStatus.COLLECTING) == (pledged > 0)


@given(amounts, st.integers(1, 100), st.integers(0, MAX_AMOUNT))
def test_a_pledge_is_never_below_its_rewards_price(minimum: int, quantity: int, additional: int) -> None:
    total = pledge_total(minimum, quantity, additional)
    assert total - additional == minimum * quantity
    assert minimum * quantity <= total < 2**63


def test_what_ended_stays_ended() -> None:
    for end in (ProjectStatus.SUCCEEDED, ProjectStatus.FAILED, ProjectStatus.CANCELED):
        assert not any(may_become(end, then) for then in ProjectStatus)


def test_every_state_can_be_reached_from_a_draft_and_none_twice() -> None:
    seen, waiting = set[ProjectStatus](), [ProjectStatus.DRAFT]
    while waiting:
        status = waiting.pop()
        if status not in seen:
            seen.add(status)
            waiting += TRANSITIONS[status]
    assert seen == set(ProjectStatus)
    assert not may_become(ProjectStatus.OPEN, ProjectStatus.SCHEDULED), "what takes pledges is not taken offline"


def test_the_sets_of_states_fit_together() -> None:
    assert EDITABLE < TEXT_EDITABLE
    assert not EDITABLE & PUBLIC
    assert LIVE_PLEDGES < RAISED
    assert PledgeStatus.CANCELED not in RAISED


@given(spans)
def test_pledges_are_taken_until_the_deadline_and_not_at_it(ahead: timedelta) -> None:
    assert takes_pledges(ProjectStatus.OPEN, NOW + ahead, NOW) == (ahead > timedelta())
    for status in set(ProjectStatus) - {ProjectStatus.OPEN}:
        assert not takes_pledges(status, NOW + ahead, NOW)


@given(spans)
def test_an_approved_project_waits_for_its_opening_if_there_is_one_ahead(ahead: timedelta) -> None:
    waits = opening_status(NOW + ahead, NOW) is ProjectStatus.SCHEDULED
    assert waits == (ahead > timedelta())
    assert opening_status(None, NOW) is ProjectStatus.OPEN


@given(st.none() | spans, spans, st.integers(1, 90))
def test_a_period_without_a_problem_lies_ahead_and_is_not_too_long(
    opens: timedelta | None, closes: timedelta, longest: int
) -> None:
    opens_at = None if opens is None else NOW + opens
    closes_at = NOW + closes
    begins = max(opens_at or NOW, NOW)
    fine = begins < closes_at <= begins + timedelta(days=longest)
    assert (period_problem(Period(opens_at, closes_at), NOW, longest) is None) == fine


@pytest.mark.parametrize("text", ["", "   ", "\n", "a\x00b", "\x1b[31m", "x" * 11, "\ud800"])
def test_texts_that_cannot_be_taken(text: str) -> None:
    assert text_problem(text, 10) is not None


@pytest.mark.parametrize("text", ["a", "두\n레", "x" * 10, "🪔"])
def test_texts_that_can(text: str) -> None:
    assert text_problem(text, 10) is None


@given(st.text(max_size=100), st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=8, max_size=8))
def test_a_slug_fits_its_column_and_keeps_its_suffix(title: str, suffix: str) -> None:
    slug = slug_of(title, suffix)
    assert 0 < len(slug) <= 100
    assert slug.endswith(suffix.lower())
    assert not set(slug) & set(" /?#\n")


def test_a_slug_keeps_korean_words() -> None:
    assert slug_of("달빛  조명! (Moon)", "ABCD1234") == "달빛-조명-moon-abcd1234"


@given(st.text())
def test_folding_twice_is_folding_once_for_letters(text: str) -> None:
    assert folded(text.upper()) == folded(folded(text.upper())) or not text.isascii()
