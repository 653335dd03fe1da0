"""Carries payments out at the provider: at most one capture, whatever is lost on the way.

Each call is written down before it is made, with the idempotency key that it is made and repeated with. Whoever finds
a call without an outcome (a crash, a timeout) asks the provider first. Outcomes that come together are saved together.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Integer, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.batching import GroupCommit
from db.bulk import among
from db.failpoints import failpoint
from db.prepared import Prepared
from db.session import Database
from db.statements import skip_locked
from subgraphs.kit.workers import Alarm, repeat
from subgraphs.payments import domain
from subgraphs.payments.domain import (
    Absent,
    AttemptOutcome,
    AwaitsDeposit,
    Captured,
    Declined,
    Gone,
    Operation,
    PaymentStatus,
    Retryable,
    Unclear,
    Verdict,
)
from subgraphs.payments.effects import Effects, Row, being_refunded, locked, state_of
from subgraphs.payments.jobs import Job
from subgraphs.payments.models import attempts, customers, methods, payments
from subgraphs.payments.provider import Provider, ProviderError
from subgraphs.payments.settings import Settings
from subgraphs.payments.transport import NoAnswer
from subgraphs.payments.vault import Vault

log = structlog.get_logger(__name__)

GRACE_SECONDS = 5.0
OUTCOMES_TOGETHER = 256
_OPEN = (None, AttemptOutcome.UNKNOWN.value)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job."""

    job: Job
    verdict: Verdict
    attempt_outcome: AttemptOutcome | None


