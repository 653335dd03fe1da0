"""Stripe's objects, as far as they matter here, and what they say about a payment. Amounts are in won.

Stripe takes amounts in the currency's smallest unit, and the won has no smaller one (docs.stripe.com/currencies,
"zero-decimal currencies"): 12,000 won are ``amount=12000``, the same number as ours.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from subgraphs.payments import stripe_refusals
from subgraphs.payments.domain import Absent, Captured, Declined, Gone, MethodKind, Unclear, Verdict

CURRENCY = "krw"
ORDER = "order_id"
"""The name in the metadata that our order number has."""


class _Struct(msgspec.Struct, frozen=True, kw_only=True):
    """Stripe's objects have many more fields. What can be expanded is an id otherwise."""


class Card(_Struct, frozen=True, kw_only=True):
    brand: str | None = None
    last4: str | None = None

    @property
    def issuer(self) -> str:
        return (self.brand or "card").replace("_", " ").title()


class PaymentMethod(_Struct, frozen=True, kw_only=True):
    id: str
    card: Card | None = None


class SetupIntent(_Struct, frozen=True, kw_only=True):
    id: str
    status: str
    client_secret: str | None = None
    customer: str | None = None
    payment_method: PaymentMethod | str | None = None


class Customer(_Struct, frozen=True, kw_only=True):
    id: str


class MethodDetails(_Struct, frozen=True, kw_only=True):
    card: Card | None = None


class RefundId(_Struct, frozen=True, kw_only=True):
    id: str


class RefundIds(_Struct, frozen=True, kw_only=True):
    data: tuple[RefundId, ...] = ()


class Charge(_Struct, frozen=True, kw_only=True):
    id: str
    created: int
    currency: str = CURRENCY
    paid: bool = False
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    receipt_url: str | None = None
    payment_method_details: MethodDetails | None = None
    metadata: dict[str, str] = {}
    refunds: RefundIds | None = None

    @property
    def order_id(self) -> str:
        """Our order number; the charge's own id if it is none of ours."""
        return self.metadata.get(ORDER, self.id)

    @property
    def net(self) -> int:
        return self.amount_captured if self.paid and self.captured else 0


class PaymentIntent(_Struct, frozen=True, kw_only=True):
    """One payment of an order: it captures at most once, however often it is confirmed."""

    id: str
    status: str
    created: int
    amount: int
    currency: str
    amount_received: int = 0
    customer: str | None = None
    latest_charge: Charge | str | None = None
    last_payment_error: dict[str, Any] | None = None
    metadata: dict[str, str] = {}
    refund: str | None = None
    """Not Stripe's: the refund that was just made of it."""

    @property
    def charge(self) -> Charge | None:
        return self.latest_charge if isinstance(self.latest_charge, Charge) else None

    @property
    def canceled_amount(self) -> int:
        return self.charge.amount_refunded if self.charge else 0

    @property
    def last_cancel(self) -> str | None:
        if self.refund is None and self.charge and self.charge.refunds and self.charge.refunds.data:
            return self.charge.refunds.data[0].id  # the newest is the first
        return self.refund

    def verdict(self) -> Verdict:
        """What this says about whether and how the order is paid."""
        if self.status == "succeeded":
            return self._captured()
        if self.status == "canceled":
            return Gone()
        if self.status in ("requires_payment_method", "requires_confirmation"):
            return self._unpaid()
        if self.status == "requires_action":  # nobody will act: its client secret is given to no browser
            return self._declined({"code": "authentication_required"})
        return Unclear(self.status)  # processing

    def _captured(self) -> Verdict:
        if self.currency != CURRENCY:
            return Unclear(f"captured in {self.currency}")
        charge = self.charge
        card = charge.payment_method_details.card if charge and charge.payment_method_details else None
        return Captured(
            provider_key=self.id,
            amount=self.amount_received,
            approved_at=datetime.fromtimestamp(charge.created if charge else self.created, UTC),
            kind=MethodKind.BILLING_KEY if self.customer else MethodKind.CARD,
            summary=f"{card.issuer} {card.last4 or ''}".strip() if card else "",
            receipt_url=charge.receipt_url if charge else None,
        )

    def _unpaid(self) -> Verdict:
        return self._declined(self.last_payment_error) if self.last_payment_error else Absent()

    def _declined(self, error: dict[str, Any]) -> Verdict:
        means = stripe_refusals.read(402, error)[1]
        return means if isinstance(means, Declined) else Absent()  # what passes is no end: nothing was executed


class Refund(_Struct, frozen=True, kw_only=True):
    id: str
    amount: int
    status: str | None = None
    currency: str = CURRENCY
    payment_intent: PaymentIntent | str | None = None

    @property
    def order_id(self) -> str:
        intent = self.payment_intent
        return intent.metadata.get(ORDER, self.id) if isinstance(intent, PaymentIntent) else self.id

    @property
    def given(self) -> bool:
        """Whether the money has left us, or is about to."""
        return self.status not in ("failed", "canceled")

    @property
    def net(self) -> int:
        return -self.amount if self.given else 0
