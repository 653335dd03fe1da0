"""The rules that need no database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.products import text
from subgraphs.products.domain import (
    Availability,
    InvalidNumber,
    Wanted,
    amount_of,
    availability,
    average_rating,
    daily_value_percent,
    grant,
    scaled_amount,
    sum_lines,
)
from subgraphs.products.search import scaled_bound

VARIANTS = st.sampled_from(["a", "b", "c", "d"])
ORDERS = st.lists(st.dictionaries(VARIANTS, st.integers(-1, 6), max_size=3), max_size=12)


@given(st.dictionaries(VARIANTS, st.integers(0, 10)), ORDERS)
def test_orders_are_served_whole_and_never_beyond_what_is_there(
    stock: Mapping[str, int], orders: list[dict[str, int]]
) -> None:
    wanted = [Wanted(str(index), units) for index, units in enumerate(orders)]
    served, short = grant(stock, wanted)
    assert [order.order_id for order in wanted] == sorted(
        [order.order_id for order in served] + list(short), key=int
    ), "each is served or short"
    for variant in "abcd":
        assert sum(order.units.get(variant, 0) for order in served) <= stock.get(variant, 0)
    assert all(units > 0 for order in served for units in order.units.values())


@given(st.dictionaries(VARIANTS, st.integers(0, 10)), ORDERS)
def test_nobody_is_refused_what_would_still_be_there_at_the_end(
    stock: Mapping[str, int], orders: list[dict[str, int]]
) -> None:
    wanted = [Wanted(str(index), units) for index, units in enumerate(orders)]
    served, short = grant(stock, wanted)
    left = {v: stock.get(v, 0) - sum(order.units.get(v, 0) for order in served) for v in "abcd"}
    for order in wanted:
        if order.order_id in short and order.units and min(order.units.values()) > 0:
            assert any(left[variant] < units for variant, units in order.units.items())


@given(st.lists(st.tuples(VARIANTS, st.integers(1, 9))))
def test_lines_sum_to_one_demand_a_variant_in_variant_order(lines: list[tuple[str, int]]) -> None:
    summed = sum_lines(lines)
    assert sum(summed.values()) == sum(quantity for _, quantity in lines)
    assert list(summed) == sorted(summed)


@given(st.decimals(min_value="0.000001", max_value="1000000000", places=6))
def test_amounts_are_exact(amount: Decimal) -> None:
    assert amount_of(scaled_amount(amount)) == amount


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity", "0", "-1", "1e-7", "1e10", "1e999999", "sNaN"])
def test_what_is_no_amount_is_refused(bad: str) -> None:
    with pytest.raises(InvalidNumber):
        scaled_amount(Decimal(bad))


def test_amounts_have_no_exponent_and_no_needless_zeros() -> None:
    assert [str(amount_of(each)) for each in (100_000_000, 1_500_000, 10)] == ["100", "1.5", "0.00001"]


def test_daily_values_and_ratings_are_rounded_half_up() -> None:
    assert daily_value_percent(1_000_500, 1_000_000_000) == Decimal("0.1")
    assert daily_value_percent(500_000, 1_000_000_000) == Decimal("0.1")
    assert daily_value_percent(1, None) is None
    assert (average_rating(10, 3), average_rating(0, 0)) == (Decimal("3.33"), None)


def test_availability_says_what_a_buyer_can_expect() -> None:
    now = datetime.now(UTC)
    soon, past = now + timedelta(days=1), now - timedelta(days=1)
    assert availability(0, soon, now) is Availability.OUT_OF_STOCK
    assert availability(6, soon, now) is Availability.PREORDER
    assert availability(6, past, now) is Availability.IN_STOCK
    assert [availability(each, None, now) for each in (6, 5, 1, 0, -1)] == [
        Availability.IN_STOCK,
        Availability.LOW_STOCK,
        Availability.LOW_STOCK,
        Availability.OUT_OF_STOCK,
        Availability.OUT_OF_STOCK,
    ]


def test_price_bounds_may_lie_between_two_minor_units() -> None:
    bounds = [scaled_bound(Decimal(each), 0, upper=False) for each in ("10.5", "10", "-3", "1e30", "NaN")]
    assert bounds == [11, 10, -3, 10**15, None]
    assert [scaled_bound(Decimal(each), 0, upper=True) for each in ("10.5", "-1e30")] == [10, 0]
    assert [scaled_bound(Decimal(each), 6, upper=True) for each in ("1e15", "9999999999", "-1e15")] == [
        10**15,
        10**15,
        -(10**15),
    ], "no more than a column can hold"


WORDS = st.text(alphabet="가나다라비타민abcXYZ019 -,", min_size=1, max_size=30)


@given(WORDS)
def test_a_text_is_found_by_its_own_words(name: str) -> None:
    grams = text.document_grams(name)
    for wanted in text.query_grams(name):
        assert wanted <= grams


@given(st.text(alphabet="가나다라비타민종합", min_size=2, max_size=10), st.data())
def test_a_korean_name_is_found_by_any_part_and_by_its_initials(name: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(name) - 1))
    end = data.draw(st.integers(start + 1, len(name)))
    grams = text.document_grams(name, with_initials=True)
    for query in (name[start:end], text.initials(name)[start:end]):
        assert all(wanted <= grams for wanted in text.query_grams(query))


def test_words_have_one_spelling() -> None:
    assert text.words("Ｖitamin Ｃ 1,000mg 비타민D3") == ["vitamin", "c", "1000mg", "비타민", "d3"]
    assert text.initials("비타민") == "ㅂㅌㅁ"
    assert text.initials("iron") == ""
    assert text.slug("비타민 C!", "AB12") == "비타민-c-ab12"


@given(st.text())
def test_any_text_can_be_asked_for(query: str) -> None:
    for wanted in text.query_grams(query):
        assert wanted