class Charger:
    """``settled`` is called with the ids of payments after each commit, and whether money must go back."""

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
        self._outcomes: GroupCommit[Outcome, None] = GroupCommit(self._save, limit=OUTCOMES_TOGETHER)
        self._running: set[asyncio.Task[None]] = set()
        self._context: contextvars.Context | None = None
        self._waiting = False
        self.alarm = Alarm()

    async def run(self) -> None:
        """Attend to payments as they fall due, until cancelled."""
        if self._database.dialect == "sqlite":
            await self._take_over()
        self._context = contextvars.copy_context()
        try:
            await repeat("payments.charger", self.step, every=self._settings.poll_seconds, alarm=self.alarm)
        finally:
            self._context = None
            if self._running:
                await asyncio.wait(self._running, timeout=GRACE_SECONDS)

    @property
    def room(self) -> int:
        """How many payments this worker would begin at once; none while it does not run."""
        return self._room if self._context else 0

    @property
    def _room(self) -> int:
        return max(0, self._settings.charge_concurrency - len(self._running))

    async def step(self) -> int:
        """Begin what is due, as far as there is room; how many payments."""
        room = self._room
        jobs = await self._database.run(lambda tx: self._claim(tx, room)) if room else []
        self._waiting = len(jobs) == room
        self.begin(jobs)
        return len(jobs)

    def begin(self, jobs: Sequence[Job]) -> None:
        """Attend to payments that are claimed, each call committed."""
        if jobs:
            failpoint("payments.charge.after_attempt")
        for job in jobs:
            # Not in the context of whoever gives the jobs: what is told is told of many events' payments at once.
            task = asyncio.create_task(self._attend(job), context=self._context)
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def drain(self) -> None:
        """Attend to everything that is due now, and wait for it."""
        while await self.step() or self._running:
            await asyncio.gather(*self._running)

    async def carry_out(self, job: Job) -> None:
        """Perform a job that the caller has claimed, and save its outcome."""
        verdict, attempt_outcome = await self._perform(job)
        failpoint("payments.charge.after_provider")
        await self._outcomes.submit(Outcome(job, verdict, attempt_outcome))

    async def _attend(self, job: Job) -> None:
        try:
            await self.carry_out(job)
        except Exception:
            # Its lease runs out and another try asks the provider first: nothing is lost or done twice.
            log.exception("payment not attended to", payment=job.payment["id"])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._waiting and len(self._running) <= self._settings.charge_concurrency // 2:  # not for the sake of one
            self.alarm.ring()

    async def _take_over(self) -> None:
        """One process owns the file: calls found open at the start are those of a process that died."""
        in_flight = payments.c.status.in_([status.value for status in domain.IN_FLIGHT])
        mine = payments.c.provider == self._provider.name
        taken = update(payments).where(in_flight, mine)
        await self._database.run(lambda tx: tx.execute(taken.values(attend_at=self._now())))

    # Claiming

    async def _claim(self, tx: AsyncConnection, limit: int) -> list[Job]:
        now = self._now()
        rows = await _DUE.dicts(tx, now=now, provider=self._provider.name, room=limit)
        if not rows:
            return []
        # A charge that nobody has begun has no calls.
        begun = [row["id"] for row in rows if row["status"] != PaymentStatus.READY.value]
        calls = await _calls(tx, begun) if begun else {}
        effects = Effects(self._settings, self._vault, now)
        jobs = [self._job(row, calls.get(row["id"], []), effects) for row in rows]
        until = now + timedelta(seconds=self._settings.lease_seconds)
        for status in {row["status"] for row in rows}:
            ids = [row["id"] for row in rows if row["status"] == status]
            await _TAKE.change(tx, ids=ids, b_status=status, b_until=until)
        await effects.write(tx)
        return await _with_cards(tx, jobs, self._provider.name)

    def _job(self, row: Row, calls: Sequence[Row], effects: Effects) -> Job:
        """What to do about a payment that is due, given the calls made for it, oldest first."""
        status = PaymentStatus(row["status"])
        row["tries"] += 1
        if status is PaymentStatus.READY and row["payment_method_id"]:
            row["status"] = PaymentStatus.IN_PROGRESS.value
            return Job(row, effects.attempt(row["id"], Operation.BILLING_CHARGE), asked_before=False)
        if status in domain.IN_FLIGHT:
            return self._resumed(row, [call for call in calls if call["operation"] != Operation.CANCEL.value], effects)
        if status is PaymentStatus.WAITING_FOR_DEPOSIT and row["cancel_requested"]:
            cancels = [call for call in calls if call["operation"] == Operation.CANCEL.value]
            if cancels and cancels[-1]["outcome"] in _OPEN:
                return Job(row, cancels[-1])
            return Job(row, effects.attempt(row["id"], Operation.CANCEL))
        return Job(row)

    def _resumed(self, row: Row, calls: Sequence[Row], effects: Effects) -> Job:
        refusals = sum(call["outcome"] == AttemptOutcome.RETRYABLE.value for call in calls)
        if not calls:
            return Job(row)
        last = calls[-1]
        if last["outcome"] in _OPEN or row["cancel_requested"]:
            return Job(row, last, refusals=refusals)
        return Job(row, effects.attempt(row["id"], Operation(last["operation"])), refusals=refusals)

    # Performing

    async def _perform(self, job: Job) -> tuple[Verdict, AttemptOutcome | None]:
        if job.asked_before:
            verdict = await self._look(job)
            if job.attempt is None:
                return (Unclear("nothing executed") if isinstance(verdict, Absent) else verdict), None
            if not self._must_send(job, verdict):
                return self._resolved(job, verdict)
        assert job.attempt is not None
        sent = await self._send(job, job.attempt)
        if isinstance(sent, Absent):
            sent = Unclear("answered as not executed")
        if isinstance(sent, Retryable | Unclear):
            return await self._doubted(job, job.attempt, sent)
        return sent, _attempt_outcome(sent, Operation(job.attempt["operation"]))

    async def _doubted(
        self, job: Job, attempt: Row, sent: Retryable | Unclear
    ) -> tuple[Verdict, AttemptOutcome | None]:
        """An answer that does not tell, or none: the provider's books may tell at once."""
        operation = Operation(attempt["operation"])
        seen = await self._look(job)
        if not isinstance(seen, Absent | Unclear) and operation is not Operation.CANCEL:
            return seen, _attempt_outcome(seen, operation)
        if isinstance(sent, Retryable) and isinstance(seen, Absent) and job.refusals + 1 >= self._settings.max_attempts:
            gave_up = Declined("PROVIDER_UNAVAILABLE", "The payment provider does not work right now.", None, True)
            return gave_up, AttemptOutcome.RETRYABLE
        return sent, _attempt_outcome(sent, operation)

    def _must_send(self, job: Job, seen: Verdict) -> bool:
        assert job.attempt is not None
        if job.attempt["operation"] == Operation.CANCEL.value:
            return isinstance(seen, AwaitsDeposit)
        return isinstance(seen, Absent) and not job.payment["cancel_requested"]

    def _resolved(self, job: Job, seen: Verdict) -> tuple[Verdict, AttemptOutcome | None]:
        """What the provider's books say of a call that was made before."""
        assert job.attempt is not None
        if isinstance(seen, Absent):  # a cancellation waits for this call
            if job.attempt["outcome"] == AttemptOutcome.RETRYABLE.value:
                return Declined("NOT_ALLOWED", "Canceled before it was charged."), AttemptOutcome.RETRYABLE
            age = (self._now() - job.attempt["started_at"]).total_seconds()
            if age < self._settings.settle_seconds:
                return Unclear("may still arrive at the provider"), AttemptOutcome.UNKNOWN
            return Declined("NOT_ALLOWED", "Canceled before it was charged."), AttemptOutcome.UNKNOWN
        return seen, _attempt_outcome(seen, Operation(job.attempt["operation"]))

    async def _look(self, job: Job) -> Verdict:
        try:
            found = await self._provider.payment_of_order(job.payment["provider_order_id"], job.customer_key)
        except (NoAnswer, ProviderError) as error:
            return Unclear(str(error))
        return found.verdict() if found else Absent()

    async def _send(self, job: Job, attempt: Row) -> Verdict:
        payment, key = job.payment, attempt["idempotency_key"]
        order_id, amount, name = payment["provider_order_id"], payment["amount"], payment["order_name"]
        try:
            match Operation(attempt["operation"]):
                case Operation.BILLING_CHARGE:
                    if job.billing_key_sealed is None or job.customer_key is None:
                        return Declined("NOT_ALLOWED", "The payment method was removed.")
                    billing_key = self._vault.open(job.billing_key_sealed)
                    made = await self._provider.charge(billing_key, job.customer_key, amount, order_id, name, key=key)
                case Operation.CONFIRM:
                    made = await self._provider.confirm(payment["provider_key"], order_id, amount, key=key)
                case Operation.ISSUE_VIRTUAL_ACCOUNT:
                    bank, holder = payment["account_bank"], payment["account_holder"]
                    hours = self._settings.deposit_hours
                    made = await self._provider.issue_virtual_account(
                        amount, order_id, name, holder, bank, hours, key=key
                    )
                case _:
                    made = await self._provider.cancel(payment["provider_key"], "주문 취소", None, None, key=key)
                    failpoint("payments.cancel.after_provider")
        except NoAnswer as error:
            return Unclear(str(error))
        except ProviderError as error:
            log.info("provider refused", payment=payment["id"], code=error.code, operation=attempt["operation"])
            return error.verdict()
        return made.verdict()

    # Saving

    async def _save(self, outcomes: Sequence[Outcome]) -> list[Exception | None]:
        money_back = await self._database.run(lambda tx: self._record(tx, outcomes))
        failpoint("payments.charge.after_commit")
        await self._settled([outcome.job.payment["id"] for outcome in outcomes], money_back)
        return [None] * len(outcomes)

    async def _record(self, tx: AsyncConnection, outcomes: Sequence[Outcome]) -> bool:
        rows = await locked(tx, sorted({outcome.job.payment["id"] for outcome in outcomes}))
        refunding = await being_refunded(tx, rows)
        now = self._now()
        effects = Effects(self._settings, self._vault, now)
        for outcome in outcomes:
            attempt, id = outcome.job.attempt, outcome.job.payment["id"]
            state = state_of(
                rows[id], refunding=refunding.get(id, 0), operation=attempt["operation"] if attempt else None
            )
            if isinstance(outcome.verdict, Captured) and outcome.verdict.amount != state.amount:
                log.error("amount at the provider differs", payment=id, amount=outcome.verdict.amount)
            rows[id] = effects.apply(rows[id], domain.decide(state, outcome.verdict), outcome.verdict)
        await effects.write(tx)
        await _finish(tx, outcomes, now)
        failpoint("payments.charge.before_commit")
        return effects.has_refunds


