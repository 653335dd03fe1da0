"""Stripe as a provider: PaymentIntents and saved cards over its HTTP API, in the version pinned below.

Stripe knows no order numbers, so that an order is paid once is ours to arrange. Each order has one PaymentIntent: it is
created under an idempotency key made of the order's number, which moves no money, and then confirmed under the call's
own key. An intent captures at most once, however often and with whatever keys it is confirmed.

What became of a call is asked of the lists, which are never behind; only what is too old for them is asked of the
search, which may be an hour behind (docs.stripe.com/search, "Data freshness").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
import orjson
from msgspec.structs import replace

from db import deadline
from db.failpoints import failpoint
from subgraphs.payments import stripe_refusals, stripe_signature
from subgraphs.payments.domain import Declined, Retryable
from subgraphs.payments.provider import Hint, ProviderError, ProviderTransaction, SavedCard, Unreadable
from subgraphs.payments.stripe_objects import (
    CURRENCY,
    ORDER,
    Charge,
    Customer,
    PaymentIntent,
    PaymentMethod,
    Refund,
    SetupIntent,
)
from subgraphs.payments.transport import NoAnswer, Response, Send

T = TypeVar("T")

API_VERSION = "2025-06-30.basil"
PAGE = 100
RECENT = timedelta(hours=3)
"""What is older is in the search for certain."""
_TELLS_LESS = ("succeeded", "processing", "requires_payment_method", "canceled")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    data: list[msgspec.Raw]
    has_more: bool = False


class Stripe:
    """A Provider. ``send`` reaches its API; ``webhook_secrets``: what sign its webhooks."""

    name = "stripe"
    issues_accounts = False

    def __init__(
        self, send: Send, secret_key: str, webhook_secrets: Sequence[str], now: Callable[[], datetime]
    ) -> None:
        self._send = send
        self._headers = {"Authorization": f"Bearer {secret_key}", "Stripe-Version": API_VERSION}
        self._webhook_secrets = tuple(webhook_secrets)
        self._now = now

    async def confirm(self, payment_key: str, order_id: str, amount: int, *, key: str) -> PaymentIntent:
        """``payment_key``: the PaymentMethod or ConfirmationToken that the browser made of what the buyer entered."""
        if not payment_key.startswith(("pm_", "ctoken_")):
            unknown = Declined("NOT_FOUND", "The provider knows no such payment.", "resource_missing", True)
            raise ProviderError(404, "resource_missing", "neither pm_ nor ctoken_", unknown)
        intent = await self._opened(order_id, amount, {"description": order_id})
        means = "payment_method" if payment_key.startswith("pm_") else "confirmation_token"
        return await self._confirmed(intent, {means: payment_key, "error_on_requires_action": "true"}, key)

    async def charge(
        self, billing_key: str, customer_key: str, amount: int, order_id: str, order_name: str, *, key: str
    ) -> PaymentIntent:
        intent = await self._opened(order_id, amount, {"description": order_name, "customer": customer_key})
        return await self._confirmed(intent, {"payment_method": billing_key, "off_session": "true"}, key)

    async def issue_virtual_account(
        self, amount: int, order_id: str, order_name: str, holder: str, bank: str, hours: int, *, key: str
    ) -> PaymentIntent:
        """Never: it issues none."""
        declined = Declined("NOT_ALLOWED", "This shop takes no deposits: pay by card.")
        raise ProviderError(400, "no_virtual_accounts", "not offered", declined)

    async def cancel(
        self, payment_key: str, reason: str, amount: int | None, account: Mapping[str, str] | None, *, key: str
    ) -> PaymentIntent:
        body = {
            "payment_intent": _own(payment_key),
            "metadata[reason]": reason,
            "expand[0]": "payment_intent.latest_charge",
        }
        if amount is not None:
            body["amount"] = str(amount)
        refund = _decode(await self._post("/v1/refunds", body, key), Refund)
        if not refund.given:
            failed = Declined("NOT_ALLOWED", "The card company did not take the refund.", "refund_failed")
            raise ProviderError(200, "refund_failed", refund.id, failed)
        if not isinstance(refund.payment_intent, PaymentIntent):
            raise NoAnswer("a refund without its payment")
        return replace(refund.payment_intent, refund=refund.id)

    async def new_customer(self, user_id: str) -> str:
        body = {"metadata[user_id]": user_id}
        return _decode(await self._post("/v1/customers", body, f"customer-{user_id}"), Customer).id

    async def start_setup(self, customer_key: str) -> str | None:
        """The client secret of a SetupIntent: the browser confirms it with what the buyer enters."""
        body = {"customer": customer_key, "usage": "off_session", "payment_method_types[0]": "card"}
        return _decode(await self._post("/v1/setup_intents", body, None), SetupIntent).client_secret

    async def issue_billing_key(self, auth_key: str, customer_key: str, *, key: str) -> SavedCard:
        """``auth_key``: the SetupIntent that the browser has confirmed."""
        path = f"/v1/setup_intents/{_part(auth_key)}?{urlencode({'expand[0]': 'payment_method'})}"
        found = await self._find(path, SetupIntent) if auth_key.startswith("seti_") else None
        if found is None or found.customer != customer_key:
            raise _no_registration("This registration is unknown, or another user's.")
        method = found.payment_method
        if found.status != "succeeded" or not isinstance(method, PaymentMethod) or method.card is None:
            raise _no_registration("The card registration is not complete: start again.")
        return SavedCard(method.id, customer_key, method.card.issuer, f"**** **** **** {method.card.last4}")

    async def payment_of_order(self, order_id: str, customer_key: str | None = None) -> PaymentIntent | None:
        since = {"created[gte]": str(int((self._now() - RECENT).timestamp()))}
        whose = {"customer": customer_key} if customer_key else {}
        expanded = {"expand[0]": "data.latest_charge"}
        recent = await self._pages("/v1/payment_intents", since | whose | expanded, PaymentIntent)
        found = [intent for intent in recent if intent.metadata.get(ORDER) == order_id]
        if not found:
            query = {"query": f"metadata['{ORDER}']:'{order_id}'", "limit": str(PAGE)}
            page = _decode(await self._get(f"/v1/payment_intents/search?{urlencode(query)}"), Page)
            # Where the search is behind, it may be behind in the status, too.
            ids = [_read(each, PaymentIntent).id for each in page.data]
            found = [intent for id in ids if (intent := await self.payment(id)) is not None]
        return min(found, key=_rank, default=None)

    async def payment(self, payment_key: str) -> PaymentIntent | None:
        expanded = urlencode({"expand[0]": "latest_charge.refunds"})
        return await self._find(f"/v1/payment_intents/{_part(_own(payment_key))}?{expanded}", PaymentIntent)

    async def transactions(self, start: datetime, end: datetime) -> Sequence[ProviderTransaction]:
        """Charges and refunds: balance transactions are in the currency of the account's bank, not of the sale."""
        between = {"created[gte]": str(int(start.timestamp())), "created[lte]": str(ceil(end.timestamp()))}
        charges = await self._pages("/v1/charges", between, Charge)
        refunds = await self._pages("/v1/refunds", between | {"expand[0]": "data.payment_intent"}, Refund)
        both: list[Charge | Refund] = [*charges, *refunds]
        return [each for each in both if each.currency == CURRENCY]

    def read_webhook(self, body: bytes, headers: Mapping[str, str]) -> Hint | None:
        stripe_signature.check(body, headers.get("stripe-signature"), self._webhook_secrets, self._now())
        try:
            event = orjson.loads(body)
            about = event["data"]["object"]
            order_id = (about.get("metadata") or {}).get(ORDER)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unreadable from error
        if not isinstance(order_id, str):
            return None
        return Hint(order_id, paid=event.get("type") in ("payment_intent.succeeded", "charge.succeeded"))

    async def _opened(self, order_id: str, amount: int, about: Mapping[str, str]) -> PaymentIntent:
        """The order's intent, created if it is the first time. Nothing is charged by this."""
        body = {
            "amount": str(amount),
            "currency": CURRENCY,
            "payment_method_types[0]": "card",
            f"metadata[{ORDER}]": order_id,
            **about,
        }
        return _decode(await self._post("/v1/payment_intents", body, f"order-{order_id}"), PaymentIntent)

    async def _confirmed(self, intent: PaymentIntent, body: Mapping[str, str], key: str) -> PaymentIntent:
        failpoint("payments.stripe.after_opened")
        path = f"/v1/payment_intents/{intent.id}/confirm"
        return _decode(await self._post(path, {**body, "expand[0]": "latest_charge"}, key), PaymentIntent)

    async def _find(self, path: str, type: type[T]) -> T | None:
        try:
            return _decode(await self._get(path), type)
        except ProviderError as error:
            if error.code == "resource_missing":
                return None
            raise

    async def _pages(self, path: str, query: Mapping[str, str], type: type[T]) -> list[T]:
        """All of a list, newest first."""
        found: list[T] = []
        after: dict[str, str] = {}
        while True:
            page = _decode(await self._get(f"{path}?{urlencode({**query, 'limit': str(PAGE), **after})}"), Page)
            found += [_read(each, type) for each in page.data]
            if not page.has_more or not page.data:
                return found
            after = {"starting_after": _read(page.data[-1], Customer).id}

    async def _get(self, path: str) -> Response:
        return _checked(await self._send("GET", path, self._headers, b""))

    async def _post(self, path: str, body: Mapping[str, str], key: str | None) -> Response:
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        if key is not None:
            headers["Idempotency-Key"] = key
        deadline.check()
        deadline.lasting()  # whatever comes of it: it is not to be left half done
        return _checked(await self._send("POST", path, headers, urlencode(body).encode()))


