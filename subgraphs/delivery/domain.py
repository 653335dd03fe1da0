"""Pure rules of delivery: what a shipment may become, what an order's shipments add up to, what shipping costs."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from subgraphs.kit.business_days import add_business_days


class ShipmentStatus(enum.Enum):
    REQUESTED = "REQUESTED"
    PREPARING = "PREPARING"
    READY = "READY"
    DISPATCHED = "DISPATCHED"
    IN_TRANSIT = "IN_TRANSIT"
    OUT_FOR_DELIVERY = "OUT_FOR_DELIVERY"
    DELIVERED = "DELIVERED"
    ATTEMPT_FAILED = "ATTEMPT_FAILED"
    LOST = "LOST"
    CANCELED = "CANCELED"


class ShipmentDirection(enum.Enum):
    OUTBOUND = "OUTBOUND"
    RETURN = "RETURN"


class FulfillmentStatus(enum.Enum):
    UNFULFILLED = "UNFULFILLED"
    PARTIALLY_FULFILLED = "PARTIALLY_FULFILLED"
    FULFILLED = "FULFILLED"


class DeliveryState(enum.Enum):
    """What became of an order's wish to be delivered."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    CANCELED = "CANCELED"


S = ShipmentStatus

WAITING = frozenset({S.REQUESTED, S.PREPARING, S.READY})
"""The goods are still with the seller: it can be cancelled."""

TRACKABLE = frozenset({S.DISPATCHED, S.IN_TRANSIT, S.OUT_FOR_DELIVERY, S.ATTEMPT_FAILED, S.DELIVERED, S.LOST})
"""What a carrier may report."""

_RANK = {
    S.DISPATCHED: 0,
    S.IN_TRANSIT: 1,
    S.OUT_FOR_DELIVERY: 2,
    S.ATTEMPT_FAILED: 2,
    S.LOST: 3,
    S.DELIVERED: 4,
}


@dataclass(frozen=True, slots=True)
class Report:
    """A carrier's word: reports arrive late, twice and in any order."""

    status: ShipmentStatus
    occurred_at: float


def status_after(reports: Iterable[Report]) -> ShipmentStatus:
    """The status that a dispatched shipment's reports add up to, whatever order they arrived in.

    A later stage wins over an earlier one; within a stage the report of what happened last wins (out for delivery,
    attempt failed, out for delivery again). A lost parcel that is delivered after all is delivered.
    """
    best = max(reports, key=lambda each: (_RANK[each.status], each.occurred_at, each.status.value), default=None)
    return best.status if best else S.DISPATCHED


def fulfillment(statuses: Sequence[ShipmentStatus]) -> FulfillmentStatus:
    """How much of an order has left its sellers."""
    live = [status for status in statuses if status is not S.CANCELED]
    left = [status for status in live if status not in WAITING]
    if not left:
        return FulfillmentStatus.UNFULFILLED
    return FulfillmentStatus.FULFILLED if len(left) == len(live) else FulfillmentStatus.PARTIALLY_FULFILLED


def all_delivered(statuses: Sequence[ShipmentStatus]) -> bool:
    """Whether every shipment that was not cancelled has arrived (and there is one)."""
    live = [status for status in statuses if status is not S.CANCELED]
    return bool(live) and all(status is S.DELIVERED for status in live)


_POSTAL_CODE = re.compile(r"\d{5}")

# Jeju, Ulleung and Dokdo, and islands without a bridge, by Korea Post's five-digit ranges (first, last).
_REMOTE = ((63000, 63644), (40200, 40240), (23100, 23136), (58760, 58762), (58800, 58810), (58843, 58866))


def is_postal_code(text: str) -> bool:
    """Five digits, as Korea has used since 2015."""
    return _POSTAL_CODE.fullmatch(text, 0) is not None and text.isascii()


def is_remote(postal_code: str) -> bool:
    """Whether carriers charge a surcharge to go there."""
    number = int(postal_code)
    return any(first <= number <= last for first, last in _REMOTE)


@dataclass(frozen=True, slots=True)
class ShippingProfile:
    """What sending a parcel costs, minor units."""

    base_fee: int
    free_over: int | None
    remote_surcharge: int


def shipping_fee(profile: ShippingProfile, subtotal: int, remote: bool) -> int:
    """What one seller's parcel costs its buyer."""
    free = profile.free_over is not None and subtotal >= profile.free_over
    return (0 if free else profile.base_fee) + (profile.remote_surcharge if remote else 0)


SEOUL = timezone(timedelta(hours=9), "KST")
"""Korea keeps no summer time."""


def seoul_day(instant: datetime) -> date:
    """The day of an instant by the calendar that parcels follow."""
    return instant.astimezone(SEOUL).date()


HEAVY_GRAMS = 20_000


def delivery_window(ordered_on: date, remote: bool, weight_grams: int) -> tuple[date, date]:
    """First and last day on which an order of this day should arrive: business days in Korea."""
    slower = (2 if remote else 0) + (1 if weight_grams > HEAVY_GRAMS else 0)
    first = add_business_days(ordered_on, 1 + slower)
    return first, add_business_days(first, 1 + (1 if remote else 0))


@dataclass(frozen=True, slots=True)
class Carrier:
    """``tracking_number`` is the pattern of the carrier's numbers, ``url`` has ``{number}`` where the number goes."""

    code: str
    name: str
    tracking_number: re.Pattern[str]
    url: str


CARRIERS = {
    carrier.code: carrier
    for carrier in (
        Carrier(
            "CJ",
            "CJ대한통운",
            re.compile(r"[0-9]{10,12}"),
            "https://trace.cjlogistics.com/next/tracking.html?wblNo={number}",
        ),
        Carrier(
            "HANJIN",
            "한진택배",
            re.compile(r"[0-9]{10,14}"),
            "https://www.hanjin.com/kor/CMS/DeliveryMgr/WaybillResult.do?wblnumText2={number}",
        ),
        Carrier(
            "LOTTE",
            "롯데택배",
            re.compile(r"[0-9]{10,13}"),
            "https://www.lotteglogis.com/home/reservation/tracking/linkView?InvNo={number}",
        ),
        Carrier(
            "EPOST",
            "우체국택배",
            re.compile(r"[0-9]{13}"),
            "https://service.epost.go.kr/trace.RetrieveDomRigiTraceList.comm?sid1={number}",
        ),
        Carrier("LOGEN", "로젠택배", re.compile(r"[0-9]{10,13}"), "https://www.ilogen.com/web/personal/trace/{number}"),
    )
}