def _attempt_outcome(verdict: Verdict, operation: Operation) -> AttemptOutcome | None:
    if isinstance(verdict, Gone):
        return AttemptOutcome.SUCCEEDED if operation is Operation.CANCEL else AttemptOutcome.DECLINED
    if isinstance(verdict, Captured | AwaitsDeposit):
        return AttemptOutcome.DECLINED if operation is Operation.CANCEL else AttemptOutcome.SUCCEEDED
    if isinstance(verdict, Declined):
        return AttemptOutcome.DECLINED
    return AttemptOutcome.RETRYABLE if isinstance(verdict, Retryable) else AttemptOutcome.UNKNOWN


async def _finish(tx: AsyncConnection, outcomes: Sequence[Outcome], now: datetime) -> None:
    rows = [
        {
            "b_id": outcome.job.attempt["id"],
            "b_outcome": outcome.attempt_outcome and outcome.attempt_outcome.value,
            "b_code": _code(outcome.verdict),
            "b_reference": getattr(outcome.verdict, "provider_key", None),
            "b_finished": now,
        }
        for outcome in outcomes
        if outcome.job.attempt is not None
    ]
    if rows:
        await _FINISH.change_each(tx, rows)


_FINISH = Prepared(
    update(attempts)
    .where(
        attempts.c.id == bindparam("b_id"),
        or_(attempts.c.outcome.is_(None), attempts.c.outcome == AttemptOutcome.UNKNOWN.value),
    )
    .values(
        outcome=bindparam("b_outcome"),
        provider_code=bindparam("b_code"),
        provider_reference=bindparam("b_reference"),
        finished_at=bindparam("b_finished"),
    )
)


