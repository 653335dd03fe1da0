"""Amounts, read exactly and split without a remainder."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.kit.money import EXPONENTS, MAX_MINOR, InvalidAmount, allocate, to_decimal, to_minor

currencies = st.sampled_from(sorted(EXPONENTS))
weights = st.lists(st.integers(0, 10**9), min_size=1, max_size=20)


@given(st.integers(-MAX_MINOR, MAX_MINOR), currencies)
def test_an_amount_comes_back_as_it_went(minor: int, currency: str) -> None:
    assert to_minor(to_decimal(minor, currency), currency) == minor


@given(st.decimals(), currencies)
def test_what_is_read_is_exactly_what_was_written(amount: Decimal, currency: str) -> None:
    try:
        minor = to_minor(amount, currency)
    except InvalidAmount:
        return
    assert to_decimal(minor, currency) == amount


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "0.001",
        "1E+999999999",
        "1E-999999999",
        "1.0000000000000000000000000000000000001",
        "10000000000000.01",
        "1" * 40,
    ],
)
def test_what_is_no_amount_is_refused_at_once(text: str) -> None:
    begun = time.monotonic()
    with pytest.raises(InvalidAmount):
        to_minor(Decimal(text), "USD")
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("10.50", "USD", 1050), ("10.500", "USD", 1050), ("1E3", "KRW", 1000), ("-0", "KRW", 0), ("0E-999", "EUR", 0)],
)
def test_amounts_that_are_fine(text: str, currency: str, minor: int) -> None:
    assert to_minor(Decimal(text), currency) == minor


@given(st.integers(-(10**15), 10**15), weights)
def test_parts_sum_to_the_whole_and_are_fair(total: int, shares: list[int]) -> None:
    parts = allocate(total, shares)
    assert sum(parts) == total
    assert all(part * total >= 0 for part in parts), "no part has another sign"
    whole = sum(shares)
    if whole:
        assert all(abs(part * whole - total * share) < whole for part, share in zip(parts, shares, strict=True))
        assert all(part == 0 for part, share in zip(parts, shares, strict=True) if share == 0)


@given(st.integers(0, 10**15), weights)
def test_a_larger_weight_never_gets_less(total: int, shares: list[int]) -> None:
    ranked = sorted(zip(shares, allocate(total, shares), strict=True))
    assert all(later[1] >= earlier[1] for earlier, later in pairwise(ranked) if sum(shares))


@pytest.mark.parametrize("shares", [[], [1, -1]])
def test_weights_that_cannot_be(shares: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        allocate(5, shares)
