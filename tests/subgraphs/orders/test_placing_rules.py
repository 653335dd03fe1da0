"""What an order costs, for any cart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.kit.errors import Rejected
from subgraphs.orders.domain.placing import (
    MAX_QUANTITY,
    Line,
    PricedLine,
    ShippingProfile,
    Variant,
    merge_lines,
    price,
    shipping_fee,
)

fees = st.integers(0, 10_000)
profiles = st.builds(ShippingProfile, st.just("KRW"), fees, fees, st.none() | st.integers(0, 100_000))


def variant(number: int, amount: int, partner: str | None, profile: str) -> Variant:
    return Variant(str(number), "P", "S", "name", amount, "KRW", profile, True, partner)


@st.composite
def carts(draw: st.DrawFn) -> tuple[list[PricedLine], dict[str, ShippingProfile]]:
    known = draw(st.dictionaries(st.sampled_from("abc"), profiles, min_size=1))
    lines = draw(
        st.lists(
            st.tuples(
                st.integers(0, 50_000),
                st.sampled_from([None, "X", "Y"]),
                st.sampled_from(sorted(known)),
                st.integers(1, 9),
            ),
            min_size=1,
            max_size=8,
        )
    )
    return [PricedLine(variant(n, amount, who, how), q) for n, (amount, who, how, q) in enumerate(lines)], known


@given(carts())
def test_shipping_is_the_sum_of_the_sellers_parcels(cart: tuple[list[PricedLine], dict[str, ShippingProfile]]) -> None:
    lines, known = cart
    sellers = {line.variant.partner_id for line in lines}
    apart = [
        shipping_fee([line for line in lines if line.variant.partner_id == seller], known, remote=False, field=[])
        for seller in sellers
    ]
    assert shipping_fee(lines, known, remote=False, field=[]) == sum(apart)


@given(carts())
def test_a_remote_parcel_never_costs_less(cart: tuple[list[PricedLine], dict[str, ShippingProfile]]) -> None:
    lines, known = cart
    near, far = (shipping_fee(lines, known, remote=remote, field=[]) for remote in (False, True))
    assert 0 <= near <= far


@given(carts())
def test_the_total_is_the_lines_and_the_shipping(cart: tuple[list[PricedLine], dict[str, ShippingProfile]]) -> None:
    lines, known = cart
    wanted = [Line(line.variant.variant_id, line.quantity) for line in lines]
    variants = {line.variant.variant_id: line.variant for line in lines}
    priced = price(wanted, variants, known, frozenset(), remote=False, field=[])
    assert priced.total == sum(line.total for line in lines) + shipping_fee(lines, known, remote=False, field=[])


def test_the_dearest_profile_of_a_parcel_decides_it() -> None:
    known = {"a": ShippingProfile("KRW", 3000, 0, 50_000), "b": ShippingProfile("KRW", 9000, 500)}
    lines = [PricedLine(variant(1, 60_000, "X", "a"), 1), PricedLine(variant(2, 1, "X", "b"), 1)]
    assert shipping_fee(lines, known, remote=True, field=[]) == 9500
    assert shipping_fee(lines[:1], known, remote=False, field=[]) == 0


def test_shipping_without_a_known_price_is_no_order() -> None:
    lines = [PricedLine(variant(1, 1000, None, "unknown"), 1)]
    with pytest.raises(Rejected) as refused:
        shipping_fee(lines, {}, remote=False, field=["input"])
    assert refused.value.code == "SERVICE_UNAVAILABLE"


def test_lines_of_two_currencies_are_no_order() -> None:
    won, dollar = variant(1, 1000, None, "a"), Variant("2", "P", "S", "n", 10, "USD", "a", True)
    with pytest.raises(Rejected) as refused:
        price([Line("1", 1), Line("2", 1)], {"1": won, "2": dollar}, {}, frozenset(), remote=False, field=[])
    assert refused.value.code == "INVALID"


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 400)), min_size=1, max_size=10))
def test_merging_keeps_every_unit_or_refuses(given: list[tuple[str, int]]) -> None:
    totals = {name: sum(n for other, n in given if other == name) for name, _ in given}
    lines = [Line(name, number) for name, number in given]
    if max(totals.values()) > MAX_QUANTITY:
        with pytest.raises(Rejected):
            merge_lines(lines, [])
    else:
        assert {line.variant_id: line.quantity for line in merge_lines(lines, [])} == totals
