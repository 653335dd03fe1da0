"""What the payments subgraph tells. ``payable_type`` is ``Order`` or ``Pledge``."""

from __future__ import annotations

from datetime import date, datetime

from messaging.events.base import EventData


class PaymentMethodChanged(EventData, frozen=True, kw_only=True):
    """A registered method, without anything that could pay: its owner, what to show, whether it can be used."""

    type = "dure.payments.payment_method_changed.v1"
    subject = "payment_method_id"

    payment_method_id: str
    version: int
    user_id: str
    kind: str
    summary: str
    status: str
    is_default: bool = False


class PaymentCaptured(EventData, frozen=True, kw_only=True):
    """The money is taken, once."""

    type = "dure.payments.payment_captured.v1"
    subject = "payable_id"

    payment_id: str
    payable_type: str
    payable_id: str
    payer_id: str
    amount: int
    currency: str
    approved_at: datetime


class PaymentFailed(EventData, frozen=True, kw_only=True):
    """Nothing was taken and nothing will be."""

    type = "dure.payments.payment_failed.v1"
    subject = "payable_id"

    payment_id: str
    payable_type: str
    payable_id: str
    payer_id: str
    code: str
    message: str


class PaymentAwaitingDeposit(EventData, frozen=True, kw_only=True):
    """The payer must act: pay in the provider's window, or deposit into the account issued."""

    type = "dure.payments.payment_awaiting_deposit.v1"
    subject = "payable_id"

    payment_id: str
    payable_type: str
    payable_id: str
    payer_id: str
    due_at: datetime | None = None


class PaymentCanceled(EventData, frozen=True, kw_only=True):
    """Whatever was captured has been given back (``refunded`` minor units, 0 when nothing was captured)."""

    type = "dure.payments.payment_canceled.v1"
    subject = "payable_id"

    payable_type: str
    payable_id: str
    payer_id: str | None
    refunded: int
    currency: str


class RefundCompleted(EventData, frozen=True, kw_only=True):
    """The buyer has the money of a return back."""

    type = "dure.payments.refund_completed.v1"
    subject = "return_id"

    return_id: str
    payment_id: str
    amount: int
    currency: str


class RefundRejected(EventData, frozen=True, kw_only=True):
    """The money of a return cannot be given back like this; a person must look.

    ``amount``: what was asked for, where another amount may be answered otherwise.
    """

    type = "dure.payments.refund_rejected.v1"
    subject = "return_id"

    return_id: str
    code: str
    message: str
    amount: int | None = None


class SettlementClosed(EventData, frozen=True, kw_only=True):
    """What a seller earned in a period (its end is the first day after it, in Seoul) will not change any more.

    ``payable``: ``net`` less what an earlier settlement left owing; if it is negative the next one carries it.
    """

    type = "dure.payments.settlement_closed.v1"
    subject = "settlement_id"

    settlement_id: str
    partner_id: str
    period_start: date
    period_end: date
    net: int
    payable: int
    currency: str


class PayoutCompleted(EventData, frozen=True, kw_only=True):
    """A settlement's money is in the seller's bank account."""

    type = "dure.payments.payout_completed.v1"
    subject = "settlement_id"

    payout_id: str
    settlement_id: str
    partner_id: str
    amount: int
    currency: str
    period_start: date
    period_end: date


class PayoutFailed(EventData, frozen=True, kw_only=True):
    """The bank did not take a settlement's money; it can be sent again."""

    type = "dure.payments.payout_failed.v1"
    subject = "settlement_id"

    payout_id: str
    settlement_id: str
    partner_id: str
    amount: int
    currency: str
    reason: str


class PayoutAccountRequested(EventData, frozen=True, kw_only=True):
    """A seller is settled whose bank account is not known here. Answer: PayoutAccountChanged, if there is one."""

    type = "dure.payments.payout_account_requested.v1"
    subject = "partner_id"

    partner_id: str
