"""Delivery's pure rules."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.delivery.domain import (
    TRACKABLE,
    FulfillmentStatus,
    Report,
    ShipmentStatus,
    ShippingProfile,
    all_delivered,
    fulfillment,
    is_postal_code,
    is_remote,
    shipping_fee,
    status_after,
)
from subgraphs.kit.business_days import add_business_days

S = ShipmentStatus
reports = st.lists(
    st.builds(Report, st.sampled_from(sorted(TRACKABLE, key=lambda each: each.value)), st.floats(0, 1e9)), max_size=8
)


@given(reports, st.randoms())
def test_the_order_of_arrival_does_not_matter(given_reports: list[Report], random: object) -> None:
    shuffled = list(given_reports)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert status_after(shuffled) is status_after(given_reports)


@given(reports)
def test_a_delivered_parcel_stays_delivered(given_reports: list[Report]) -> None:
    assert status_after([*given_reports, Report(S.DELIVERED, 0)]) is S.DELIVERED


def test_a_second_attempt_follows_a_failed_one() -> None:
    first = [Report(S.OUT_FOR_DELIVERY, 1), Report(S.ATTEMPT_FAILED, 2)]
    assert status_after(first) is S.ATTEMPT_FAILED
    assert status_after([*first, Report(S.OUT_FOR_DELIVERY, 3)]) is S.OUT_FOR_DELIVERY
    assert status_after([*first, Report(S.IN_TRANSIT, 9)]) is S.ATTEMPT_FAILED


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], FulfillmentStatus.UNFULFILLED),
        ([S.REQUESTED, S.READY], FulfillmentStatus.UNFULFILLED),
        ([S.DISPATCHED, S.READY], FulfillmentStatus.PARTIALLY_FULFILLED),
        ([S.DISPATCHED, S.CANCELED], FulfillmentStatus.FULFILLED),
        ([S.CANCELED], FulfillmentStatus.UNFULFILLED),
    ],
)
def test_an_order_is_fulfilled_when_all_that_goes_has_gone(
    statuses: list[ShipmentStatus], expected: FulfillmentStatus
) -> None:
    assert fulfillment(statuses) is expected


def test_an_order_without_live_shipments_is_not_delivered() -> None:
    assert not all_delivered([S.CANCELED])
    assert all_delivered([S.CANCELED, S.DELIVERED])
    assert not all_delivered([S.DELIVERED, S.IN_TRANSIT])


@pytest.mark.parametrize(
    ("subtotal", "remote", "fee"), [(0, False, 3000), (49_999, False, 3000), (50_000, False, 0), (50_000, True, 4000)]
)
def test_shipping_is_free_from_a_sum_on_but_far_islands_cost_more(subtotal: int, remote: bool, fee: int) -> None:
    assert shipping_fee(ShippingProfile(3000, 50_000, 4000), subtotal, remote) == fee


def test_without_a_free_limit_shipping_is_never_free() -> None:
    assert shipping_fee(ShippingProfile(3000, None, 0), 10**9, False) == 3000


@pytest.mark.parametrize(
    ("code", "known"), [("06236", True), ("6236", False), ("062360", False), ("06-36", False), ("０６２３６", False)]
)
def test_a_postal_code_has_five_ascii_digits(code: str, known: bool) -> None:
    assert is_postal_code(code) is known


def test_jeju_and_ulleung_are_remote_and_seoul_is_not() -> None:
    assert [is_remote(code) for code in ("63122", "40205", "06236")] == [True, True, False]


@given(st.dates(date(2020, 1, 1), date(2040, 1, 1)), st.integers(1, 12))
def test_business_days_are_never_weekends_and_grow(day: date, count: int) -> None:
    reached = add_business_days(day, count)
    assert reached.weekday() < 5
    assert reached >= day + timedelta(days=count)
    assert add_business_days(day, count + 1) > reached


def test_korean_holidays_are_not_business_days() -> None:
    assert add_business_days(date(2026, 12, 24), 1) == date(2026, 12, 28), "Christmas is a Friday, then a weekend"
