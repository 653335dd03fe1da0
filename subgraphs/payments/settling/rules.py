"""What a sale, and what is given back of it, earns a seller: pure arithmetic in minor units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum

from subgraphs.kit.business_days import add_business_days
from subgraphs.kit.money import allocate
from subgraphs.payments.banks import SEOUL
from subgraphs.payments.domain import commission


class SettlementStatus(StrEnum):
    OPEN = "OPEN"
    CLOSED = "CLOSED"
    PAYOUT_REQUESTED = "PAYOUT_REQUESTED"
    PAID = "PAID"
    HELD = "HELD"


class PayoutStatus(StrEnum):
    REQUESTED = "REQUESTED"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


UNDER_WAY = frozenset({PayoutStatus.REQUESTED, PayoutStatus.PROCESSING})


@dataclass(frozen=True, slots=True)
class Terms:
    """The rates of a sale, frozen with it: of the commission, and of the tax on the commission."""

    basis_points: int
    tax_basis_points: int


@dataclass(frozen=True, slots=True)
class Earning:
    """What a line comes to, or how that changes."""

    gross: int = 0
    commission: int = 0
    tax: int = 0

    @property
    def net(self) -> int:
        return self.gross - self.commission - self.tax

    def __add__(self, other: Earning) -> Earning:
        return Earning(self.gross + other.gross, self.commission + other.commission, self.tax + other.tax)

    def __sub__(self, other: Earning) -> Earning:
        return Earning(self.gross - other.gross, self.commission - other.commission, self.tax - other.tax)


def earning(gross: int, terms: Terms) -> Earning:
    """What a line that sold for ``gross`` comes to."""
    fee = commission(gross, terms.basis_points)
    return Earning(gross, fee, commission(fee, terms.tax_basis_points))


def given_back(kept: int, amount: int, terms: Terms) -> Earning:
    """How a refund of ``amount`` changes a line of which ``kept`` was left: at the rates of its sale, and so that what
    all refunds of a line take back is what the sale gave, whatever was rounded."""
    return earning(kept - amount, terms) - earning(kept, terms)


def shares(amount: int, lines: Sequence[int], rest: int, named: Sequence[int] | None = None) -> list[int]:
    """A refund divided among the ``lines`` of sellers, of each of which so much is left, and at the end the ``rest``
    that is no seller's (shipping, the shop's own goods). The parts sum to ``amount``; none is more than is left.

    ``named``: how much of each line came back, if that is known; what goes beyond that is the shop's before it is
    the sellers'. Otherwise all bear it in proportion. Raises ValueError when more is given back than is left.
    """
    left = [*lines, rest]
    if amount < 0 or amount > sum(left) or min(left) < 0:
        raise ValueError(f"{amount} to give back, {left} left")
    if named is None:
        return _among(amount, left)
    wanted = [min(one, other) for one, other in zip(named, lines, strict=True)]
    of_named = min(amount, sum(wanted))
    of_rest = min(amount - of_named, rest)
    parts = _among(of_named, wanted)
    beyond = _among(amount - of_named - of_rest, [line - part for line, part in zip(lines, parts, strict=True)])
    return [*(part + more for part, more in zip(parts, beyond, strict=True)), of_rest]


def _among(amount: int, weights: Sequence[int]) -> list[int]:
    return allocate(amount, weights) if amount else [0] * len(weights)


def seoul_day(instant: datetime) -> date:
    """The day in Seoul on which it happened."""
    return instant.astimezone(SEOUL).date()


def midnight(day: date) -> datetime:
    """When the day begins in Seoul."""
    return datetime.combine(day, time(), SEOUL)


def next_business_day(day: date) -> date:
    """The first day after it on which Korean banks work."""
    return add_business_days(day, 1)
