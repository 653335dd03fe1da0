"""What Stripe does: its rules for customers, cards, PaymentIntents and refunds.

It takes an order's money as often as it is told to: only an intent is captured once.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from subgraphs.payments.simulator.books import KST
from subgraphs.payments.simulator.store import Store, now
from subgraphs.payments.simulator.stripe_codes import DECLINED_CARDS, NEEDS_OWNER, StripeRefused

MINIMUM = 100
MAXIMUM = 99_999_999
_OPEN = ("requires_payment_method", "requires_confirmation")


class StripeBooks:
    """The rules over a store. Raises StripeRefused; whoever calls has opened the transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # The buyer's side: what Stripe's elements in the browser would do

    def complete_setup(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The buyer has entered a card for his latest SetupIntent. None: no customer of Stripe's."""
        customer = str(body.get("customerKey", ""))
        setups = self._store.objects("setup_intent", customer=customer)
        setup = next((each for each in setups if each["status"] == "requires_payment_method"), None)
        if setup is None:
            return None
        method = self._new_method(body, customer)
        self._store.put_object(setup | {"status": "succeeded", "payment_method": method["id"]})
        return {"authKey": setup["id"], "customerKey": customer}

    def enter_card(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The buyer has entered a card for one payment."""
        return {"paymentKey": self._new_method(body, None)["id"]}

    # The shop's side

    def create_customer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._put("customer", "cus", metadata=body.get("metadata", {}))

    def create_setup(self, body: Mapping[str, Any]) -> dict[str, Any]:
        customer = self._get("customer", body.get("customer"))
        setup = {"status": "requires_payment_method", "customer": customer["id"], "payment_method": None}
        return self._put("setup_intent", "seti", **setup)

    def create_intent(self, body: Mapping[str, Any]) -> dict[str, Any]:
        customer = self._get("customer", body["customer"])["id"] if "customer" in body else None
        amount = _whole(body.get("amount"), "amount")
        if body.get("currency") != "krw":
            raise StripeRefused("parameter_invalid", param="currency")
        if not MINIMUM <= amount <= MAXIMUM:
            raise StripeRefused("amount_too_small" if amount < MINIMUM else "amount_too_large", param="amount")
        return self._put(
            "payment_intent",
            "pi",
            amount=amount,
            amount_received=0,
            currency="krw",
            customer=customer,
            description=body.get("description"),
            latest_charge=None,
            last_payment_error=None,
            metadata=body.get("metadata", {}),
            payment_method=None,
            status="requires_payment_method",
        )

    def confirm_intent(self, id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        intent = self._get("payment_intent", id)
        if intent["status"] not in _OPEN:
            raise StripeRefused("payment_intent_unexpected_state", payment_intent=intent)
        method = self._get("payment_method", body.get("payment_method"))
        if method["customer"] != intent["customer"]:
            raise StripeRefused("resource_missing", "The PaymentMethod is of another customer.", param="payment_method")
        present = "off_session" not in body and "error_on_requires_action" not in body
        if method["number"] == NEEDS_OWNER and not present:
            raise self._declined(intent, method, "authentication_required")
        if method["number"] in DECLINED_CARDS:
            raise self._declined(intent, method, DECLINED_CARDS[method["number"]])
        return self._captured(intent, method)

    def refund(self, body: Mapping[str, Any]) -> dict[str, Any]:
        intent = self._get("payment_intent", body.get("payment_intent"))
        if intent["status"] != "succeeded":
            raise StripeRefused("parameter_invalid", "This PaymentIntent has no successful charge.")
        charge = self._get("charge", intent["latest_charge"])
        left = charge["amount_captured"] - charge["amount_refunded"]
        if left == 0:
            raise StripeRefused("charge_already_refunded")
        amount = _whole(body["amount"], "amount") if "amount" in body else left
        if not 0 < amount <= left:
            raise StripeRefused("refund_too_large", "Refund amount is greater than unrefunded amount.", param="amount")
        charge |= {"amount_refunded": charge["amount_refunded"] + amount, "refunded": amount == left}
        self._store.put_object(charge)
        refund = self._put(
            "refund",
            "re",
            amount=amount,
            charge=charge["id"],
            currency="krw",
            metadata=body.get("metadata", {}),
            payment_intent=intent["id"],
            status="succeeded",
        )
        self._book(intent, refund["id"], "CANCELED" if amount == left else "PARTIAL_CANCELED", amount)
        self._tell("charge.refunded", charge)
        return refund

    def find(self, kind: str, id: str) -> dict[str, Any]:
        return self._get(kind, id)

    def _captured(self, intent: dict[str, Any], method: dict[str, Any]) -> dict[str, Any]:
        charge = self._charge(intent, method, paid=True)
        intent |= {
            "status": "succeeded",
            "amount_received": intent["amount"],
            "latest_charge": charge["id"],
            "last_payment_error": None,
            "payment_method": method["id"],
        }
        self._store.put_object(intent)
        self._book(intent, charge["id"], "DONE", intent["amount"])
        self._tell("charge.succeeded", charge)
        self._tell("payment_intent.succeeded", intent)
        return intent

    def _declined(self, intent: dict[str, Any], method: dict[str, Any], code: str) -> StripeRefused:
        charge = self._charge(intent, method, paid=False)
        error = StripeRefused(code).body["error"]
        intent |= {"latest_charge": charge["id"], "last_payment_error": error}
        self._store.put_object(intent)
        self._tell("payment_intent.payment_failed", intent)
        return StripeRefused(code, charge=charge["id"], payment_intent=dict(intent))

    def _charge(self, intent: Mapping[str, Any], method: Mapping[str, Any], *, paid: bool) -> dict[str, Any]:
        return self._put(
            "charge",
            "ch",
            amount=intent["amount"],
            amount_captured=intent["amount"] if paid else 0,
            amount_refunded=0,
            captured=paid,
            currency="krw",
            metadata=intent["metadata"],
            paid=paid,
            payment_intent=intent["id"],
            payment_method_details={"type": "card", "card": method["card"]},
            receipt_url=f"https://pay.stripe.example/receipts/{intent['id']}" if paid else None,
            refunded=False,
            status="succeeded" if paid else "failed",
        )

    def _new_method(self, body: Mapping[str, Any], customer: str | None) -> dict[str, Any]:
        number = str(body.get("cardNumber", "4330123412341234")).replace("-", "").replace(" ", "")
        if not re.fullmatch(r"\d{14,19}", number):
            raise StripeRefused("parameter_invalid", param="number")
        card = {"brand": "visa", "last4": number[-4:], "exp_month": 12, "exp_year": 2031}
        return self._put("payment_method", "pm", type="card", card=card, customer=customer, number=number)

    def _put(self, kind: str, prefix: str, **values: Any) -> dict[str, Any]:
        id = f"{prefix}_{secrets.token_hex(12)}"
        made = {"id": id, "object": kind, "created": int(now().timestamp()), "livemode": False, **values}
        if kind in ("payment_intent", "setup_intent"):
            made["client_secret"] = f"{id}_secret_{secrets.token_hex(8)}"
        self._store.put_object(made)
        return made

    def _get(self, kind: str, id: Any) -> dict[str, Any]:
        found = self._store.object(str(id))
        if found is None or found["object"] != kind:
            raise StripeRefused("resource_missing", f"No such {kind}.", param=kind)
        return found

    def _book(self, intent: Mapping[str, Any], key: str, status: str, amount: int) -> None:
        """The one journal that both faces write: what whoever audits the simulator reads."""
        self._store.book(
            {
                "mId": "dure",
                "transactionKey": key,
                "paymentKey": intent["id"],
                "orderId": intent["metadata"].get("order_id", intent["id"]),
                "method": "카드",
                "status": status,
                "transactionAt": datetime.now(KST).isoformat(timespec="seconds"),
                "currency": "KRW",
                "amount": amount,
            }
        )

    def _tell(self, type: str, about: Mapping[str, Any]) -> None:
        event = {"id": f"evt_{secrets.token_hex(12)}", "object": "event", "type": type}
        self._store.tell([event | {"created": int(now().timestamp()), "data": {"object": dict(about)}}])


def _whole(given: Any, name: str) -> int:
    """Amounts are whole won: there is no smaller unit."""
    if not re.fullmatch(r"\d{1,12}", str(given)):
        raise StripeRefused("parameter_invalid", f"Invalid integer: {given}", param=name)
    return int(given)
