"""Toss Payments as a provider: its HTTP API (core version 2022-11-16), and what its answers mean to us.

Every POST carries an Idempotency-Key: a call repeated with the same key is carried out once and answered the same.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import orjson

from db import deadline
from subgraphs.kit.ids import new_ulid
from subgraphs.payments import domain, toss_refusals
from subgraphs.payments.banks import BANKS, ISSUERS, SEOUL
from subgraphs.payments.domain import Account, AwaitsDeposit, Captured, Declined, Gone, MethodKind, Retryable, Unclear
from subgraphs.payments.provider import Hint, ProviderError, SavedCard, Unreadable
from subgraphs.payments.transport import NoAnswer, Response, Send

T = TypeVar("T")

CURRENCY = "KRW"
JOURNAL_PAGE = 5000


class _Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The provider's objects have many more fields; these are the ones that matter here."""


class Card(_Struct, frozen=True, kw_only=True):
    number: str = ""
    issuer_code: str = ""


class VirtualAccount(_Struct, frozen=True, kw_only=True):
    account_number: str
    bank_code: str
    customer_name: str = ""
    due_date: datetime
    expired: bool = False


class Cancel(_Struct, frozen=True, kw_only=True):
    cancel_amount: int
    transaction_key: str = ""


class Receipt(_Struct, frozen=True, kw_only=True):
    url: str | None = None


class EasyPay(_Struct, frozen=True, kw_only=True):
    provider: str = ""


class Failure(_Struct, frozen=True, kw_only=True):
    code: str = ""
    message: str = ""


class TossPayment(_Struct, frozen=True, kw_only=True):
    """Its Payment object. Amounts are in ``currency``, which is the won wherever we are asked to pay."""

    payment_key: str
    order_id: str
    status: str
    total_amount: int
    balance_amount: int
    currency: str = CURRENCY
    approved_at: datetime | None = None
    card: Card | None = None
    virtual_account: VirtualAccount | None = None
    transfer: Any = None
    easy_pay: EasyPay | None = None
    type: str = "NORMAL"
    secret: str | None = None
    receipt: Receipt | None = None
    cancels: tuple[Cancel, ...] | None = None
    failure: Failure | None = None

    @property
    def canceled_amount(self) -> int:
        return sum(each.cancel_amount for each in self.cancels or ())

    @property
    def last_cancel(self) -> str | None:
        return self.cancels[-1].transaction_key if self.cancels else None

    def verdict(self) -> domain.Verdict:
        """What this says about whether and how the order is paid."""
        if self.status in ("DONE", "PARTIAL_CANCELED"):
            return self._captured()
        if self.status == "WAITING_FOR_DEPOSIT" and self.virtual_account:
            return AwaitsDeposit(self.payment_key, self._account(self.virtual_account))
        if self.status == "ABORTED":
            return toss_refusals.refusal(self.failure.code if self.failure else "ABORTED")
        if self.status in ("EXPIRED", "CANCELED"):
            return Gone(expired=self.status == "EXPIRED")
        return domain.Absent()  # READY, IN_PROGRESS: the window is open, nothing was executed

    def _captured(self) -> domain.Verdict:
        if self.currency != CURRENCY:
            return Unclear(f"captured in {self.currency}")
        if self.approved_at is None:
            return Unclear("DONE without approvedAt")
        kind, summary = self._method()
        return Captured(
            provider_key=self.payment_key,
            amount=self.total_amount,
            approved_at=self.approved_at,
            kind=kind,
            summary=summary,
            receipt_url=self.receipt.url if self.receipt else None,
        )

    def _method(self) -> tuple[MethodKind, str]:
        if self.virtual_account:
            name = BANKS.get(self.virtual_account.bank_code, self.virtual_account.bank_code)
            # The number itself is kept sealed; its end tells the payer which one it was.
            return MethodKind.VIRTUAL_ACCOUNT, f"{name} {self.virtual_account.account_number[-4:]}"
        if self.easy_pay and self.easy_pay.provider:
            return MethodKind.EASY_PAY, self.easy_pay.provider
        if self.transfer:
            return MethodKind.TRANSFER, "계좌이체"
        kind = MethodKind.BILLING_KEY if self.type == "BILLING" else MethodKind.CARD
        return kind, card_summary(self.card) if self.card else ""

    def _account(self, account: VirtualAccount) -> Account:
        return Account(
            bank_code=account.bank_code,
            number=account.account_number,
            holder=account.customer_name,
            due_at=account.due_date,
            secret=self.secret,
        )


class BillingKey(_Struct, frozen=True, kw_only=True):
    """A card that may be charged again and again."""

    billing_key: str
    customer_key: str
    card: Card


class Transaction(_Struct, frozen=True, kw_only=True):
    """An entry of the provider's journal."""

    transaction_key: str
    payment_key: str
    order_id: str
    status: str
    amount: int
    transaction_at: datetime

    @property
    def net(self) -> int:
        """What it did to our balance, in won."""
        if self.status == "DONE":
            return self.amount
        return -abs(self.amount) if self.status in ("CANCELED", "PARTIAL_CANCELED") else 0