def _code(verdict: Verdict) -> str | None:
    code: str | None = getattr(verdict, "provider_code", None) or getattr(verdict, "reason", None)
    return code and code[:100]


_DUE = Prepared(
    skip_locked(
        select(
            *(
                payments.c[name]
                for name in (
                    "id",
                    "status",
                    "tries",
                    "cancel_requested",
                    "payment_method_id",
                    "provider_order_id",
                    "order_name",
                    "amount",
                    "provider_key",
                    "account_bank",
                    "account_holder",
                )
            )
        )
        .where(payments.c.attend_at <= bindparam("now"), payments.c.provider == bindparam("provider"))
        .order_by(payments.c.attend_at)
        .limit(bindparam("room", type_=Integer()))
    )
)
_TAKE = Prepared(
    update(payments)
    .where(among(payments.c.id, "ids"))
    .values(status=bindparam("b_status"), attend_at=bindparam("b_until"), tries=payments.c.tries + 1)
)
_CALLS = Prepared(
    select(attempts).where(among(attempts.c.payment_id, "ids"), attempts.c.refund_id.is_(None)).order_by(attempts.c.id)
)
_CARDS = Prepared(
    select(
        methods.c.id,
        methods.c.billing_key_sealed,
        func.coalesce(methods.c.customer_key, customers.c.customer_key).label("customer_key"),
    )
    .join(customers, customers.c.user_id == methods.c.user_id)
    .where(among(methods.c.id, "ids"), methods.c.provider == bindparam("provider"))
)


async def _calls(tx: AsyncConnection, payment_ids: Sequence[str]) -> dict[str, list[Row]]:
    calls: dict[str, list[Row]] = {}
    for row in await _CALLS.dicts(tx, ids=payment_ids):
        calls.setdefault(row["payment_id"], []).append(row)
    return calls


async def _with_cards(tx: AsyncConnection, jobs: Sequence[Job], provider: str) -> list[Job]:
    ids = {job.payment["payment_method_id"] for job in jobs if job.payment["payment_method_id"]}
    if not ids:
        return list(jobs)
    cards = {row.id: row for row in await _CARDS.rows(tx, ids=sorted(ids), provider=provider)}
    return [
        replace(job, billing_key_sealed=card.billing_key_sealed, customer_key=card.customer_key)
        if (card := cards.get(job.payment["payment_method_id"]))
        else job
        for job in jobs
    ]
