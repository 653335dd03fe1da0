"""Returns: who may send what back until when, which state may follow which, what is given back. Pure.

Korean law (전자상거래법 17조): seven days from receipt without a reason, three months when the goods are not what
was promised. Who pays for the parcel back follows from the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from subgraphs.kit.money import allocate
from subgraphs.orders.domain.states import OrderStatus

CHANGE_OF_MIND_WINDOW = timedelta(days=7)
SELLERS_FAULT_WINDOW = timedelta(days=90)


class ReturnStatus(StrEnum):
    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    IN_TRANSIT = "IN_TRANSIT"
    RECEIVED = "RECEIVED"
    REFUNDED = "REFUNDED"
    CANCELED = "CANCELED"


class ReturnReason(StrEnum):
    CHANGED_MIND = "CHANGED_MIND"
    DEFECTIVE = "DEFECTIVE"
    WRONG_ITEM = "WRONG_ITEM"
    NOT_AS_DESCRIBED = "NOT_AS_DESCRIBED"
    DAMAGED_IN_TRANSIT = "DAMAGED_IN_TRANSIT"
    OTHER = "OTHER"


R = ReturnStatus

NEXT: Mapping[ReturnStatus, tuple[ReturnStatus, ...]] = {
    R.REQUESTED: (R.APPROVED, R.REJECTED, R.CANCELED),
    R.APPROVED: (R.IN_TRANSIT, R.RECEIVED, R.CANCELED),
    R.IN_TRANSIT: (R.RECEIVED,),
    R.RECEIVED: (R.REFUNDED,),
    R.REFUNDED: (),
    R.REJECTED: (),
    R.CANCELED: (),
}

OPEN = (R.REQUESTED, R.APPROVED, R.IN_TRANSIT, R.RECEIVED)
"""As long as one of these is open the order is neither confirmed nor forgotten."""
TAKING = (*OPEN, R.REFUNDED)
"""What these name cannot be returned a second time."""

SELLERS_FAULT = frozenset(
    {ReturnReason.DEFECTIVE, ReturnReason.WRONG_ITEM, ReturnReason.NOT_AS_DESCRIBED, ReturnReason.DAMAGED_IN_TRANSIT}
)


@dataclass(frozen=True, slots=True)
class Sent:
    """Units of an order line on their way back. Amounts are minor units."""

    order_line_id: str
    quantity: int
    unit_price: int


def is_open(status: OrderStatus, delivered_at: datetime | None, reason: ReturnReason, now: datetime) -> bool:
    """Whether goods of such an order may be sent back for this reason: a confirmed one only for the seller's fault."""
    if delivered_at is None:
        return False
    if reason in SELLERS_FAULT:
        return status in (OrderStatus.DELIVERED, OrderStatus.CONFIRMED) and now < delivered_at + SELLERS_FAULT_WINDOW
    return status is OrderStatus.DELIVERED and now < delivered_at + CHANGE_OF_MIND_WINDOW


def given_back(received: Sequence[Sent], amount: int, fee: int) -> list[int]:
    """What of a refund is for the units of each line: their price, or its share of a refund that is less than that.

    ``fee``: what was kept of it for the parcel back; what goes beyond the goods is for the way there.
    """
    prices = [each.quantity * each.unit_price for each in received]
    return prices if amount + fee >= sum(prices) else allocate(amount + fee, prices)


def returnable(status: OrderStatus, quantity: int, taken: int, delivered_at: datetime | None, now: datetime) -> int:
    """Units of a line that may still be sent back without giving a reason."""
    return max(0, quantity - taken) if is_open(status, delivered_at, ReturnReason.CHANGED_MIND, now) else 0


def parcel_fee(reason: ReturnReason, fee: int) -> int:
    """What the parcel back costs the buyer: nothing when the seller is to blame."""
    return 0 if reason in SELLERS_FAULT else fee


def refund(received: Sequence[Sent], fee: int, *, shipping: int, whole_order: bool, reason: ReturnReason) -> int:
    """What is given back for the units that arrived, less the parcel back.

    The way there is paid back when the seller is to blame and nothing of the order is kept.
    """
    goods = sum(each.quantity * each.unit_price for each in received)
    there = shipping if whole_order and reason in SELLERS_FAULT else 0
    return max(0, goods + there - fee)
