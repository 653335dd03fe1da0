"""What the provider does: its rules for payments, cards, accounts and cancellations, and their journal."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from os import urandom
from time import time, time_ns
from typing import Any

from db.driver import sqlite3
from subgraphs.payments.simulator.faults import DECLINED_CARDS, Refused
from subgraphs.payments.simulator.store import Store, now

KST = timezone(timedelta(hours=9))
MINIMUM_CARD, MINIMUM_ACCOUNT = 100, 200
WINDOW_MINUTES = 10
_ORDER_ID = re.compile(r"[A-Za-z0-9_=-]{6,64}")
_CUSTOMER_KEY = re.compile(r"[A-Za-z0-9_=.@-]{2,300}")
_UNEXECUTED = ("READY", "IN_PROGRESS", "ABORTED", "EXPIRED")


class Books:
    """The rules over a store. Raises Refused; whoever calls has opened the transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # The buyer's side: what the window in the browser would do

    def open_window(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The buyer has authenticated in the payment window; the shop confirms next."""
        order_id, amount = _order_id(body), _amount(body, MINIMUM_CARD)
        payment = _payment(order_id, str(body.get("orderName", "")), amount, "IN_PROGRESS", method="카드")
        self._store.put_payment(payment, str(body.get("cardNumber", "4330123412341234")))
        return {"paymentKey": payment["paymentKey"], "orderId": order_id, "amount": amount, "paymentType": "NORMAL"}

    def authorize_billing(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The buyer has entered a card in the registration window; the shop exchanges the authKey next."""
        customer_key = _customer_key(body)
        card = str(body.get("cardNumber", "")).replace("-", "").replace(" ", "")
        if not re.fullmatch(r"\d{14,19}", card):
            raise Refused("INVALID_CARD_NUMBER")
        auth_key = "bln_" + secrets.token_urlsafe(18)
        self._store.put_authorization(auth_key, customer_key, card)
        return {"authKey": auth_key, "customerKey": customer_key}

    def deposit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Somebody has paid into the virtual account of ``orderId``."""
        payment = self._store.payment_of_order(str(body.get("orderId", "")))
        if payment is None or payment["status"] != "WAITING_FOR_DEPOSIT":
            raise Refused("NOT_FOUND_PAYMENT")
        if body.get("amount", payment["totalAmount"]) != payment["totalAmount"]:
            raise Refused("INVALID_AMOUNT", "가상계좌 입금 금액이 다릅니다.")
        self._approve(payment)
        payment["virtualAccount"]["settlementStatus"] = "COMPLETED"
        self._keep(payment, "deposit")
        return payment

    def reverse_deposit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The bank takes a deposit back: the payment waits again."""
        payment = self._store.payment_of_order(str(body.get("orderId", "")))
        if payment is None or payment["status"] != "DONE" or not payment["virtualAccount"]:
            raise Refused("NOT_FOUND_PAYMENT")
        payment["lastTransactionKey"] = _key()
        self._book(payment, "CANCELED", payment["totalAmount"])
        payment |= {"status": "WAITING_FOR_DEPOSIT", "approvedAt": None}
        payment["virtualAccount"]["settlementStatus"] = "INCOMPLETED"
        self._keep(payment, "deposit")
        return payment

    # The shop's side

    def confirm(self, body: Mapping[str, Any]) -> dict[str, Any]:
        payment = self._store.payment(str(body.get("paymentKey", "")))
        if payment is None:
            raise Refused("NOT_FOUND_PAYMENT_SESSION")
        if payment["orderId"] != body.get("orderId") or payment["totalAmount"] != body.get("amount"):
            raise Refused("INVALID_REQUEST", "주문번호 또는 금액이 요청과 다릅니다.")
        if payment["status"] not in ("READY", "IN_PROGRESS"):
            raise Refused("ALREADY_PROCESSED_PAYMENT")
        if now() - datetime.fromisoformat(payment["requestedAt"]) > timedelta(minutes=WINDOW_MINUTES):
            raise Refused("NOT_FOUND_PAYMENT_SESSION")
        return self._charge(payment, self._store.card_of(payment["paymentKey"]) or "")

    def charge(self, billing_key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        found = self._store.billing(billing_key)
        if found is None:
            raise Refused("NOT_FOUND_BILLING_KEY", "존재하지 않는 빌링키입니다.")
        customer_key, card = found
        if body.get("customerKey") != customer_key:
            raise Refused("NOT_MATCHES_CUSTOMER_KEY")
        order_id, amount = _order_id(body), _amount(body, MINIMUM_CARD)
        payment = _payment(order_id, str(body.get("orderName", "")), amount, "IN_PROGRESS", method="카드")
        payment["type"] = "BILLING"
        return self._charge(payment, card)

    def issue_billing_key(self, body: Mapping[str, Any]) -> dict[str, Any]:
        found = self._store.use_authorization(str(body.get("authKey", "")))
        if found is None:
            raise Refused("INVALID_AUTH_KEY", "유효하지 않은 authKey 입니다.")
        customer_key, card = found
        if customer_key != body.get("customerKey"):
            raise Refused("NOT_MATCHES_CUSTOMER_KEY")
        billing_key = secrets.token_urlsafe(32)
        self._store.put_billing(billing_key, customer_key, card)
        return {
            "mId": "dure",
            "customerKey": customer_key,
            "authenticatedAt": _stamp(),
            "method": "카드",
            "billingKey": billing_key,
            "card": _card(card, None),
        }

    def issue_account(self, body: Mapping[str, Any]) -> dict[str, Any]:
        order_id, amount = _order_id(body), _amount(body, MINIMUM_ACCOUNT)
        if not re.fullmatch(r"\d{2}", str(body.get("bank", ""))):
            raise Refused("INVALID_BANK")
        if not body.get("customerName"):
            raise Refused("INVALID_REQUEST")
        self._check_new(order_id)
        payment = _payment(order_id, str(body.get("orderName", "")), amount, "WAITING_FOR_DEPOSIT", method="가상계좌")
        due = now() + timedelta(hours=int(body.get("validHours", 168)))
        payment["secret"] = "ps_" + secrets.token_urlsafe(18)
        payment["virtualAccount"] = {
            "accountType": "일반",
            "accountNumber": str(secrets.randbelow(9 * 10**13) + 10**13),
            "bankCode": body["bank"],
            "customerName": body["customerName"],
            "depositorName": None,
            "dueDate": _stamp(due),
            "expired": False,
            "settlementStatus": "INCOMPLETED",
            "refundStatus": "NONE",
            "refundReceiveAccount": None,
        }
        payment["lastTransactionKey"] = _key()
        self._book(payment, "WAITING_FOR_DEPOSIT", amount)
        self._keep(payment, "deposit")
        return payment

    def cancel(self, payment_key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        payment = self.find(self._store.payment(payment_key))
        if payment["status"] == "CANCELED":
            raise Refused("ALREADY_CANCELED_PAYMENT")
        if payment["status"] in _UNEXECUTED:
            raise Refused("NOT_CANCELABLE_PAYMENT")
        if not body.get("cancelReason"):
            raise Refused("INVALID_REQUEST")
        left = payment["balanceAmount"]
        amount = body.get("cancelAmount", left)
        if not isinstance(amount, int) or isinstance(amount, bool) or not 0 < amount <= left:
            raise Refused("NOT_CANCELABLE_AMOUNT", "취소할 수 없는 금액입니다.")
        self._check_cancel_of_account(payment, body, amount == left)
        waiting = payment["status"] == "WAITING_FOR_DEPOSIT"
        payment["lastTransactionKey"] = _key()
        payment["balanceAmount"] = left - amount
        payment["status"] = "CANCELED" if amount == left else "PARTIAL_CANCELED"
        payment["cancels"] = [*(payment["cancels"] or []), _cancel(payment, body, amount)]
        if not waiting:
            self._book(payment, payment["status"], amount)
        self._keep(payment, "deposit" if payment["virtualAccount"] else "status")
        return payment

    def find(self, payment: dict[str, Any] | None) -> dict[str, Any]:
        """The payment as of now: an account whose time has passed is expired. Raises Refused."""
        if payment is None:
            raise Refused("NOT_FOUND_PAYMENT")
        account = payment["virtualAccount"]
        if payment["status"] == "WAITING_FOR_DEPOSIT" and datetime.fromisoformat(account["dueDate"]) < now():
            payment["status"] = "EXPIRED"
            account["expired"] = True
        return payment

    def _charge(self, payment: dict[str, Any], card: str) -> dict[str, Any]:
        self._check_new(payment["orderId"])
        if card in DECLINED_CARDS:
            raise Refused(DECLINED_CARDS[card])
        self._approve(payment)
        payment["card"] = _card(card, payment["totalAmount"])
        payment["card"]["approveNo"] = f"{int.from_bytes(urandom(4)) % 10**8:08d}"
        self._keep(payment, "status")
        return payment

    def _approve(self, payment: dict[str, Any]) -> None:
        payment |= {"status": "DONE", "approvedAt": _stamp(), "lastTransactionKey": _key()}
        payment["receipt"] = {"url": f"https://dashboard.tosspayments.com/receipt/{payment['paymentKey']}"}
        self._book(payment, "DONE", payment["totalAmount"])

    def _check_new(self, order_id: str) -> None:
        if self._store.is_executed(order_id):
            raise Refused("DUPLICATED_ORDER_ID")

    def _check_cancel_of_account(self, payment: dict[str, Any], body: Mapping[str, Any], whole: bool) -> None:
        if not payment["virtualAccount"]:
            return
        if payment["status"] == "WAITING_FOR_DEPOSIT":
            if not whole:
                raise Refused("NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT")
            return
        account = body.get("refundReceiveAccount")
        if not isinstance(account, Mapping) or not all(
            account.get(name) for name in ("bank", "accountNumber", "holderName")
        ):
            raise Refused("INVALID_REFUND_ACCOUNT_INFO", "환불 계좌번호와 예금주명을 확인해주세요.")

    def _book(self, payment: dict[str, Any], status: str, amount: int) -> None:
        self._store.book(
            {
                "mId": "dure",
                "transactionKey": payment["lastTransactionKey"],
                "paymentKey": payment["paymentKey"],
                "orderId": payment["orderId"],
                "method": payment["method"],
                "customerKey": None,
                "useEscrow": False,
                "receiptUrl": (payment["receipt"] or {}).get("url"),
                "status": status,
                "transactionAt": _stamp(),
                "currency": "KRW",
                "amount": amount,
            }
        )

    def _keep(self, payment: dict[str, Any], hook: str) -> None:
        try:
            self._store.put_payment(payment)
        except sqlite3.IntegrityError as error:
            raise Refused("DUPLICATED_ORDER_ID") from error
        self._store.tell(_hooks(payment, hook))


def _hooks(payment: dict[str, Any], hook: str) -> list[dict[str, Any]]:
    created = datetime.now(KST).replace(tzinfo=None).isoformat(timespec="microseconds")
    if hook == "deposit":
        told = {
            "createdAt": created,
            "secret": payment["secret"],
            "status": payment["status"],
            "transactionKey": payment["lastTransactionKey"],
            "orderId": payment["orderId"],
        }
        return [told]
    hooks = [{"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": created, "data": payment}]
    if payment["cancels"]:
        cancel = {"eventType": "CANCEL_STATUS_CHANGED", "createdAt": created, "data": payment["cancels"][-1]}
        hooks.append(cancel)
    return hooks


def _payment(order_id: str, order_name: str, amount: int, status: str, *, method: str) -> dict[str, Any]:
    return {
        "mId": "dure",
        "version": "2022-11-16",
        "paymentKey": f"dure_{time_ns() // 1000:x}{urandom(18).hex()}",
        "lastTransactionKey": None,
        "orderId": order_id,
        "orderName": order_name[:100],
        "status": status,
        "requestedAt": _stamp(),
        "approvedAt": None,
        "useEscrow": False,
        "cultureExpense": False,
        "card": None,
        "virtualAccount": None,
        "transfer": None,
        "easyPay": None,
        "mobilePhone": None,
        "giftCertificate": None,
        "cashReceipt": None,
        "discount": None,
        "cancels": None,
        "secret": None,
        "type": "NORMAL",
        "country": "KR",
        "failure": None,
        "isPartialCancelable": True,
        "receipt": None,
        "currency": "KRW",
        "totalAmount": amount,
        "balanceAmount": amount,
        "suppliedAmount": amount - amount // 11,
        "vat": amount // 11,
        "taxFreeAmount": 0,
        "taxExemptionAmount": 0,
        "method": method,
    }


def _card(number: str, amount: int | None) -> dict[str, Any]:
    masked = number[:8] + "*" * max(len(number) - 12, 0) + number[-4:]
    card: dict[str, Any] = {
        "issuerCode": "61",
        "acquirerCode": "31",
        "number": masked,
        "cardType": "신용",
        "ownerType": "개인",
    }
    if amount is not None:
        card |= {"amount": amount, "installmentPlanMonths": 0, "isInterestFree": False, "acquireStatus": "READY"}
    return card


def _cancel(payment: dict[str, Any], body: Mapping[str, Any], amount: int) -> dict[str, Any]:
    return {
        "cancelAmount": amount,
        "cancelReason": str(body["cancelReason"])[:200],
        "taxFreeAmount": 0,
        "taxExemptionAmount": 0,
        "refundableAmount": payment["balanceAmount"],
        "canceledAt": _stamp(),
        "transactionKey": payment["lastTransactionKey"],
        "receiptKey": None,
        "cancelStatus": "DONE",
        "cancelRequestId": None,
    }


def _order_id(body: Mapping[str, Any]) -> str:
    order_id = body.get("orderId")
    if not isinstance(order_id, str) or not _ORDER_ID.fullmatch(order_id):
        raise Refused("INVALID_ORDER_ID", "orderId는 6자 이상 64자 이하의 영문 대소문자, 숫자, -, _, = 입니다.")
    return order_id


def _amount(body: Mapping[str, Any], minimum: int) -> int:
    amount = body.get("amount")
    if not isinstance(amount, int) or isinstance(amount, bool):
        raise Refused("INVALID_REQUEST")
    if amount < minimum:
        raise Refused("BELOW_MINIMUM_AMOUNT", f"최소 결제 금액은 {minimum}원입니다.")
    return amount


def _customer_key(body: Mapping[str, Any]) -> str:
    key = body.get("customerKey")
    if not isinstance(key, str) or not _CUSTOMER_KEY.fullmatch(key):
        raise Refused("INVALID_CUSTOMER_KEY")
    return key


def _key() -> str:
    """Later ones are greater, so that the index that they are in grows at its end."""
    return f"{time_ns() // 1000:014x}{urandom(9).hex()}".upper()


def _stamp(at: datetime | None = None) -> str:
    return _stamp_of(int(at.timestamp() if at else time()))


@lru_cache(maxsize=16)
def _stamp_of(second: int) -> str:
    return datetime.fromtimestamp(second, KST).isoformat()
