"""The rules of a flash sale. Pure: no clock, no database."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


class FlashSaleStatus(enum.Enum):
    SCHEDULED = "SCHEDULED"
    OPEN = "OPEN"
    SOLD_OUT = "SOLD_OUT"
    ENDED = "ENDED"


class QueueTicketStatus(enum.Enum):
    """EXPIRED: let in, and the admission ran out unused. LEFT: the sale ended before his turn."""

    WAITING = "WAITING"
    ADMITTED = "ADMITTED"
    EXPIRED = "EXPIRED"
    LEFT = "LEFT"


class ClaimState(enum.Enum):
    """HELD and ORDERED keep units; EXPIRED never became an order, RETURNED was one that ended without a sale."""

    HELD = "HELD"
    ORDERED = "ORDERED"
    EXPIRED = "EXPIRED"
    RETURNED = "RETURNED"


KEEPING = (ClaimState.HELD.value, ClaimState.ORDERED.value)


def status_of(starts_at: datetime, ends_at: datetime, remaining: int, now: datetime) -> FlashSaleStatus:
    """What the sale is at ``now``. Sold out is not the end: a unit may come back."""
    if now < starts_at:
        return FlashSaleStatus.SCHEDULED
    if now >= ends_at:
        return FlashSaleStatus.ENDED
    return FlashSaleStatus.OPEN if remaining > 0 else FlashSaleStatus.SOLD_OUT


def drawn(ticket_ids: Iterable[str], seed: str) -> list[str]:
    """The line of those who came before the opening: an order that nobody could know before the seed was there, and
    that anyone can check afterwards."""
    return sorted(ticket_ids, key=lambda ticket: hashlib.sha256(f"{seed}:{ticket}".encode()).digest())


@dataclass(frozen=True, slots=True)
class Stock:
    """Units of an item that can be claimed. ``kept``: by customer, the units that each of his slots has; a claim takes
    a slot, and there are as many slots as the limit has units."""

    remaining: int
    limit: int
    kept: Mapping[str, Mapping[int, int]]
    next_sequence: int


@dataclass(frozen=True, slots=True)
class Wish:
    user_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Granted:
    sequence: int
    slot: int


class Refusal(enum.Enum):
    SOLD_OUT = "SOLD_OUT"
    PER_CUSTOMER_LIMIT_EXCEEDED = "PER_CUSTOMER_LIMIT_EXCEEDED"


def grant(stock: Stock, wishes: Sequence[Wish]) -> tuple[Stock, list[Granted | Refusal]]:
    """Serve the wishes in turn, each whole or not at all; the stock afterwards and an answer for each."""
    remaining, sequence = stock.remaining, stock.next_sequence
    kept = {user: dict(slots) for user, slots in stock.kept.items()}
    answers: list[Granted | Refusal] = []
    for wish in wishes:
        mine = kept.setdefault(wish.user_id, {})
        if wish.quantity < 1 or sum(mine.values()) + wish.quantity > stock.limit:
            answers.append(Refusal.PER_CUSTOMER_LIMIT_EXCEEDED)
        elif wish.quantity > remaining:
            answers.append(Refusal.SOLD_OUT)
        else:
            slot = next(number for number in range(1, stock.limit + 1) if number not in mine)
            mine[slot] = wish.quantity
            answers.append(Granted(sequence, slot))
            remaining -= wish.quantity
            sequence += 1
    return Stock(remaining, stock.limit, kept, sequence), answers


@dataclass(frozen=True, slots=True)
class RateLimits:
    """People a minute, and the checkout that the shop is to keep up with."""

    least: int
    most: int
    target_seconds: float


def next_rate(rate: int, slowest_seconds: float | None, limits: RateLimits) -> int:
    """Additive increase while checkouts are quick, halved when one is slow (AIMD); None: nothing measured, stay."""
    if slowest_seconds is None:
        wanted = rate
    elif slowest_seconds > limits.target_seconds:
        wanted = rate // 2
    else:
        wanted = rate + max(1, limits.most // 20)
    return max(limits.least, min(limits.most, wanted))


def admit_count(
    rate: int, elapsed_seconds: float, waiting: int, remaining: int, outstanding: int, overbooking_percent: int
) -> int:
    """How many to let in now. ``outstanding``: let in before, and neither claimed nor expired yet.

    Never many more than there are units for: whoever is let in shall find something. Nobody while all is claimed.
    """
    if remaining <= 0 or waiting <= 0:
        return 0
    seats = math.ceil(remaining * overbooking_percent / 100) - outstanding
    return max(0, min(waiting, seats, int(rate * elapsed_seconds / 60)))


def estimated_wait(position: int, rate: int) -> int:
    """Seconds until the position is let in at this rate (people a minute)."""
    return math.ceil(max(position, 0) * 60 / max(rate, 1))


def news_pause(wait_seconds: int) -> float:
    """Seconds until somebody who has to wait so long is told his position anew: those in front hear every step, those
    far behind now and then."""
    return min(max(wait_seconds / 20, 0.25), 10.0)


def inversions(order: Sequence[int]) -> int:
    """Pairs that stand the wrong way round: 0 for a line that was kept."""
    if len(order) < 2:
        return 0
    middle = len(order) // 2
    left, right = list(order[:middle]), list(order[middle:])
    count = inversions(left) + inversions(right)
    left.sort()
    right.sort()
    position = 0
    for number in right:
        while position < len(left) and left[position] <= number:
            position += 1
        count += len(left) - position
    return count


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile; None without values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
