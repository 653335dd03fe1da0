"""The rules of the catalogue and of stock. Pure: no clock, no database, no GraphQL."""

from __future__ import annotations

import enum
import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

LOW_STOCK = 5
MAX_UNITS = 1_000_000_000
"""Units of a variant: far above any warehouse, and inside GraphQL's Int."""
AMOUNT_SCALE = 6
"""Nutrient amounts are kept as whole millionths of the nutrient's unit."""
MAX_AMOUNT = 10**15


class ProductStatus(enum.Enum):
    DRAFT = "DRAFT"
    PENDING_REVIEW = "PENDING_REVIEW"
    REJECTED = "REJECTED"
    PUBLISHED = "PUBLISHED"
    SUSPENDED = "SUSPENDED"
    ARCHIVED = "ARCHIVED"


EDITABLE = frozenset({ProductStatus.DRAFT, ProductStatus.REJECTED, ProductStatus.PUBLISHED, ProductStatus.SUSPENDED})
"""Not while it is being reviewed: what is approved must be what was read."""
SUBMITTABLE = frozenset({ProductStatus.DRAFT, ProductStatus.REJECTED})


class Availability(enum.Enum):
    IN_STOCK = "IN_STOCK"
    LOW_STOCK = "LOW_STOCK"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PREORDER = "PREORDER"


def availability(available: int, preorder_ships_at: datetime | None, now: datetime) -> Availability:
    """What a buyer is told. A preorder has units to sell, too; it stops being one when it ships."""
    if available <= 0:
        return Availability.OUT_OF_STOCK
    if preorder_ships_at is not None and preorder_ships_at > now:
        return Availability.PREORDER
    return Availability.LOW_STOCK if available <= LOW_STOCK else Availability.IN_STOCK


class StockMovementType(enum.Enum):
    RECEIVED = "RECEIVED"
    ADJUSTED = "ADJUSTED"
    RESERVED = "RESERVED"
    RELEASED = "RELEASED"
    ALLOCATED = "ALLOCATED"
    SHIPPED = "SHIPPED"
    RETURNED = "RETURNED"


class ReservationState(enum.Enum):
    """HELD and COMMITTED keep units; SHIPPED has sent them; the others keep none."""

    HELD = "HELD"
    COMMITTED = "COMMITTED"
    SHIPPED = "SHIPPED"
    EXPIRED = "EXPIRED"
    RELEASED = "RELEASED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Units that one order wants, the lines of a variant summed."""

    order_id: str
    units: Mapping[str, int]


def sum_lines(lines: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Units by variant, in variant order: the same variant on two lines is one demand."""
    units: dict[str, int] = {}
    for variant_id, quantity in lines:
        units[variant_id] = units.get(variant_id, 0) + quantity
    return dict(sorted(units.items()))


def grant(available: Mapping[str, int], orders: Sequence[Wanted]) -> tuple[list[Wanted], dict[str, dict[str, int]]]:
    """Serve the orders one after the other, each whole or not at all.

    Gives those that are served, and for each of the others the variants that are short with what is left of them.
    A variant that is not in ``available`` has nothing; a demand that is not positive cannot be served.
    """
    left = dict(available)
    served: list[Wanted] = []
    short: dict[str, dict[str, int]] = {}
    for order in orders:
        missing = {
            variant: max(left.get(variant, 0), 0)
            for variant, units in order.units.items()
            if units <= 0 or left.get(variant, 0) < units
        }
        if missing or not order.units:
            short[order.order_id] = missing
            continue
        for variant, units in order.units.items():
            left[variant] -= units
        served.append(order)
    return served, short


class InvalidNumber(ValueError):
    """Not a number that can be kept exactly."""


def scaled_amount(amount: Decimal) -> int:
    """A nutrient amount in millionths. Raises InvalidNumber for NaN, zero, negatives, too many digits, too much."""
    try:
        if not amount.is_finite() or amount.adjusted() > 15:
            raise InvalidNumber("Not a usable amount.")
        scaled = amount.scaleb(AMOUNT_SCALE)
        whole = int(scaled)
    except InvalidOperation:
        raise InvalidNumber("Not a usable amount.") from None
    if scaled != whole:
        raise InvalidNumber(f"At most {AMOUNT_SCALE} digits after the point.")
    if not 0 < whole <= MAX_AMOUNT:
        raise InvalidNumber("An amount is more than 0 and at most 1000000000.")
    return whole


def amount_of(scaled: int) -> Decimal:
    """The exact decimal, without needless zeros: 1500000 is ``Decimal("1.5")``."""
    value = Decimal(scaled).scaleb(-AMOUNT_SCALE).normalize()
    return value if value.as_tuple().exponent <= 0 else value.quantize(Decimal(1))  # type: ignore[operator]


def daily_value_percent(scaled: int, reference: int | None) -> Decimal | None:
    """Percent of the daily reference amount, to one digit; None for a nutrient without a reference."""
    if not reference:
        return None
    return (Decimal(scaled) * 100 / Decimal(reference)).quantize(Decimal("0.1"), ROUND_HALF_UP)


def average_rating(total: int, count: int) -> Decimal | None:
    """The mean to two digits; None without ratings."""
    return (Decimal(total) / count).quantize(Decimal("0.01"), ROUND_HALF_UP) if count else None


def helpfulness(body: str) -> int:
    """How much a review tells: its length in characters, up to 500."""
    return min(len(body), 500)


def duplicate_key(partner_id: str | None, name: str) -> str:
    """Equal for two products of one seller that differ only in case, width, spacing or punctuation of the name."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    letters = "".join(character for character in folded if character.isalnum())
    return hashlib.sha256(f"{partner_id or ''}:{letters}".encode()).hexdigest()[:40]


def text_problem(text: str, *, at_most: int, multiline: bool = False) -> str | None:
    """Why a text cannot be taken, or None: empty, too long, control characters."""
    if not text.strip():
        return "This must not be empty."
    if len(text) > at_most:
        return f"At most {at_most} characters."
    allowed = {"\n", "\r", "\t"} if multiline else set()
    if any(unicodedata.category(each) in ("Cc", "Cs") and each not in allowed for each in text):
        return "Control characters are not allowed."
    return None
