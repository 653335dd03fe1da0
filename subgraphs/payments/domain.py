"""What happens to a payment when the provider has spoken: pure decisions, no I/O.

A payment is captured at most once. What the provider says may come late, twice or out of order; a decision looks only
at the payment as it is now and never takes a finished one back, except for a deposit that the bank reversed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class PaymentStatus(StrEnum):
    READY = "READY"
    IN_PROGRESS = "IN_PROGRESS"
    WAITING_FOR_DEPOSIT = "WAITING_FOR_DEPOSIT"
    DONE = "DONE"
    CANCELED = "CANCELED"
    PARTIAL_CANCELED = "PARTIAL_CANCELED"
    ABORTED = "ABORTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"


class MethodKind(StrEnum):
    CARD = "CARD"
    BILLING_KEY = "BILLING_KEY"
    VIRTUAL_ACCOUNT = "VIRTUAL_ACCOUNT"
    TRANSFER = "TRANSFER"
    EASY_PAY = "EASY_PAY"


class MethodStatus(StrEnum):
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


class Operation(StrEnum):
    CONFIRM = "CONFIRM"
    BILLING_CHARGE = "BILLING_CHARGE"
    ISSUE_VIRTUAL_ACCOUNT = "ISSUE_VIRTUAL_ACCOUNT"
    CANCEL = "CANCEL"
    QUERY = "QUERY"


class AttemptOutcome(StrEnum):
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    RETRYABLE = "RETRYABLE"
    UNKNOWN = "UNKNOWN"


class RefundStatus(StrEnum):
    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


S = PaymentStatus
IN_FLIGHT = frozenset({S.IN_PROGRESS, S.UNKNOWN})
"""A call to the provider has begun and its outcome is not recorded."""
UNPAID = frozenset({S.READY, S.IN_PROGRESS, S.UNKNOWN, S.WAITING_FOR_DEPOSIT})
CAPTURED = frozenset({S.DONE, S.PARTIAL_CANCELED})
ENDED_UNPAID = frozenset({S.CANCELED, S.ABORTED, S.EXPIRED})


@dataclass(frozen=True, slots=True)
class Account:
    """A virtual account as issued. ``secret`` proves that a deposit's webhook is the provider's."""

    bank_code: str
    number: str
    holder: str
    due_at: datetime
    secret: str | None


@dataclass(frozen=True, slots=True)
class Captured:
    """The provider has the money."""

    provider_key: str
    amount: int
    approved_at: datetime
    kind: MethodKind
    summary: str
    receipt_url: str | None = None


@dataclass(frozen=True, slots=True)
class AwaitsDeposit:
    """An account is issued and nothing (or: nothing any more) is in it."""

    provider_key: str
    account: Account


@dataclass(frozen=True, slots=True)
class Declined:
    """Certainly not charged. ``code`` is a UserErrorCode; ``retryable``: another try or another card may do."""

    code: str
    message: str
    provider_code: str | None = None
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The provider has closed the payment unpaid: expired or canceled."""

    expired: bool = False


@dataclass(frozen=True, slots=True)
class Retryable:
    """Refused for a reason that passes. Whether it was charged must still be asked before the next try."""

    provider_code: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """No answer, or none that tells: charged or not, nobody knows yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The provider knows no executed payment of this order."""


Verdict = Captured | AwaitsDeposit | Declined | Gone | Retryable | Unclear | Absent


class Told(StrEnum):
    """What the other subgraphs are told."""

    CAPTURED = "CAPTURED"
    FAILED = "FAILED"
    AWAITING = "AWAITING"
    CANCELED = "CANCELED"


class Booking(StrEnum):
    """Kinds of ledger transactions."""

    CAPTURE = "CAPTURE"
    REFUND = "REFUND"
    REVERSAL = "REVERSAL"


@dataclass(frozen=True, slots=True)
class PaymentState:
    """What decisions about a payment rest on. ``refunding``: the sum of refunds under way; ``operation``: of the
    attempt that the verdict answers, if any."""

    status: PaymentStatus
    amount: int
    captured: int = 0
    refunded: int = 0
    refunding: int = 0
    operation: Operation | None = None
    cancel_requested: bool = False
    kind: MethodKind = MethodKind.BILLING_KEY

    def to_give_back(self, captured: int) -> int:
        """What to refund unasked. A deposit's way back is an account that only a person can name."""
        return 0 if self.kind is MethodKind.VIRTUAL_ACCOUNT else captured - self.refunded - self.refunding


@dataclass(frozen=True, slots=True)
class Decision:
    """The payment's next state and what follows from it. ``refund``: amount to give back of our own accord."""

    status: PaymentStatus
    captured: int
    cancel_requested: bool
    told: tuple[Told, ...] = ()
    booking: Booking | None = None
    refund: int = 0
    failure: Declined | None = None
    look_again: bool = False
    changed: bool = field(default=True)


def decide(payment: PaymentState, verdict: Verdict) -> Decision:
    """What a verdict does to a payment."""
    if isinstance(verdict, Captured):
        return _captured(payment, verdict)
    if isinstance(verdict, AwaitsDeposit):
        return _awaits_deposit(payment)
    if isinstance(verdict, Declined):
        return _declined(payment, verdict)
    if isinstance(verdict, Gone):
        return _gone(payment, verdict)
    return _unclear(payment)


