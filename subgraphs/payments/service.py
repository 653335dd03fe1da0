"""Payments' use cases put together, and its reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.batching import GroupCommit
from db.bulk import among
from db.prepared import Prepared
from db.reads import Read, by_key
from db.session import Database
from messaging.events.orders import RefundRequested
from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.idempotency import Request
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.money import InvalidAmount, to_minor
from subgraphs.payments import models, returned
from subgraphs.payments.banks import BANKS
from subgraphs.payments.charging import Charger
from subgraphs.payments.checkout import Checkout
from subgraphs.payments.domain import CAPTURED, MethodKind, MethodStatus, PaymentStatus
from subgraphs.payments.effects import Effects, Row, being_refunded, locked
from subgraphs.payments.intake import Intake
from subgraphs.payments.methods import Methods, announce
from subgraphs.payments.models import attempts, commissions, methods, partners, payables, payments, refunds
from subgraphs.payments.provider import Hint, Provider
from subgraphs.payments.reconciling import Reconciler
from subgraphs.payments.refunding import Refunder, RefundJob
from subgraphs.payments.settings import Settings
from subgraphs.payments.settling.bearing import bear
from subgraphs.payments.settling.bookkeeper import Bookkeeper
from subgraphs.payments.settling.closing import Closing
from subgraphs.payments.settling.payouts import Payouts
from subgraphs.payments.settling.provider import PayoutProvider
from subgraphs.payments.settling.reading import Reading
from subgraphs.payments.settling.totals import Totals
from subgraphs.payments.vault import Unreadable, Vault

__all__ = ["ADMIN_SCOPES", "Account", "Service", "announce"]

ADMIN_SCOPES = frozenset({"payments:read", "orders:read", "refunds:write"})
"""Holders of any of these see every payment."""
_HINTED = Prepared(
    select(
        *(
            payments.c[name]
            for name in (
                "id",
                "provider_order_id",
                "status",
                "amount",
                "captured",
                "refunded",
                "attend_at",
                "account_secret_sealed",
            )
        )
    ).where(among(payments.c.provider_order_id, "order_ids"))
)
_PAYMENTS = by_key(select(payments), payments.c.id)
_REFUNDS = by_key(select(refunds), refunds.c.id)
_METHODS = by_key(select(methods), methods.c.id)
_WITH_MEMBERS = select(commissions, partners.c.member_ids).outerjoin(
    partners, partners.c.partner_id == commissions.c.partner_id
)
_COMMISSIONS = by_key(_WITH_MEMBERS, commissions.c.order_line_id)
_PAYABLES = by_key(select(payables).where(payables.c.type == bindparam("type")), payables.c.id)
_PAYMENTS_OF_PAYABLE = by_key(
    select(payments).where(payments.c.payable_type == bindparam("type")).order_by(payments.c.id), payments.c.payable_id
)
_ATTEMPTS_OF_PAYMENT = by_key(select(attempts).order_by(attempts.c.id), attempts.c.payment_id)
_REFUNDS_OF_PAYMENT = by_key(select(refunds).order_by(refunds.c.id), refunds.c.payment_id)
_ALIVE = methods.c.status != MethodStatus.REVOKED.value
_METHODS_OF_USER = by_key(select(methods).where(_ALIVE).order_by(methods.c.id), methods.c.user_id)
MAX_REASON, MAX_ACCOUNT_NUMBER, MAX_HOLDER = 200, 20, 60


@dataclass(frozen=True, slots=True)
class Account:
    """Where a deposit is refunded to."""

    bank: str
    number: str
    holder: str


class Service:
    """What the door and the workers call. ``tell`` and ``wake`` are called after commits: live updates, the relay."""

    def __init__(
        self,
        database: Database,
        provider: Provider,
        payout_provider: PayoutProvider,
        vault: Vault,
        settings: Settings,
        now: Callable[[], datetime],
        tell: Callable[..., Awaitable[None]],
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._vault = vault
        self._settings = settings
        self._now = now
        self._tell = tell
        self._wake = wake
        self.intake = Intake(settings, vault)
        self.charger = Charger(database, provider, vault, settings, now, self.settled)
        self.refunder = Refunder(database, provider, vault, settings, now, self.settled)
        self.reconciler = Reconciler(database, provider, now, self.charger.alarm.ring, settings)
        self.bookkeeper = Bookkeeper(database, settings, now)
        self.closing = Closing(database, self.bookkeeper, settings, now, wake)
        self.payouts = Payouts(database, payout_provider, settings, now, wake)
        self.totals = Totals(database, settings, now)
        self.settling = Reading(database)
        self.checkout = Checkout(database, provider, self.charger, vault, settings, now)
        self.methods = Methods(database, provider, vault, now, wake)
        # Webhooks come in crowds: those that come together are looked up together.
        self._hinted: GroupCommit[Hint, bool] = GroupCommit(self.hints)

    async def settled(self, payment_ids: Sequence[str], money_back: bool) -> None:
        """After a commit that changed payments."""
        self._wake()
        if money_back:
            self.refunder.alarm.ring()
        await self._tell(*[f"payment:{payment_id}" for payment_id in payment_ids])

    async def refund(
        self,
        identity: Identity,
        payment_id: str,
        amount: Decimal | None,
        reason: str,
        account: Account | None,
        key: str,
        partner_id: str | None = None,
    ) -> str:
        """Give back a part or (``amount`` None) all that is left; the refund's id. Raises Rejected, AccessDenied.

        ``partner_id``: the seller who bears it; None: all bear it, in proportion to what is left.
        """
        identity.require_scope("refunds:write")
        idempotency.check_key(key)
        _check_text(reason, MAX_REASON, "reason")
        if account is not None:
            _check_account(account)
        body = _refund_body(payment_id, amount, reason, account, partner_id)
        request = Request(f"{identity.user_id}:refundCreate", key, body, new_ulid())

        async def work(tx: AsyncConnection) -> tuple[str, RefundJob | None]:
            earlier = await idempotency.claim_one(tx, models.idempotency, request)
            if earlier is not None:
                return str(earlier), None
            row = (await locked(tx, [payment_id])).get(payment_id)
            if row is None:
                raise Rejected("NOT_FOUND", "No payment has this id.", ["paymentId"])
            left = row["captured"] - row["refunded"] - (await being_refunded(tx, {payment_id: row})).get(payment_id, 0)
            minor = _refundable(row, amount, left, account)
            effects = Effects(self._settings, self._vault, self._now())
            sealed = _account_json(account) if account else None
            refund = effects.refund(row, minor, reason, automatic=False, account=sealed)
            job = await self.refunder.begin(tx, refund, row, effects)
            await effects.write(tx)
            if partner_id is not None:
                await bear(tx, refund, row, partner_id)
            await idempotency.answer(tx, models.idempotency, [(request, refund["id"])])
            return refund["id"], job

        refund_id, job = await self._database.run(work)
        if job is not None:
            await self.refunder.carry_out(job)
        return refund_id

    async def refunds_requested(self, tx: AsyncConnection, facts: Sequence[RefundRequested]) -> None:
        """Orders asks to refund returns, in the caller's transaction."""
        await returned.refunds_requested(tx, facts, self._settings, self._vault, self._now())

    async def set_refund_account(self, identity: Identity, refund_id: str, account: Account) -> None:
        """Name the account that a deposit goes back to. Raises Rejected."""
        _check_account(account)
        sealed = self._vault.seal(_account_json(account))
        await self._database.run(lambda tx: returned.set_account(tx, identity, refund_id, sealed, self._now()))
        self.refunder.alarm.ring()

    async def hint(self, order_id: str, secret: str | None, *, is_deposit: bool, status: str | None = None) -> bool:
        """A webhook says that the payment of ``order_id`` changed: have the provider asked. False for a forged one.

        ``status``: what it changed to; what is known already ("DONE") is not asked for again.
        """
        return await self._hinted.submit(Hint(order_id, status == "DONE", is_deposit, secret))

    async def hints(self, hints: Sequence[Hint]) -> list[bool | Exception]:
        """The same for many, each with its outcome."""
        rows = await self._by_provider_order({hint.order_id for hint in hints})
        kept: list[bool | Exception] = []
        news: list[str] = []
        for hint in hints:
            row = rows.get(hint.order_id)
            try:
                # What is not ours is nothing to look at, and nothing to send again.
                genuine = row is None or not hint.is_deposit or self._is_secret(row.account_secret_sealed, hint.secret)
            except Unreadable as error:
                kept.append(error)
                continue
            kept.append(genuine)
            if row is not None and genuine and not (hint.paid and self._is_old_news(row)):
                news.append(row.id)
        if news:
            change = update(payments).where(payments.c.id.in_(sorted(set(news)))).values(attend_at=self._now())
            await self._database.run(lambda tx: tx.execute(change))
            self.charger.alarm.ring()
        return kept

    async def _by_provider_order(self, order_ids: Collection[str]) -> dict[str, Any]:
        # By the connection that has just written most of them: on SQLite it has their pages at hand.
        async with self._database.transaction() as tx:
            return {row.provider_order_id: row for row in await _HINTED.rows(tx, order_ids=order_ids)}

    def _is_old_news(self, row: Any) -> bool:
        """Whether "paid" is said of what is known to be paid, or of what a worker is charging at this moment."""
        if row.refunded:
            return False
        if row.status == PaymentStatus.IN_PROGRESS.value:
            return row.attend_at is not None and bool(row.attend_at > self._now())
        return bool(row.captured == row.amount)

    def _is_secret(self, sealed: str | None, given: str | None) -> bool:
        if sealed is None:
            return True  # the account's answer was lost: the look at the provider's books decides alone
        return given is not None and self._vault.matches(sealed, given)

    # Reads

    async def payments_by_id(self, ids: Sequence[str]) -> list[Row | None]:
        return await self._one(_PAYMENTS, ids)

    async def refunds_by_id(self, ids: Sequence[str]) -> list[Row | None]:
        return await self._one(_REFUNDS, ids)

    async def methods_by_id(self, ids: Sequence[str]) -> list[Row | None]:
        return await self._one(_METHODS, ids)

    async def commissions_by_line(self, ids: Sequence[str]) -> list[Row | None]:
        """A line's frozen rate, with the members of its seller."""
        return await self._one(_COMMISSIONS, ids)

    async def payables_by_id(self, keys: Sequence[tuple[str, str]]) -> list[Row | None]:
        found = await self._by_type(_PAYABLES, keys)
        return [next(iter(found[key]), None) for key in keys]

    async def payments_of_payables(self, keys: Sequence[tuple[str, str]]) -> list[list[Row]]:
        found = await self._by_type(_PAYMENTS_OF_PAYABLE, keys)
        return [found[key] for key in keys]

    async def attempts_of_payments(self, ids: Sequence[str]) -> list[list[Row]]:
        return await self._many(_ATTEMPTS_OF_PAYMENT, ids)

    async def refunds_of_payments(self, ids: Sequence[str]) -> list[list[Row]]:
        return await self._many(_REFUNDS_OF_PAYMENT, ids)

    async def methods_of_users(self, user_ids: Sequence[str]) -> list[list[Row]]:
        """The methods that are not revoked, oldest first."""
        return await self._many(_METHODS_OF_USER, user_ids)

    async def _one(self, read: Read, ids: Sequence[str]) -> list[Row | None]:
        found = {row.loader_key: dict(row._mapping) for row in await read.rows(self._database, keys=ids)}
        return [found.get(id) for id in ids]

    async def _many(self, read: Read, ids: Sequence[str]) -> list[list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        for row in await read.rows(self._database, keys=ids):
            found[row.loader_key].append(dict(row._mapping))
        return [found[id] for id in ids]

    async def _by_type(self, read: Read, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[Row]]:
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for type in sorted({type for type, _ in keys}):
            ids = [id for other, id in keys if other == type]
            for row in await read.rows(self._database, keys=ids, type=type):
                found[type, row.loader_key].append(dict(row._mapping))
        return found


def _refund_body(
    payment_id: str, amount: Decimal | None, reason: str, account: Account | None, partner_id: str | None
) -> Row:
    """What the same key must come with."""
    return {
        "paymentId": payment_id,
        "amount": None if amount is None else str(amount),
        "reason": reason,
        "account": account and [account.bank, account.number, account.holder],
        **({"partnerId": partner_id} if partner_id else {}),
    }


def _refundable(row: Row, amount: Decimal | None, left: int, account: Account | None) -> int:
    """The refund in minor units. Raises Rejected."""
    if PaymentStatus(row["status"]) not in CAPTURED:
        raise Rejected("NOT_ALLOWED", "Nothing of this payment can be refunded.", ["paymentId"])
    try:
        minor = left if amount is None else to_minor(amount, row["currency"])
    except InvalidAmount as error:
        raise Rejected("INVALID", str(error), ["amount"]) from error
    if amount is not None and minor <= 0:
        raise Rejected("INVALID", "More than nothing.", ["amount"])
    if minor > left or left <= 0:
        raise Rejected("REFUND_EXCEEDS_BALANCE", "More than is left of the payment.", ["amount"])
    if row["kind"] == MethodKind.VIRTUAL_ACCOUNT.value and account is None:
        raise Rejected("REFUND_ACCOUNT_REQUIRED", "A deposit is refunded to an account.", ["refundAccount"])
    return minor


def _check_text(text: str, limit: int, field: str) -> None:
    if not 1 <= len(text.strip()) <= limit or len(text) > limit or not text.isprintable():
        raise Rejected("INVALID", f"Between 1 and {limit} characters.", [field])


def _check_account(account: Account) -> None:
    if account.bank not in BANKS:
        raise Rejected("INVALID", "No such bank.", ["refundAccount", "bankCode"])
    number = account.number.replace("-", "")
    if not number.isascii() or not number.isdigit() or len(number) > MAX_ACCOUNT_NUMBER:
        raise Rejected("INVALID", "An account number has digits only.", ["refundAccount", "accountNumber"])
    if not 1 <= len(account.holder.strip()) <= MAX_HOLDER or not account.holder.isprintable():
        raise Rejected("INVALID", f"Between 1 and {MAX_HOLDER} characters.", ["refundAccount", "holderName"])


def _account_json(account: Account) -> str:
    number = account.number.replace("-", "")
    return orjson.dumps({"bank": account.bank, "accountNumber": number, "holderName": account.holder}).decode()
