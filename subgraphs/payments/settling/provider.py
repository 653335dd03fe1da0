"""How sellers are paid: a port, and the adapter to the payment provider's payouts.

The adapter is after Toss Payments' payouts (``/v2/payouts``): a request under our own reference, whose outcome is asked
for. Toss wants sellers registered beforehand and bodies encrypted (JWE); the simulator takes the bank account itself,
in plain JSON. For a contract with Toss, write another ``PayoutProvider``.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol
from urllib.parse import quote

import msgspec
import orjson

from subgraphs.payments.domain import Declined
from subgraphs.payments.provider import ProviderError
from subgraphs.payments.settling.rules import PayoutStatus
from subgraphs.payments.toss import checked
from subgraphs.payments.transport import NoAnswer, Response, Send

_STATUSES = {
    "REQUESTED": PayoutStatus.PROCESSING,
    "IN_PROGRESS": PayoutStatus.PROCESSING,
    "COMPLETED": PayoutStatus.COMPLETED,
    "FAILED": PayoutStatus.FAILED,
    "CANCELED": PayoutStatus.FAILED,
}
_KNOWN = "DUPLICATED_REF_PAYOUT_ID"


@dataclass(frozen=True, slots=True)
class Order:
    """A payout to make. ``reference`` is ours, and unique: the provider makes one payout of it, however often asked.
    ``attempt``: how often it was asked before; each has a key of its own, as a provider repeats its answer to a key,
    be it that it failed inside."""

    reference: str
    attempt: int
    amount: int
    currency: str
    on: date
    bank_code: str
    account_number: str
    holder_name: str


@dataclass(frozen=True, slots=True)
class Report:
    """How a payout stands at the provider."""

    provider_id: str
    status: PayoutStatus
    failure: str | None = None


class PayoutProvider(Protocol):
    """Raises NoAnswer (nobody knows whether it was done) or ProviderError (the provider says why not)."""

    async def pay(self, order: Order) -> Report:
        """Have it paid, once."""

    async def look(self, reference: str) -> Report | None:
        """How it stands; None: the provider never heard of it."""


class _Failure(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Payout(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    ref_payout_id: str
    status: str
    error: _Failure | None = None


class HttpPayouts:
    """The provider's HTTP API."""

    def __init__(self, send: Send, secret_key: str) -> None:
        self._send = send
        self._authorization = "Basic " + b64encode(f"{secret_key}:".encode()).decode()

    async def pay(self, order: Order) -> Report:
        body: dict[str, Any] = {
            "refPayoutId": order.reference,
            "scheduleType": "SCHEDULED",
            "payoutDate": order.on.isoformat(),
            "amount": {"currency": order.currency, "value": order.amount},
            "transactionDescription": "정산",
            "destination": {
                "bankCode": order.bank_code,
                "accountNumber": order.account_number,
                "holderName": order.holder_name,
            },
        }
        headers = {
            "Authorization": self._authorization,
            "Content-Type": "application/json",
            "Idempotency-Key": f"{order.reference}:{order.attempt}",
        }
        answer = await self._send("POST", "/v2/payouts", headers, orjson.dumps(body))
        try:
            return _report(checked(answer))
        except ProviderError as error:
            if error.code == _KNOWN:
                raise NoAnswer("the provider has it already") from error
            raise

    async def look(self, reference: str) -> Report | None:
        path = f"/v2/payouts?refPayoutId={quote(reference, safe='')}"
        answer = checked(await self._send("GET", path, {"Authorization": self._authorization}, b""))
        return None if answer.body == b"null" else _report(answer)


def refusal(declined: Declined) -> str:
    """Why the provider will not pay, for the operator to read."""
    return f"{declined.provider_code or declined.code}: {declined.message}"[:255]


def _report(response: Response) -> Report:
    try:
        payout = msgspec.json.decode(response.body, type=_Payout)
        status = _STATUSES[payout.status]
    except (msgspec.DecodeError, KeyError) as error:
        raise NoAnswer(f"an answer that cannot be read: {error}") from error
    failure = f"{payout.error.code}: {payout.error.message}"[:255] if payout.error else None
    return Report(payout.id, status, failure)