def cancel(payment: PaymentState) -> Decision:
    """What the wish to give everything back does: at once when nothing runs, else after the outcome is known."""
    if payment.status is S.READY:
        return _next(payment, S.CANCELED, told=(Told.CANCELED,), cancel_requested=True)
    if payment.status in CAPTURED:
        refund = payment.to_give_back(payment.captured)
        return _next(payment, payment.status, cancel_requested=True, refund=refund)
    if payment.status in ENDED_UNPAID:
        told = (Told.CANCELED,) if payment.refunded == payment.captured else ()
        return _next(payment, payment.status, cancel_requested=True, told=told)
    return _next(payment, payment.status, cancel_requested=True, look_again=True)


def refunded(payment: PaymentState, amount: int) -> Decision:
    """What a refund that the provider has made does. Raises ValueError when it exceeds the capture."""
    total = payment.refunded + amount
    if amount <= 0 or total > payment.captured:
        raise ValueError(f"refund of {amount} with {payment.captured - payment.refunded} left")
    whole = total == payment.captured
    told = (Told.CANCELED,) if whole else ()
    return _next(payment, S.CANCELED if whole else S.PARTIAL_CANCELED, told=told, booking=Booking.REFUND)


def commission(total: int, basis_points: int) -> int:
    """The commission on a line's total in minor units, a half rounded up."""
    return (total * basis_points + 5_000) // 10_000


def _captured(payment: PaymentState, verdict: Captured) -> Decision:
    if verdict.amount != payment.amount:
        return _unclear(payment)
    if payment.status in CAPTURED or payment.captured:
        return _same(payment)
    if payment.status in ENDED_UNPAID:
        # Too late: the order was told that nothing was taken. It goes back, and nobody is told of a capture.
        return _next(
            payment,
            S.DONE,
            captured=payment.amount,
            cancel_requested=True,
            booking=Booking.CAPTURE,
            refund=payment.to_give_back(payment.amount),
        )
    return _next(
        payment,
        S.DONE,
        captured=payment.amount,
        told=(Told.CAPTURED,),
        booking=Booking.CAPTURE,
        refund=payment.to_give_back(payment.amount) if payment.cancel_requested else 0,
    )


def _awaits_deposit(payment: PaymentState) -> Decision:
    if payment.status in (S.READY, *IN_FLIGHT):
        told = () if payment.cancel_requested else (Told.AWAITING,)
        return _next(payment, S.WAITING_FOR_DEPOSIT, told=told, look_again=payment.cancel_requested)
    if payment.status is S.DONE and not payment.refunded:
        return _next(
            payment,
            S.WAITING_FOR_DEPOSIT,
            captured=0,
            told=(Told.AWAITING,),
            booking=Booking.REVERSAL,
            look_again=payment.cancel_requested,
        )
    return _same(payment)


def _declined(payment: PaymentState, verdict: Declined) -> Decision:
    if payment.status not in IN_FLIGHT:
        return _same(payment)
    if payment.cancel_requested:
        return _next(payment, S.CANCELED, told=(Told.CANCELED,), failure=verdict)
    if payment.operation in (Operation.CONFIRM, Operation.ISSUE_VIRTUAL_ACCOUNT):
        return _next(payment, S.READY, failure=verdict)  # the buyer is there and may try another way
    return _next(payment, S.ABORTED, told=(Told.FAILED,), failure=verdict)


def _gone(payment: PaymentState, verdict: Gone) -> Decision:
    if payment.status not in (S.WAITING_FOR_DEPOSIT, *IN_FLIGHT):
        return _same(payment)
    if payment.cancel_requested:
        return _next(payment, S.CANCELED, told=(Told.CANCELED,))
    failure = Declined("INVALID", "The time to pay has passed.", retryable=False)
    return _next(payment, S.EXPIRED, told=(Told.FAILED,), failure=failure)


def _unclear(payment: PaymentState) -> Decision:
    if payment.status in IN_FLIGHT:
        return _next(payment, S.UNKNOWN, look_again=True)
    if payment.status is S.WAITING_FOR_DEPOSIT:
        return _next(payment, payment.status, look_again=True)
    return _same(payment)


def _same(payment: PaymentState) -> Decision:
    return Decision(payment.status, payment.captured, payment.cancel_requested, changed=False)


def _next(
    payment: PaymentState,
    status: PaymentStatus,
    *,
    captured: int | None = None,
    cancel_requested: bool | None = None,
    told: tuple[Told, ...] = (),
    booking: Booking | None = None,
    refund: int = 0,
    failure: Declined | None = None,
    look_again: bool = False,
) -> Decision:
    return Decision(
        status=status,
        captured=payment.captured if captured is None else captured,
        cancel_requested=payment.cancel_requested if cancel_requested is None else cancel_requested,
        told=told,
        booking=booking,
        refund=refund,
        failure=failure,
        look_again=look_again,
    )
