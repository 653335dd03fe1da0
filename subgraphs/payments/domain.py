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


# How the provider's refusals are read. What it could not finish may have happened: ask before trying again.
ALREADY = frozenset({"ALREADY_PROCESSED_PAYMENT", "DUPLICATED_ORDER_ID", "ALREADY_CANCELED_PAYMENT"})
PASSING = frozenset(
    {
        "PROVIDER_ERROR",
        "FAILED_INTERNAL_SYSTEM_PROCESSING",
        "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING",
        "FAILED_REFUND_PROCESS",
        "CARD_PROCESSING_ERROR",
        "UNAUTHORIZED_KEY",
        "FORBIDDEN_REQUEST",
    }
)
IN_PROCESS = "IDEMPOTENT_REQUEST_PROCESSING"

_REFUSALS: dict[str, Declined] = {
    "REJECT_CARD_PAYMENT": Declined("INSUFFICIENT_FUNDS", "The limit or balance of the card does not do.", None, True),
    "REJECT_ACCOUNT_PAYMENT": Declined("INSUFFICIENT_FUNDS", "The balance of the account does not do.", None, True),
    "REJECT_CARD_COMPANY": Declined("PAYMENT_DECLINED", "The card company declined.", None, True),
    "EXCEED_MAX_AMOUNT": Declined("LIMIT_EXCEEDED", "The amount is over the limit.", None, True),
    "EXCEED_MAX_DAILY_PAYMENT_COUNT": Declined("LIMIT_EXCEEDED", "Too many payments today.", None, True),
    "EXCEED_MAX_PAYMENT_AMOUNT": Declined("LIMIT_EXCEEDED", "The amount is over today's limit.", None, True),
    "INVALID_CARD_EXPIRATION": Declined("CARD_EXPIRED", "The card has expired."),
    "INVALID_CARD_LOST_OR_STOLEN": Declined("CARD_LOST_OR_STOLEN", "The card was reported lost or stolen."),
    "INVALID_STOPPED_CARD": Declined("PAYMENT_DECLINED", "The card is suspended."),
    "NOT_MATCHES_CUSTOMER_KEY": Declined("PAYMENT_DECLINED", "The card cannot be used: register it again."),
    "NOT_FOUND_PAYMENT_SESSION": Declined("INVALID", "The payment window has expired: start again.", None, True),
    "NOT_FOUND_PAYMENT": Declined("NOT_FOUND", "The provider knows no such payment.", None, True),
    "BELOW_MINIMUM_AMOUNT": Declined("INVALID", "The amount is below what can be paid this way."),
    "INVALID_BANK": Declined("INVALID", "This bank issues no virtual accounts.", None, True),
    "NOT_CANCELABLE_AMOUNT": Declined("REFUND_EXCEEDS_BALANCE", "More than is left of the payment."),
    "INVALID_REFUND_ACCOUNT_INFO": Declined("REFUND_ACCOUNT_REQUIRED", "The account to refund to is not valid."),
    "INVALID_REFUND_ACCOUNT_NUMBER": Declined("REFUND_ACCOUNT_REQUIRED", "The account to refund to is not valid."),
    "EXCEED_MAX_REFUND_DUE": Declined("NOT_ALLOWED", "The time for refunds has passed."),
    "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT": Declined("NOT_ALLOWED", "A part cannot be refunded yet."),
    "NOT_CANCELABLE_PAYMENT": Declined("NOT_ALLOWED", "This payment cannot be canceled."),
    "INVALID_AUTH_KEY": Declined("INVALID", "The card registration has expired: start again."),
    "NOT_FOUND_AUTH_KEY": Declined("INVALID", "The card registration has expired: start again."),
}


def refusal(provider_code: str) -> Declined:
    """The provider's refusal in our own codes."""
    known = _REFUSALS.get(provider_code, Declined("PAYMENT_DECLINED", "The payment was declined."))
    return Declined(known.code, known.message, provider_code, known.retryable)


def read_refusal(http_status: int, provider_code: str) -> Declined | Retryable | Unclear:
    """What an error answer of the provider says about a charge or a cancellation."""
    if provider_code in ALREADY or provider_code == IN_PROCESS:
        return Unclear(provider_code)
    if provider_code in PASSING or http_status >= 500 or http_status == 429:
        return Retryable(provider_code)
    return refusal(provider_code)
