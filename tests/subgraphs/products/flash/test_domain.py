"""The rules of a flash sale hold for whatever numbers they meet."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.products.flash.domain import (
    FlashSaleStatus,
    Granted,
    RateLimits,
    Refusal,
    Stock,
    Wish,
    admit_count,
    drawn,
    estimated_wait,
    grant,
    inversions,
    news_pause,
    next_rate,
    percentile,
    status_of,
)

USERS = st.sampled_from(["ann", "bob", "cho", "dan"])
WISHES = st.lists(st.builds(Wish, USERS, st.integers(-1, 6)), max_size=30)


@st.composite
def stocks(draw: st.DrawFn) -> Stock:
    """Units, and customers who keep some within their limit already."""
    limit = draw(st.integers(1, 5))
    kept: dict[str, dict[int, int]] = {}
    for user in draw(st.sets(USERS)):
        slots: dict[int, int] = {}
        for slot in draw(st.sets(st.integers(1, limit))):
            if (left := limit - sum(slots.values())) > 0:
                slots[slot] = draw(st.integers(1, left))
        kept[user] = slots
    return Stock(draw(st.integers(0, 30)), limit, kept, draw(st.integers(1, 1000)))


@given(stocks(), WISHES)
def test_a_grant_is_of_units_that_are_there(stock: Stock, wishes: list[Wish]) -> None:
    """Units are conserved, nobody keeps more than the limit, every claim has a number and a slot of its own."""
    after, answers = grant(stock, wishes)
    granted = [(wish, answer) for wish, answer in zip(wishes, answers, strict=True) if isinstance(answer, Granted)]
    assert after.remaining >= 0
    assert stock.remaining - after.remaining == sum(wish.quantity for wish, _ in granted)
    assert [answer.sequence for _, answer in granted] == list(range(stock.next_sequence, after.next_sequence))
    for user, slots in after.kept.items():
        before = stock.kept.get(user, {})
        assert sum(slots.values()) <= stock.limit
        assert set(slots) <= set(range(1, stock.limit + 1))
        assert {slot: slots[slot] for slot in before} == before, "what was kept stays where it was"
        mine = [answer.slot for wish, answer in granted if wish.user_id == user]
        assert len(mine) == len(set(mine)) == len(slots) - len(before)


@given(stocks(), WISHES)
def test_who_is_refused_could_not_have_been_served(stock: Stock, wishes: list[Wish]) -> None:
    """A refusal is never for nothing: served in turn, the wish was over the limit or over what was left."""
    _, answers = grant(stock, wishes)
    left, kept = stock.remaining, Counter({user: sum(slots.values()) for user, slots in stock.kept.items()})
    for wish, answer in zip(wishes, answers, strict=True):
        within = wish.quantity >= 1 and kept[wish.user_id] + wish.quantity <= stock.limit
        if answer is Refusal.PER_CUSTOMER_LIMIT_EXCEEDED:
            assert not within
        elif answer is Refusal.SOLD_OUT:
            assert within
            assert wish.quantity > left
        else:
            assert within
            left -= wish.quantity
            kept[wish.user_id] += wish.quantity


@given(stocks(), WISHES, st.integers(0, 30))
def test_it_makes_no_difference_where_batches_end(stock: Stock, wishes: list[Wish], cut: int) -> None:
    whole, answers = grant(stock, wishes)
    half, first = grant(stock, wishes[:cut])
    again, second = grant(half, wishes[cut:])
    assert (again.remaining, again.next_sequence, first + second) == (whole.remaining, whole.next_sequence, answers)


LIMITS = st.builds(
    lambda least, more, target: RateLimits(least, least + more, target),
    st.integers(1, 1000),
    st.integers(0, 10_000),
    st.floats(0.1, 60),
)


@given(st.integers(0, 20_000), st.none() | st.floats(0, 1000), LIMITS)
def test_the_rate_stays_in_its_bounds_and_moves_the_right_way(
    rate: int, slowest: float | None, limits: RateLimits
) -> None:
    after = next_rate(rate, slowest, limits)
    assert limits.least <= after <= limits.most
    if limits.least <= rate <= limits.most:
        if slowest is None:
            assert after == rate
        elif slowest > limits.target_seconds:
            assert after <= rate
            assert after == limits.least or after >= rate // 2, "halved, not stopped"
        else:
            assert after > rate or after == limits.most


@given(LIMITS)
def test_slow_checkouts_bring_the_rate_to_its_least_and_quick_ones_to_its_most(limits: RateLimits) -> None:
    rate = limits.most
    for _ in range(20):
        rate = next_rate(rate, limits.target_seconds * 2, limits)
    assert rate == limits.least
    for _ in range(40):
        rate = next_rate(rate, 0.0, limits)
    assert rate == limits.most


COUNT = st.integers(-5, 5000)


@given(st.integers(0, 10_000), st.floats(0, 2), COUNT, COUNT, st.integers(0, 5000), st.integers(100, 300))
def test_never_many_more_are_let_in_than_there_are_units(
    rate: int, elapsed: float, waiting: int, remaining: int, outstanding: int, percent: int
) -> None:
    admitted = admit_count(rate, elapsed, waiting, remaining, outstanding, percent)
    assert 0 <= admitted <= max(waiting, 0)
    assert admitted <= rate * elapsed / 60
    if remaining <= 0:
        assert admitted == 0
    if admitted:
        assert admitted + outstanding <= math.ceil(remaining * percent / 100)


TICKETS = st.lists(st.text("ABCDEF0123", min_size=3, max_size=8), unique=True, max_size=40)


@given(TICKETS, st.text("0123456789abcdef", min_size=64, max_size=64), st.randoms())
def test_the_draw_depends_on_the_seed_alone(tickets: list[str], seed: str, dice: object) -> None:
    """Everybody is drawn once, and the order of coming has no say."""
    line = drawn(tickets, seed)
    assert sorted(line) == sorted(tickets)
    assert drawn(sorted(tickets), seed) == drawn(reversed(tickets), seed) == line


def test_every_place_is_as_likely_for_everybody() -> None:
    """400 draws of four: each ticket comes first about a hundred times (a fair draw fails this once in 10**9)."""
    first = Counter(drawn(["a", "b", "c", "d"], str(number))[0] for number in range(400))
    assert all(50 <= first[ticket] <= 160 for ticket in "abcd"), first


@given(st.integers(-10, 100_000), st.integers(0, 10_000))
def test_the_estimate_is_how_long_that_many_take(position: int, rate: int) -> None:
    seconds = estimated_wait(position, rate)
    assert seconds >= 0
    assert seconds * max(rate, 1) >= max(position, 0) * 60
    assert (seconds - 1) * max(rate, 1) < max(position, 0) * 60 or seconds == 0


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_whoever_is_nearer_hears_no_less_often(one: int, other: int) -> None:
    """Never more than four times a second, and every ten seconds at least."""
    near, far = sorted((one, other))
    assert 0.25 <= news_pause(near) <= news_pause(far) <= 10


@given(st.lists(st.integers(0, 50), max_size=40))
def test_inversions_are_the_pairs_that_stand_the_wrong_way_round(order: list[int]) -> None:
    slow = sum(order[i] > order[j] for i in range(len(order)) for j in range(i + 1, len(order)))
    assert inversions(order) == slow


@given(st.lists(st.floats(-1e6, 1e6), max_size=50), st.integers(1, 100))
def test_a_percentile_is_one_of_the_values_and_enough_are_not_above_it(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    if not values:
        assert found is None
        return
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "remaining", "status"),
    [
        (-0.001, 5, FlashSaleStatus.SCHEDULED),
        (0, 5, FlashSaleStatus.OPEN),
        (0, 0, FlashSaleStatus.SOLD_OUT),
        (3599.999, 1, FlashSaleStatus.OPEN),
        (3600, 5, FlashSaleStatus.ENDED),
        (3600, 0, FlashSaleStatus.ENDED),
    ],
)
def test_a_sale_opens_and_ends_on_the_instant(seconds: float, remaining: int, status: FlashSaleStatus) -> None:
    assert status_of(NOON, NOON + timedelta(hours=1), remaining, NOON + timedelta(seconds=seconds)) is status
