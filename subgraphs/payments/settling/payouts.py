"""Paying settlements out: each once, whatever is lost on the way.

A payout is written down before the provider hears of it, under an id that the provider makes one payout of. Until the
outcome is known it is asked for; nobody pays again because an answer did not come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from db.session import Database
from db.statements import skip_locked
from messaging.events import EventData
from messaging.events.payments import PayoutCompleted, PayoutFailed
from messaging.events.users import PayoutAccountChanged
from messaging.outbox import record
from subgraphs.kit import idempotency
from subgraphs.kit.copies import keep
from subgraphs.kit.errors import Rejected
from subgraphs.kit.idempotency import Request
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.workers import Alarm, repeat
from subgraphs.payments import models
from subgraphs.payments.domain import Declined
from subgraphs.payments.effects import PROVIDER, SOURCE, Row
from subgraphs.payments.models import outbox, payout_accounts, payouts, settlements, transfers
from subgraphs.payments.provider import ProviderError
from subgraphs.payments.settings import Settings
from subgraphs.payments.settling.bookkeeper import SELLERS
from subgraphs.payments.settling.closing import SCOPE
from subgraphs.payments.settling.provider import Order, PayoutProvider, Report, refusal
from subgraphs.payments.settling.rules import UNDER_WAY, PayoutStatus, SettlementStatus, next_business_day, seoul_day
from subgraphs.payments.transport import NoAnswer

log = structlog.get_logger(__name__)

BATCH = 16


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Nobody knows yet."""

    reason: str


