"""What the buyer does himself: confirm what he paid in the provider's window, or have an account issued."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from subgraphs.kit import idempotency
from subgraphs.kit.copies import when_complete
from subgraphs.kit.errors import Rejected
from subgraphs.kit.idempotency import Request
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.money import InvalidAmount, to_minor
from subgraphs.payments import models
from subgraphs.payments.banks import DEPOSIT_BANKS
from subgraphs.payments.charging import Charger
from subgraphs.payments.domain import IN_FLIGHT, MethodKind, Operation, PaymentStatus
from subgraphs.payments.effects import Effects, Row
from subgraphs.payments.jobs import Job
from subgraphs.payments.models import payables, payments
from subgraphs.payments.provider import Provider
from subgraphs.payments.settings import Settings
from subgraphs.payments.vault import Vault

MAX_PAYMENT_KEY, MAX_HOLDER = 200, 60
_ORDER_NUMBER = re.compile(r"[A-Za-z0-9_=-]{1,64}")
_WAIT_SECONDS, _LOOK_SECONDS = 12.0, 0.05


@dataclass(frozen=True, slots=True)
class Wish:
    """One way of paying, asked for by ``user_id``."""

    user_id: str
    operation: Operation
    request: Request
    changes: Row
    amount: Decimal | None = None


class Checkout:
    """Commands of buyers. Raise Rejected with nothing changed; return the payment's id."""

    def __init__(
        self,
        database: Database,
        provider: Provider,
        charger: Charger,
        vault: Vault,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._provider = provider
        self._charger = charger
        self._vault = vault
        self._settings = settings
        self._now = now

    async def confirm(self, user_id: str, payment_key: str, number: str, amount: Decimal, key: str) -> str:
        """Have a payment executed that the buyer has authenticated in the provider's window."""
        idempotency.check_key(key)
        if not 1 <= len(payment_key) <= MAX_PAYMENT_KEY or not payment_key.isprintable():
            raise Rejected("INVALID", f"A paymentKey has 1 to {MAX_PAYMENT_KEY} characters.", ["paymentKey"])
        if not _ORDER_NUMBER.fullmatch(number):
            raise Rejected("NOT_FOUND", "No order has this number.", ["orderNumber"])
        if not amount.is_finite():
            raise Rejected("INVALID", "Not an amount.", ["amount"])
        body = {"paymentKey": payment_key, "orderNumber": number, "amount": str(amount.normalize())}
        request = Request(f"{user_id}:paymentConfirm", key, body, new_ulid())
        changes = {"provider_key": payment_key, "kind": MethodKind.CARD.value}
        wish = Wish(user_id, Operation.CONFIRM, request, changes, amount)
        mine = (payables.c.number == number, payables.c.owner_id == user_id)
        return await self._pay(wish, await self._payable(*mine, field="orderNumber"))

    async def issue_account(self, user_id: str, payable: tuple[str, str], bank: str, holder: str, key: str) -> str:
        """Have a virtual account issued to deposit into."""
        idempotency.check_key(key)
        holder = holder.strip()
        if not self._provider.issues_accounts:
            raise Rejected("NOT_ALLOWED", "This shop takes no deposits: pay by card.")
        if bank not in DEPOSIT_BANKS:
            raise Rejected("INVALID", "This bank issues no virtual accounts.", ["bankCode"])
        if not 1 <= len(holder) <= MAX_HOLDER or not holder.isprintable():
            raise Rejected("INVALID", f"A name has 1 to {MAX_HOLDER} characters.", ["holderName"])
        body = {"payable": list(payable), "bankCode": bank, "holderName": holder}
        request = Request(f"{user_id}:virtualAccountIssue", key, body, new_ulid())
        changes = {"account_bank": bank, "account_holder": holder, "kind": MethodKind.VIRTUAL_ACCOUNT.value}
        wish = Wish(user_id, Operation.ISSUE_VIRTUAL_ACCOUNT, request, changes)
        mine = (payables.c.type == payable[0], payables.c.id == payable[1], payables.c.owner_id == user_id)
        return await self._pay(wish, await self._payable(*mine, field="payableId"))

    async def _payable(self, *conditions: object, field: str) -> tuple[str, str]:
        """Type and id of a payable of the buyer, whose payment may be a moment away."""
        query = (
            select(payables.c.type, payables.c.id, payments.c.id.label("payment_id"))
            .outerjoin(
                payments, (payments.c.payable_type == payables.c.type) & (payments.c.payable_id == payables.c.id)
            )
            .where(*conditions)  # type: ignore[arg-type]
        )

        async def look() -> tuple[str, str, str | None] | None:
            async with self._database.read() as connection:
                row = (await connection.execute(query)).first()
                return (row.type, row.id, row.payment_id) if row else None

        def missing(row: tuple[str, str, str | None] | None) -> list[str]:
            return [row[1]] if row is not None and row[2] is None else []

        found = await when_complete(look, missing)
        if found is None or found[2] is None:
            raise Rejected("NOT_FOUND", "Nothing to pay was found.", [field])
        return found[0], found[1]

    async def _pay(self, wish: Wish, payable: tuple[str, str]) -> str:
        payment_id, job = await self._database.run(lambda tx: self._begin(tx, wish, payable))
        if job is not None:
            await self._charger.carry_out(job)
        else:
            await self._settled(payment_id)
        return payment_id

    async def _begin(self, tx: AsyncConnection, wish: Wish, payable: tuple[str, str]) -> tuple[str, Job | None]:
        """Claim the payment for this call, with the call written down; or find what an earlier request made of it."""
        earlier = await idempotency.claim_one(tx, models.idempotency, wish.request)
        if earlier is not None:
            return str(earlier), None
        mine = (payments.c.payable_type == payable[0], payments.c.payable_id == payable[1])
        query = select(payments).where(*mine, payments.c.payer_id == wish.user_id).with_for_update()
        found = (await tx.execute(query)).mappings().first()
        if found is None:
            raise Rejected("NOT_FOUND", "Nothing to pay was found.")
        row = dict(found)
        _check(row, wish)
        now = self._now()
        row |= wish.changes
        row |= {
            "status": PaymentStatus.IN_PROGRESS.value,
            "provider": self._provider.name,
            "attend_at": now + timedelta(seconds=self._settings.lease_seconds),
            "tries": 1,
            "updated_at": now,
        }
        changed = {
            name: row[name] for name in ("status", "provider", "attend_at", "tries", "updated_at", *wish.changes)
        }
        await tx.execute(update(payments).where(payments.c.id == row["id"]).values(**changed))
        effects = Effects(self._settings, self._vault, now)
        attempt = effects.attempt(row["id"], wish.operation)
        await effects.write(tx)
        await idempotency.answer(tx, models.idempotency, [(wish.request, row["id"])])
        return row["id"], Job(row, attempt, asked_before=False)

    async def _settled(self, payment_id: str) -> None:
        """Until the first request with the same key has its outcome: this one is answered the same."""

        query = select(payments.c.status).where(payments.c.id == payment_id)
        looks = int(_WAIT_SECONDS / _LOOK_SECONDS)
        for _ in range(looks):
            async with self._database.read() as connection:
                if (await connection.execute(query)).scalar_one() != PaymentStatus.IN_PROGRESS.value:
                    return
            await asyncio.sleep(_LOOK_SECONDS)


def _check(row: Row, wish: Wish) -> None:
    status = PaymentStatus(row["status"])
    if wish.amount is not None:
        try:
            amount = to_minor(wish.amount, row["currency"])
        except InvalidAmount as error:
            raise Rejected("INVALID", str(error), ["amount"]) from error
        if amount != row["amount"]:
            raise Rejected("AMOUNT_MISMATCH", "The amount is not the order's.", ["amount"])
    if status in IN_FLIGHT:
        raise Rejected("OUTCOME_UNKNOWN", "A payment is under way: wait for its outcome.")
    if status is not PaymentStatus.READY or row["payment_method_id"] is not None:
        raise Rejected("ALREADY_PROCESSED", "This cannot be paid (again).")