class Toss:
    """A Provider. ``send`` reaches its API."""

    name = "toss"
    issues_accounts = True

    def __init__(self, send: Send, secret_key: str) -> None:
        self._send = send
        self._authorization = "Basic " + b64encode(f"{secret_key}:".encode()).decode()

    async def confirm(self, payment_key: str, order_id: str, amount: int, *, key: str) -> TossPayment:
        body = {"paymentKey": payment_key, "orderId": order_id, "amount": amount}
        return _payment(await self._post("/v1/payments/confirm", body, key))

    async def charge(
        self, billing_key: str, customer_key: str, amount: int, order_id: str, order_name: str, *, key: str
    ) -> TossPayment:
        body = {"customerKey": customer_key, "amount": amount, "orderId": order_id, "orderName": order_name}
        return _payment(await self._post(f"/v1/billing/{_part(billing_key)}", body, key))

    async def issue_virtual_account(
        self, amount: int, order_id: str, order_name: str, holder: str, bank: str, hours: int, *, key: str
    ) -> TossPayment:
        body = {
            "amount": amount,
            "orderId": order_id,
            "orderName": order_name,
            "customerName": holder,
            "bank": bank,
            "validHours": hours,
        }
        return _payment(await self._post("/v1/virtual-accounts", body, key))

    async def cancel(
        self, payment_key: str, reason: str, amount: int | None, account: Mapping[str, str] | None, *, key: str
    ) -> TossPayment:
        """Give back ``amount`` (None: all that is left)."""
        body: dict[str, Any] = {"cancelReason": reason}
        if amount is not None:
            body["cancelAmount"] = amount
        if account is not None:
            body["refundReceiveAccount"] = dict(account)
        return _payment(await self._post(f"/v1/payments/{_part(payment_key)}/cancel", body, key))

    async def new_customer(self, user_id: str) -> str:
        """A random name for the user, which it takes as it is."""
        return f"cus_{new_ulid()}{new_ulid()}"

    async def start_setup(self, customer_key: str) -> str | None:
        """Its window opens with the client key and the customer's key alone."""
        return None

    async def issue_billing_key(self, auth_key: str, customer_key: str, *, key: str) -> SavedCard:
        body = {"authKey": auth_key, "customerKey": customer_key}
        try:
            issued = _decode(await self._post("/v1/billing/authorizations/issue", body, key), BillingKey)
        except ProviderError as error:
            if error.code != "NOT_MATCHES_CUSTOMER_KEY":
                raise
            another = Declined("INVALID", "This registration is another user's.", error.code)
            raise ProviderError(error.status, error.code, str(error), another) from error
        return SavedCard(issued.billing_key, customer_key, ISSUERS.get(issued.card.issuer_code), issued.card.number)

    def read_webhook(self, body: bytes, headers: Mapping[str, str]) -> Hint | None:
        """Nothing is signed: a deposit's hint carries the account's secret, the others prove nothing."""
        said = _mapping(body)
        if said is None:
            raise Unreadable
        if "eventType" in said:
            data = said.get("data")
            about: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
            order_id, status = about.get("orderId"), about.get("status")
            return Hint(order_id, paid=status == "DONE") if isinstance(order_id, str) else None
        order_id, secret = said.get("orderId"), said.get("secret")  # DEPOSIT_CALLBACK has no envelope
        if not isinstance(order_id, str):
            return None
        return Hint(order_id, is_deposit=True, secret=secret if isinstance(secret, str) else None)

    async def payment_of_order(self, order_id: str, customer_key: str | None = None) -> TossPayment | None:
        """The payment of an order id, None when there is none."""
        return await self._find(f"/v1/payments/orders/{_part(order_id)}")

    async def payment(self, payment_key: str) -> TossPayment | None:
        return await self._find(f"/v1/payments/{_part(payment_key)}")

    async def transactions(self, start: datetime, end: datetime) -> list[Transaction]:
        """The journal between two instants, all pages."""
        found: list[Transaction] = []
        while True:
            query = {"startDate": _local(start), "endDate": _local(end), "limit": str(JOURNAL_PAGE)}
            if found:
                query["startingAfter"] = found[-1].transaction_key
            page = _decode(await self._get(f"/v1/transactions?{urlencode(query)}"), list[Transaction])
            found += page
            if len(page) < JOURNAL_PAGE:
                return found

    async def _find(self, path: str) -> TossPayment | None:
        try:
            return _payment(await self._get(path))
        except ProviderError as error:
            if error.code == "NOT_FOUND_PAYMENT":
                return None
            raise

    async def _get(self, path: str) -> Response:
        return checked(await self._send("GET", path, {"Authorization": self._authorization}, b""))

    async def _post(self, path: str, body: Mapping[str, Any], key: str) -> Response:
        headers = {
            "Authorization": self._authorization,
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        deadline.check()
        deadline.lasting()  # whatever comes of it: it is not to be left half done
        return checked(await self._send("POST", path, headers, orjson.dumps(body)))


def card_summary(card: Card) -> str:
    """How a card is shown: who issued it and its last digits."""
    name = ISSUERS.get(card.issuer_code, "카드")
    return f"{name} {card.number[-4:]}" if card.number else name


def checked(response: Response) -> Response:
    """A good answer. Raises ProviderError for any other: one that is not the provider's (a proxy's) refuses nothing."""
    if 200 <= response.status < 300:
        return response
    try:
        told = orjson.loads(response.body)
        code, message = str(told["code"]), str(told.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        code = f"HTTP_{response.status}"
        raise ProviderError(response.status, code, "", Retryable(code)) from None
    means = toss_refusals.read(response.status, code[:100])
    raise ProviderError(response.status, code[:100], message, means)


def _payment(response: Response) -> TossPayment:
    return _decode(response, TossPayment)


def _decode(response: Response, type: type[T]) -> T:
    try:
        return msgspec.json.decode(response.body, type=type)
    except msgspec.DecodeError as error:
        raise NoAnswer(f"an answer that cannot be read: {error}") from error


def _mapping(body: bytes) -> Mapping[str, Any] | None:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, Mapping) else None


def _part(text: str) -> str:
    return quote(text, safe="")


def _local(instant: datetime) -> str:
    return instant.astimezone(SEOUL).replace(tzinfo=None).isoformat(timespec="seconds")