class Payouts:
    """Requests, and the worker that carries them out. ``wake`` is called after commits: it wakes the relay."""

    def __init__(
        self,
        database: Database,
        provider: PayoutProvider,
        settings: Settings,
        now: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._provider = provider
        self._settings = settings
        self._now = now
        self._wake = wake
        self.alarm = Alarm()

    async def accounts_changed(self, tx: AsyncConnection, facts: Sequence[PayoutAccountChanged]) -> None:
        """Note where sellers are paid to, in the caller's transaction."""
        await keep(
            tx,
            payout_accounts,
            facts,
            lambda each: {
                "partner_id": each.partner_id,
                "version": each.version,
                "bank_code": each.bank_code,
                "account_number": each.bank_account_number,
                "holder_name": each.holder_name,
            },
        )

    async def request(self, identity: Identity, settlement_id: str, key: str) -> str:
        """Have a settlement paid out; its id.

        Raises AccessDenied; Rejected NOT_FOUND, ALREADY_PROCESSED (a payout is under way or made), NOT_ALLOWED (there
        is nothing to pay out), PAYOUT_ACCOUNT_REQUIRED (the seller's bank account is not known).
        """
        identity.require_scope(SCOPE)
        idempotency.check_key(key)
        request = Request(f"{identity.user_id}:payoutRequest", key, {"settlementId": settlement_id}, new_ulid())

        async def work(tx: AsyncConnection) -> None:
            earlier = await idempotency.claim_one(tx, models.idempotency, request)
            if earlier is not None:
                return
            await self._ask(tx, settlement_id)
            await idempotency.answer(tx, models.idempotency, [(request, settlement_id)])

        await self._database.run(work)
        failpoint("payments.payout.after_request")
        self.alarm.ring()
        return settlement_id

    async def run(self) -> None:
        """Pay as payouts fall due, until cancelled."""
        await repeat("payments.payouts", self.drain, every=self._settings.poll_seconds, alarm=self.alarm)

    async def drain(self) -> None:
        """Attend to every payout that is due now."""
        while jobs := await self._database.run(self._claim):
            for job in jobs:
                outcome = await self._perform(job)
                failpoint("payments.payout.after_provider")
                await self._database.run(lambda tx, job=job, outcome=outcome: self._record(tx, job, outcome))  # type: ignore[misc]
                failpoint("payments.payout.after_commit")
                self._wake()

    async def _ask(self, tx: AsyncConnection, settlement_id: str) -> None:
        query = select(settlements).where(settlements.c.id == settlement_id).with_for_update()
        row = (await tx.execute(query)).mappings().one_or_none()
        if row is None:
            raise Rejected("NOT_FOUND", "No settlement has this id.", ["settlementId"])
        status = SettlementStatus(row["status"])
        if status in (SettlementStatus.PAYOUT_REQUESTED, SettlementStatus.PAID):
            raise Rejected("ALREADY_PROCESSED", "This settlement is paid out, or about to be.", ["settlementId"])
        if status is not SettlementStatus.CLOSED:
            raise Rejected("NOT_ALLOWED", "There is nothing to pay out.", ["settlementId"])
        mine = select(payout_accounts).where(payout_accounts.c.partner_id == row["partner_id"])
        account = (await tx.execute(mine)).mappings().one_or_none()
        if account is None:
            raise Rejected("PAYOUT_ACCOUNT_REQUIRED", "The seller's bank account is not known.", ["settlementId"])
        now = self._now()
        payout = {
            "id": new_ulid(),
            "settlement_id": settlement_id,
            "live_settlement_id": settlement_id,
            "partner_id": row["partner_id"],
            "amount": row["payable"],
            "currency": row["currency"],
            "status": PayoutStatus.REQUESTED.value,
            "scheduled_on": next_business_day(seoul_day(now)),
            **{name: account[name] for name in ("bank_code", "account_number", "holder_name")},
            "attend_at": now,
            "tries": 0,
            "created_at": now,
        }
        await tx.execute(insert(payouts).values(**payout))
        await _move(tx, settlement_id, SettlementStatus.PAYOUT_REQUESTED)

    async def _claim(self, tx: AsyncConnection) -> list[Row]:
        now = self._now()
        due = select(payouts).where(payouts.c.attend_at <= now).order_by(payouts.c.attend_at).limit(BATCH)
        rows = [dict(row) for row in (await tx.execute(skip_locked(due))).mappings()]
        if rows:
            leased = now + timedelta(seconds=self._settings.lease_seconds)
            mine = update(payouts).where(payouts.c.id.in_([row["id"] for row in rows]))
            await tx.execute(mine.values(attend_at=leased, tries=payouts.c.tries + 1))
        return rows

    async def _perform(self, row: Row) -> Report | Declined | _Unknown:
        if row["tries"]:
            try:
                known = await self._provider.look(row["id"])
            except (NoAnswer, ProviderError) as error:  # a refused question says nothing of the payout
                return _Unknown(str(error))
            if known is not None:
                return known
        try:
            return await self._provider.pay(_order(row))
        except NoAnswer as error:
            return _Unknown(str(error))
        except ProviderError as error:
            log.info("provider refused a payout", payout=row["id"], code=error.code)
            verdict = error.verdict()
            return verdict if isinstance(verdict, Declined) else _Unknown(str(error))

    async def _record(self, tx: AsyncConnection, job: Row, outcome: Report | Declined | _Unknown) -> None:
        query = select(payouts.c.status).where(payouts.c.id == job["id"]).with_for_update()
        if PayoutStatus((await tx.execute(query)).scalar_one()) not in UNDER_WAY:
            return  # another worker has saved the outcome
        mine = update(payouts).where(payouts.c.id == job["id"])
        if isinstance(outcome, Report) and outcome.status is PayoutStatus.COMPLETED:
            await self._completed(tx, job, outcome)
        elif isinstance(outcome, Declined):
            await self._failed(tx, job, refusal(outcome))
        elif isinstance(outcome, Report) and outcome.status is PayoutStatus.FAILED:
            await self._failed(tx, job, outcome.failure or "The provider does not say why.")
        elif isinstance(outcome, Report):
            changes = {"status": outcome.status.value, "provider_id": outcome.provider_id}
            await tx.execute(mine.values(**changes, attend_at=self._later(job)))
        else:
            await tx.execute(mine.values(attend_at=self._later(job)))

    async def _completed(self, tx: AsyncConnection, job: Row, report: Report) -> None:
        now = self._now()
        done = {"status": PayoutStatus.COMPLETED.value, "provider_id": report.provider_id, "paid_at": now}
        await tx.execute(update(payouts).where(payouts.c.id == job["id"]).values(**done, attend_at=None))
        settlement = await _move(tx, job["settlement_id"], SettlementStatus.PAID)
        transfer = {
            "id": new_ulid(),
            "reference": job["id"],
            "debit_account": SELLERS,
            "credit_account": PROVIDER,
            "amount": job["amount"],
            "currency": job["currency"],
            "booked_at": now,
        }
        await tx.execute(insert(transfers).values(**transfer))
        period = {name: settlement[name] for name in ("period_start", "period_end")}
        await record(tx, outbox, SOURCE, [PayoutCompleted(**_about(job), **period)])

    async def _failed(self, tx: AsyncConnection, job: Row, reason: str) -> None:
        log.error("payout failed", payout=job["id"], reason=reason)
        changes = {"status": PayoutStatus.FAILED.value, "failure_reason": reason}
        mine = update(payouts).where(payouts.c.id == job["id"])
        await tx.execute(mine.values(**changes, attend_at=None, live_settlement_id=None))
        await _move(tx, job["settlement_id"], SettlementStatus.CLOSED)
        told: list[EventData] = [PayoutFailed(**_about(job), reason=reason)]
        await record(tx, outbox, SOURCE, told)

    def _later(self, job: Row) -> datetime:
        """Sooner at first; a bank takes hours."""
        pause = min(self._settings.payout_look_seconds * 2.0 ** min(job["tries"], 20), 3600.0)
        return self._now() + timedelta(seconds=pause)


async def _move(tx: AsyncConnection, settlement_id: str, to: SettlementStatus) -> Row:
    mine = settlements.c.id == settlement_id
    await tx.execute(update(settlements).where(mine).values(status=to.value))
    return dict((await tx.execute(select(settlements).where(mine))).mappings().one())


def _order(row: Row) -> Order:
    return Order(
        reference=row["id"],
        attempt=row["tries"],
        amount=row["amount"],
        currency=row["currency"],
        on=row["scheduled_on"],
        bank_code=row["bank_code"],
        account_number=row["account_number"],
        holder_name=row["holder_name"],
    )


def _about(job: Row) -> Row:
    names = ("settlement_id", "partner_id", "amount", "currency")
    return {"payout_id": job["id"], **{name: job[name] for name in names}}
