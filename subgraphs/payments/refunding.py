"""Gives money back: each refund once, one at a time a payment, whatever is lost on the way.

Like a charge, a refund's call is written down before it is made. A call without an outcome is resolved by what the
provider's books say was canceled of the payment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
import structlog
from sqlalchemy import ColumnElement, FromClause, and_, bindparam, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from db.session import Database
from db.statements import skip_locked
from subgraphs.kit.workers import Alarm, repeat
from subgraphs.payments import domain
from subgraphs.payments.domain import AttemptOutcome, Declined, Operation, RefundStatus, Retryable, Unclear
from subgraphs.payments.effects import Effects, Row, locked, state_of, told_of_refund
from subgraphs.payments.models import attempts, payments, refunds
from subgraphs.payments.provider import Provider, ProviderError
from subgraphs.payments.settings import Settings
from subgraphs.payments.transport import NoAnswer
from subgraphs.payments.vault import Vault

log = structlog.get_logger(__name__)

BATCH = 16
_OPEN = (None, AttemptOutcome.UNKNOWN.value)


@dataclass(frozen=True, slots=True)
class RefundJob:
    """A refund to make. ``asked_before``: the provider may have made it already."""

    refund: Row
    payment: Row
    attempt: Row
    asked_before: bool


@dataclass(frozen=True, slots=True)
class Given:
    """The provider has given the money back."""

    transaction_key: str | None


Answer = Given | Declined | Retryable | Unclear


class Refunder:
    """``settled`` is called with the ids of payments after each commit."""

    def __init__(
        self,
        database: Database,
        provider: Provider,
        vault: Vault,
        settings: Settings,
        now: Callable[[], datetime],
        settled: Callable[[Sequence[str], bool], Awaitable[None]],
    ) -> None:
        self._database = database
        self._provider = provider
        self._vault = vault
        self._settings = settings
        self._now = now
        self._settled = settled
        self.alarm = Alarm()

    async def run(self) -> None:
        """Make refunds as they fall due, until cancelled."""
        if self._database.dialect == "sqlite":
            mine = refunds.c.status == RefundStatus.PENDING.value, refunds.c.attend_at.is_not(None)
            pending = update(refunds).where(*mine)
            await self._database.run(lambda tx: tx.execute(pending.values(attend_at=self._now())))
        await repeat("payments.refunder", self.drain, every=self._settings.poll_seconds, alarm=self.alarm)

    async def drain(self) -> None:
        """Make every refund that is due now."""
        while jobs := await self._database.run(self._claim):
            for job in jobs:
                await self._attend(job)

    async def _attend(self, job: RefundJob) -> None:
        try:
            await self.carry_out(job)
        except Exception:
            # Its lease runs out and another try asks the provider first: nothing is lost or done twice.
            log.exception("refund not attended to", refund=job.refund["id"])

    async def carry_out(self, job: RefundJob) -> None:
        """Perform a refund that the caller has claimed, and save its outcome."""
        answer = await self._perform(job)
        failpoint("payments.cancel.after_provider")
        await self._database.run(lambda tx: self._record(tx, job, answer))
        await self._settled([job.payment["id"]], False)

    async def begin(self, tx: AsyncConnection, refund: Row, payment: Row, effects: Effects) -> RefundJob | None:
        """Claim a refund just made, unless an earlier one of the payment is under way or another provider has it."""
        if payment["provider"] != self._provider.name:
            return None
        earlier = select(refunds.c.id).where(
            refunds.c.payment_id == payment["id"],
            refunds.c.status == RefundStatus.PENDING.value,
            refunds.c.attend_at.is_not(None),
        )
        if (await tx.execute(earlier.limit(1))).first() is not None:
            return None
        refund["attend_at"] = self._now() + timedelta(seconds=self._settings.lease_seconds)
        attempt = effects.attempt(payment["id"], Operation.CANCEL, refund["id"])
        return RefundJob(refund, payment, attempt, asked_before=False)

    async def _claim(self, tx: AsyncConnection) -> list[RefundJob]:
        now = self._now()
        pending = refunds.c.status == RefundStatus.PENDING.value
        mine = exists().where(payments.c.id == refunds.c.payment_id, payments.c.provider == self._provider.name)
        due = select(refunds).where(refunds.c.attend_at <= now, pending, mine, _is_next())
        due = due.order_by(refunds.c.attend_at)
        rows = [dict(row) for row in (await tx.execute(skip_locked(due.limit(BATCH)))).mappings()]
        if not rows:
            return []
        query = select(payments).where(payments.c.id.in_({row["payment_id"] for row in rows}))
        paid = {row["id"]: dict(row) for row in (await tx.execute(query)).mappings()}
        calls = await _calls(tx, [row["id"] for row in rows])
        effects = Effects(self._settings, self._vault, now)
        jobs = []
        for row in rows:
            last = calls.get(row["id"])
            attempt = last if last and last["outcome"] in _OPEN else None
            attempt = attempt or effects.attempt(row["payment_id"], Operation.CANCEL, row["id"])
            jobs.append(RefundJob(row, paid[row["payment_id"]], attempt, asked_before=last is not None))
        leased = now + timedelta(seconds=self._settings.lease_seconds)
        statement = update(refunds).where(refunds.c.id.in_([row["id"] for row in rows]))
        await tx.execute(statement.values(attend_at=leased, tries=refunds.c.tries + 1))
        await effects.write(tx)
        return jobs

    async def _perform(self, job: RefundJob) -> Answer:
        if job.asked_before:
            seen = await self._look(job)
            if seen is not None:
                return seen
        account = job.refund["account_sealed"] and orjson.loads(self._vault.open(job.refund["account_sealed"]))
        try:
            made = await self._provider.cancel(
                job.payment["provider_key"],
                job.refund["reason"],
                job.refund["amount"],
                account,
                key=job.attempt["idempotency_key"],
            )
        except NoAnswer as error:
            return await self._look(job) or Unclear(str(error))
        except ProviderError as error:
            log.info("provider refused a refund", refund=job.refund["id"], code=error.code)
            verdict = error.verdict()
            return verdict if isinstance(verdict, Declined) else await self._look(job) or verdict
        return Given(made.last_cancel)

    async def _look(self, job: RefundJob) -> Given | Unclear | None:
        """Whether the provider's books have this refund; None: certainly not (yet)."""
        try:
            seen = await self._provider.payment(job.payment["provider_key"])
        except (NoAnswer, ProviderError) as error:
            return Unclear(str(error))
        if seen is None:
            return Unclear("the provider does not know the payment")
        given = seen.canceled_amount - job.payment["refunded"] >= job.refund["amount"]
        return Given(seen.last_cancel) if given else None

    async def _record(self, tx: AsyncConnection, job: RefundJob, answer: Answer) -> None:
        rows = await locked(tx, [job.payment["id"]])
        still = select(refunds.c.status).where(refunds.c.id == job.refund["id"]).with_for_update()
        if (await tx.execute(still)).scalar_one() != RefundStatus.PENDING.value:
            return  # another worker has saved the outcome
        effects = Effects(self._settings, self._vault, self._now())
        if isinstance(answer, Given):
            row = rows[job.payment["id"]]
            effects.refunded(row, domain.refunded(state_of(row), job.refund["amount"]), job.refund)
        after = self._after(job, answer, effects)
        effects.events += told_of_refund(job.refund | after)
        await effects.write(tx)
        await tx.execute(update(refunds).where(refunds.c.id == job.refund["id"]).values(**after))
        await _finish(tx, job.attempt["id"], answer, self._now())

    def _after(self, job: RefundJob, answer: Answer, effects: Effects) -> Row:
        now = self._now()
        if isinstance(answer, Given):
            return {"status": RefundStatus.COMPLETED.value, "completed_at": now, "attend_at": None}
        if isinstance(answer, Declined):
            log.error("refund refused", refund=job.refund["id"], code=answer.provider_code)
            return {
                "status": RefundStatus.FAILED.value,
                "attend_at": None,
                "failure_code": answer.code,
                "failure_message": answer.message,
            }
        return {"attend_at": now + timedelta(seconds=effects.pause(job.refund["tries"] + 1))}