def _checked(response: Response) -> Response:
    """A good answer. Raises ProviderError for any other: one that is not Stripe's (a proxy's) refuses nothing."""
    if 200 <= response.status < 300:
        return response
    try:
        error = orjson.loads(response.body)["error"]
        message = str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        code = f"http_{response.status}"
        raise ProviderError(response.status, code, "", Retryable(code)) from None
    code, means = stripe_refusals.read(response.status, error)
    if error.get("param") == "amount" and isinstance(means, Declined) and "refund" in message.lower():
        means = Declined("REFUND_EXCEEDS_BALANCE", "More than is left of the payment.", code)
    raise ProviderError(response.status, code, message, means)


def _rank(intent: PaymentIntent) -> int:
    """Should an order have several intents after all: the one that may have taken money comes first."""
    return _TELLS_LESS.index(intent.status) if intent.status in _TELLS_LESS else 1


def _no_registration(message: str) -> ProviderError:
    return ProviderError(400, "setup_intent_unusable", message, Declined("INVALID", message))


def _own(payment_key: str) -> str:
    """Raises ProviderError for a payment that another provider took: its refunds wait until that is asked again."""
    if not payment_key.startswith("pi_"):
        raise ProviderError(404, "another_provider", "no PaymentIntent", Retryable("another_provider"))
    return payment_key


def _decode(response: Response, type: type[T]) -> T:
    return _read(response.body, type)


def _read(body: bytes | msgspec.Raw, type: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.DecodeError as error:
        raise NoAnswer(f"an answer that cannot be read: {error}") from error


def _part(text: str) -> str:
    return quote(text, safe="")
