"""Nothing is lost by rounding, whatever is sold and given back, in whatever order."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from db.ids import first_ulid_at
from subgraphs.payments.settling.rules import (
    Earning,
    Terms,
    earning,
    given_back,
    midnight,
    next_business_day,
    seoul_day,
    shares,
)

AMOUNT = st.integers(0, 10**12)
TERMS = st.builds(Terms, st.integers(0, 10_000), st.integers(0, 10_000))


@given(AMOUNT, TERMS)
def test_what_is_sold_is_the_sellers_the_shops_and_the_tax_offices(gross: int, terms: Terms) -> None:
    earned = earning(gross, terms)
    assert earned.net + earned.commission + earned.tax == earned.gross == gross
    assert 0 <= earned.commission <= gross
    assert 0 <= earned.tax <= earned.commission


@given(TERMS, st.lists(AMOUNT, min_size=1, max_size=8))
def test_refunds_of_a_line_take_back_what_its_sale_gave(terms: Terms, parts: list[int]) -> None:
    """At every moment a line stands as if only what is kept of it had been sold."""
    kept = sum(parts)
    stands = earning(kept, terms)
    for part in parts:
        change = given_back(kept, part, terms)
        assert change.gross == -part
        assert change.commission <= 0
        kept -= part
        stands += change
        assert stands == earning(kept, terms)
    assert stands == Earning()


@given(st.data(), st.lists(st.integers(0, 10**9), max_size=6), st.integers(0, 10**9))
def test_a_refund_is_shared_by_what_is_left(data: st.DataObject, lines: list[int], rest: int) -> None:
    """The parts sum to it, and none is more than is left; with lines named, the others bear it last."""
    amount = data.draw(st.integers(0, sum(lines) + rest))
    named = data.draw(st.none() | st.lists(st.integers(0, 10**9), min_size=len(lines), max_size=len(lines)))
    parts = shares(amount, lines, rest, named)
    assert sum(parts) == amount
    assert all(0 <= part <= left for part, left in zip(parts, [*lines, rest], strict=True))
    if named is not None and any(part > want for part, want in zip(parts[:-1], named, strict=True)):
        assert parts[-1] == rest, "the shop bears what nobody is named for before sellers do"


@given(st.lists(st.integers(0, 10**9), max_size=6), st.integers(0, 10**9), st.integers(1, 10**9))
def test_more_than_is_left_is_refused(lines: list[int], rest: int, more: int) -> None:
    with pytest.raises(ValueError, match="left"):
        shares(sum(lines) + rest + more, lines, rest)


def test_a_return_is_borne_by_its_seller_alone() -> None:
    assert shares(5_000, [9_000, 9_000], 3_000, [6_000, 0]) == [5_000, 0, 0]
    assert shares(9_000, [6_000, 9_000], 3_000, [6_000, 0]) == [6_000, 0, 3_000]
    assert shares(6_000, [9_000, 9_000], 0) == [3_000, 3_000, 0]


@given(st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_a_day_in_seoul_begins_at_its_midnight(instant: datetime) -> None:
    day = seoul_day(instant)
    assert midnight(day) <= instant < midnight(date.fromordinal(day.toordinal() + 1))


def test_banks_do_not_work_at_the_end_of_the_week_and_on_holidays() -> None:
    assert next_business_day(date(2026, 11, 20)) == date(2026, 11, 23)
    assert next_business_day(date(2026, 12, 24)) == date(2026, 12, 28)
    assert next_business_day(date(2026, 12, 31)) == date(2027, 1, 4)


def test_ids_made_before_a_moment_are_smaller_than_its_first() -> None:
    """An id that was made in that very millisecond is not taken as older than it."""
    moment = datetime(2026, 11, 21, 12, 0, 0, 123_000, UTC)
    first = first_ulid_at(moment)
    assert first_ulid_at(datetime(2026, 11, 21, 12, 0, 0, 122_000, UTC)) < first
    assert first == str(ULID.from_datetime(moment))[:10] + "0" * 16
