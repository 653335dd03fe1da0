"""The states of an order and of its four steps, and which may follow which."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

AUTO_CONFIRM_AFTER = timedelta(days=7)


class OrderStatus(StrEnum):
    PENDING = "PENDING"
    AWAITING_PAYMENT = "AWAITING_PAYMENT"
    PAID = "PAID"
    PREPARING = "PREPARING"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CONFIRMED = "CONFIRMED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    RETURNED = "RETURNED"


S = OrderStatus

NEXT: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    S.PENDING: (S.AWAITING_PAYMENT, S.PAID, S.CANCELED, S.EXPIRED),
    S.AWAITING_PAYMENT: (S.PAID, S.CANCELED, S.EXPIRED),
    S.PAID: (S.PREPARING, S.SHIPPED, S.CANCELED),
    S.PREPARING: (S.SHIPPED, S.CANCELED),
    S.SHIPPED: (S.DELIVERED,),
    S.DELIVERED: (S.CONFIRMED, S.RETURNED),
    S.CONFIRMED: (S.RETURNED,),
    S.CANCELED: (),
    S.EXPIRED: (),
    S.RETURNED: (),
}
"""What may come next. News of shipments may skip a state (PAID to DELIVERED), never go back."""

UNSETTLED = (S.PENDING, S.AWAITING_PAYMENT)
CANCELABLE = (*UNSETTLED, S.PAID, S.PREPARING)
SOLD = (S.PAID, S.PREPARING, S.SHIPPED, S.DELIVERED, S.CONFIRMED)
"""In the order in which an order goes through them."""
UNSOLD = (S.CANCELED, S.EXPIRED)
ENDED = (*UNSOLD, S.RETURNED)
"""No answer and no news of a shipment changes these."""


class StepName(StrEnum):
    RESERVE_STOCK = "RESERVE_STOCK"
    AUTHORIZE_PAYMENT = "AUTHORIZE_PAYMENT"
    REQUEST_DELIVERY = "REQUEST_DELIVERY"
    COMMIT_STOCK = "COMMIT_STOCK"


class Phase(StrEnum):
    """Where a step is. Clients see fewer: ``StepStatus``."""

    IDLE = "IDLE"
    REQUESTED = "REQUESTED"
    DONE = "DONE"
    FAILED = "FAILED"
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"


class StepStatus(StrEnum):
    PENDING = "PENDING"
    DONE = "DONE"
    FAILED = "FAILED"
    COMPENSATED = "COMPENSATED"


STEP_STATUS = {
    Phase.IDLE: StepStatus.PENDING,
    Phase.REQUESTED: StepStatus.PENDING,
    Phase.DONE: StepStatus.DONE,
    Phase.FAILED: StepStatus.FAILED,
    Phase.UNDOING: StepStatus.PENDING,
    Phase.UNDONE: StepStatus.COMPENSATED,
}

FULFILLMENT_RANK = ("UNFULFILLED", "PARTIALLY_FULFILLED", "FULFILLED")

PROGRESS_OF_SHIPMENT = {
    "PREPARING": S.PREPARING,
    "READY": S.PREPARING,
    "DISPATCHED": S.SHIPPED,
    "IN_TRANSIT": S.SHIPPED,
    "OUT_FOR_DELIVERY": S.SHIPPED,
    "ATTEMPT_FAILED": S.SHIPPED,
    "DELIVERED": S.SHIPPED,
}
"""What one shipment's status makes of its order; DELIVERED takes all of the order's shipments."""


def next_transitions(status: OrderStatus, ending: OrderStatus | None) -> tuple[OrderStatus, ...]:
    """What the order may become; an order that is being taken back (``ending``) can only end, or stay as it is."""
    return (ending,) if ending and status not in UNSOLD else NEXT[status]