def _is_next() -> ColumnElement[bool]:
    """Whether it is the refund of its payment to be made now: the one that was begun or, if none was, the oldest."""
    other = refunds.alias("other")
    first = and_(other.c.id < refunds.c.id, ~_begun(refunds))
    return ~exists().where(
        other.c.payment_id == refunds.c.payment_id,
        other.c.id != refunds.c.id,
        other.c.status == RefundStatus.PENDING.value,
        other.c.attend_at.is_not(None),
        or_(_begun(other), first),
    )


def _begun(refund: FromClause) -> ColumnElement[bool]:
    # Correlated by name: it stands two deep.
    return exists().where(attempts.c.refund_id == refund.c.id).correlate(refund)


async def _finish(tx: AsyncConnection, attempt_id: str, answer: Answer, now: datetime) -> None:
    outcome = AttemptOutcome.UNKNOWN
    if isinstance(answer, Given):
        outcome = AttemptOutcome.SUCCEEDED
    elif isinstance(answer, Declined):
        outcome = AttemptOutcome.DECLINED
    elif isinstance(answer, Retryable):
        outcome = AttemptOutcome.RETRYABLE
    open_ = or_(attempts.c.outcome.is_(None), attempts.c.outcome == AttemptOutcome.UNKNOWN.value)
    code: str | None = getattr(answer, "provider_code", None) or getattr(answer, "reason", None)
    await tx.execute(
        update(attempts)
        .where(attempts.c.id == bindparam("b_id"), open_)
        .values(
            outcome=outcome.value,
            provider_code=code and code[:100],
            provider_reference=getattr(answer, "transaction_key", None),
            finished_at=now,
        ),
        {"b_id": attempt_id},
    )


async def _calls(tx: AsyncConnection, refund_ids: Sequence[str]) -> dict[str, Row]:
    """The last call made for each refund."""
    query = select(attempts).where(attempts.c.refund_id.in_(refund_ids)).order_by(attempts.c.id)
    return {row["refund_id"]: dict(row) for row in (await tx.execute(query)).mappings()}
