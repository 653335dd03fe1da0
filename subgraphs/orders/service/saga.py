"""Applies answers to sagas, many orders at a time: lock, decide, write, tell; all in the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, Table, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among
from db.prepared import Prepared
from db.statements import skip_locked
from messaging import outbox
from messaging.events import EventData
from messaging.events.orders import OrderPaid
from subgraphs.orders import models
from subgraphs.orders.domain.saga import PAYMENT, Answer, Ask, Saga, decide, pending_asks
from subgraphs.orders.domain.states import FULFILLMENT_RANK, SOLD, UNSETTLED, UNSOLD, OrderStatus, Phase, StepName
from subgraphs.orders.service.telling import events_for

SOURCE = "/dure/orders"
SEOUL = ZoneInfo("Asia/Seoul")
_ERROR_LENGTH = 500

Changes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened to an order. ``amount``: what was captured. ``due_at``: until when it may be paid."""

    order_id: str
    answer: Answer
    detail: str = ""
    progress: OrderStatus | None = None
    fulfillment: str | None = None
    amount: tuple[int, str] | None = None
    due_at: datetime | None = None


@dataclass(slots=True)
class Outcome:
    """What became of the orders: to be told after the commit."""

    changed: set[str] = field(default_factory=set)
    paid_partners: set[str] = field(default_factory=set)
    """The sellers of orders that have just been paid."""


@dataclass(slots=True)
class _Case:
    """An order being decided on. ``saga_changes`` and ``order_changes`` are the columns to write."""

    row: Row[Any]
    saga: Saga
    asks: list[Ask] = field(default_factory=list)
    saga_changes: Changes = field(default_factory=dict)
    order_changes: Changes = field(default_factory=dict)


async def advance(tx: AsyncConnection, news: Sequence[News], now: datetime, *, ask_again_after: float) -> Outcome:
    """Apply ``news`` in the order given. Orders that do not exist are passed over: nobody could answer for them."""
    cases = await _lock(tx, {each.order_id for each in news})
    for each in news:
        if case := cases.get(each.order_id):
            _apply(case, each, now)
    for case in cases.values():
        _schedule(case, now, ask_again_after)
    await _write(tx, models.sagas, models.sagas.c.order_id, {id: case.saga_changes for id, case in cases.items()})
    await _write(tx, models.orders, models.orders.c.id, {id: case.order_changes for id, case in cases.items()})
    told = await _tell(tx, cases.values())
    sold = [line for event in told if isinstance(event, OrderPaid) for line in event.lines]
    return Outcome(
        changed={id for id, case in cases.items() if case.saga_changes or case.order_changes},
        paid_partners={line.partner_id for line in sold if line.partner_id},
    )


async def ask_again(tx: AsyncConnection, now: datetime, *, ask_again_after: float, limit: int = 200) -> int:
    """Repeat what was asked long ago and never answered; how many orders. Those asked answer again, in the same way."""
    due = select(models.sagas.c.order_id).where(models.sagas.c.ask_again_at <= now)
    overdue = (await tx.execute(skip_locked(due.order_by(models.sagas.c.ask_again_at).limit(limit)))).scalars().all()
    cases = await _lock(tx, overdue)
    for case in cases.values():
        case.asks += pending_asks(case.saga)
        case.saga_changes["ask_again_at"] = now + timedelta(seconds=ask_again_after) if case.asks else None
        for step, phase in case.saga.phases.items():
            if phase is Phase.REQUESTED:
                case.saga_changes[f"{_COLUMN[step]}_attempts"] = _attempts(case.row, step) + 1
    await _write(tx, models.sagas, models.sagas.c.order_id, {id: case.saga_changes for id, case in cases.items()})
    await _tell(tx, cases.values())
    return len(cases)


async def overdue_payments(tx: AsyncConnection, now: datetime, *, limit: int = 200) -> Sequence[str]:
    """Orders whose time to be paid is up, locked."""
    due = select(models.sagas.c.order_id).where(models.sagas.c.give_up_at <= now)
    found = await tx.execute(skip_locked(due.order_by(models.sagas.c.give_up_at).limit(limit)))
    return list(found.scalars())


def new_saga_row(order_id: str, saga: Saga, now: datetime, *, ask_again_after: float, ttl: float) -> Changes:
    """The row of a saga that begins."""
    row: Changes = {
        "order_id": order_id,
        "ending": None,
        "progress": None,
        "ask_again_at": now + timedelta(seconds=ask_again_after),
        "give_up_at": now + timedelta(seconds=ttl),
    }
    for step, phase in saga.phases.items():
        name = _COLUMN[step]
        asked = int(phase is Phase.REQUESTED)
        row |= {name: phase.value, f"{name}_attempts": asked, f"{name}_error": None, f"{name}_at": now}
    return row


_STEPS = tuple(StepName)
_COLUMN = {step: step.value.lower() for step in _STEPS}
_PHASES = {phase.value: phase for phase in Phase}
_STATUSES: dict[str | None, OrderStatus] = {status.value: status for status in OrderStatus}
_phases_in = attrgetter(*_COLUMN.values())


def saga_of(row: Any) -> Saga:
    """The saga in a row of orders joined with sagas."""
    return Saga(
        status=_STATUSES[row.status],
        phases=dict(zip(_STEPS, map(_PHASES.__getitem__, _phases_in(row)), strict=True)),
        ending=_STATUSES.get(row.ending),
        reason=row.cancel_reason,
        progress=_STATUSES.get(row.progress),
    )


# Only what is decided on or told: reading all columns of every order for each of its answers costs more than the rest.
_NEEDED = (
    *("id", "number", "buyer_id", "claim_id", "status", "currency", "total", "payment_method_id", "address_id"),
    *("fulfillment_status", "cancel_reason"),
)
_LOCK = Prepared(
    select(*[models.orders.c[name] for name in _NEEDED])
    .add_columns(*[models.sagas.c[name] for name in ("ending", "progress", "ask_again_at", "give_up_at")])
    .add_columns(*[models.sagas.c[name + more] for name in _COLUMN.values() for more in ("", "_attempts")])
    .join(models.sagas, models.sagas.c.order_id == models.orders.c.id)
    .where(among(models.orders.c.id, "ids"))
    .order_by(models.orders.c.id)  # one order of locking for all: no deadlocks
    .with_for_update()
)


async def _lock(tx: AsyncConnection, order_ids: Iterable[str]) -> dict[str, _Case]:
    ids = sorted(order_ids)
    if not ids:
        return {}
    return {row.id: _Case(row, saga_of(row)) for row in await _LOCK.rows(tx, ids=ids)}


def _apply(case: _Case, news: News, now: datetime) -> None:
    before = case.saga
    answer, detail = news.answer, news.detail
    if answer is Answer.PAYMENT_CAPTURED and news.amount != (case.row.total, case.row.currency):
        answer, detail = Answer.PAYMENT_WRONG, "Another amount was captured than the order's total."
    decision = decide(before, answer, detail, news.progress)
    after = case.saga = decision.saga
    case.asks += decision.asks
    for step, phase in after.phases.items():
        if phase is not before.phases[step]:
            _note_phase(case, step, phase, now)
    for step, why in decision.errors.items():
        case.saga_changes[f"{_COLUMN[step]}_error"] = why[:_ERROR_LENGTH]
    for name in ("ending", "progress"):
        if getattr(after, name) is not getattr(before, name):
            case.saga_changes[name] = getattr(after, name)
    if after.reason != before.reason:
        case.order_changes["cancel_reason"] = after.reason and after.reason[:_ERROR_LENGTH]
    if after.status is not before.status:
        case.order_changes |= _status_changes(before.status, after.status, now)
    fulfilled = case.order_changes.get("fulfillment_status", case.row.fulfillment_status)
    if news.fulfillment in FULFILLMENT_RANK and _rank(news.fulfillment) > _rank(fulfilled):
        case.order_changes["fulfillment_status"] = news.fulfillment
    if news.due_at and case.row.give_up_at and news.due_at < case.row.give_up_at:
        case.saga_changes["give_up_at"] = news.due_at


def _note_phase(case: _Case, step: StepName, phase: Phase, now: datetime) -> None:
    name = _COLUMN[step]
    case.saga_changes |= {name: phase.value, f"{name}_at": now}
    if phase is Phase.REQUESTED:
        case.saga_changes[f"{name}_attempts"] = _attempts(case.row, step) + 1


def _status_changes(before: OrderStatus, after: OrderStatus, now: datetime) -> Changes:
    changes: Changes = {"status": after.value}
    if after in SOLD and before in UNSETTLED:
        changes |= {"paid_at": now, "paid_on": now.astimezone(SEOUL).date()}
    if after is OrderStatus.DELIVERED:
        changes["delivered_at"] = now
    if after in UNSOLD:
        changes["canceled_at"] = now
    return changes


def _schedule(case: _Case, now: datetime, ask_again_after: float) -> None:
    saga = case.saga
    open_payment = saga.status in UNSETTLED and not saga.ending and saga.phases[PAYMENT] is not Phase.DONE
    if case.row.give_up_at is not None and not open_payment:
        case.saga_changes["give_up_at"] = None
    if not case.saga_changes:
        return
    # The buyer acts now: payments has answered and needs no reminder.
    waits_for_buyer = saga.status is OrderStatus.AWAITING_PAYMENT and not saga.ending
    waits_for_answer = bool(pending_asks(saga)) and not (waits_for_buyer and open_payment)
    if not waits_for_answer:
        case.saga_changes["ask_again_at"] = None
    elif case.row.ask_again_at is None or case.row.ask_again_at <= now:
        # A date to come stays: nearly nothing is asked again, and what is asked a little early is answered again.
        case.saga_changes["ask_again_at"] = now + timedelta(seconds=ask_again_after)


async def _write(tx: AsyncConnection, table: Table, key: Any, changes: Mapping[str, Changes]) -> None:
    """One UPDATE for all orders that change in the same way, which in a batch of answers are nearly all."""
    alike: dict[tuple[tuple[str, Any], ...], list[str]] = defaultdict(list)
    for order_id, columns in changes.items():
        if columns:
            alike[tuple(columns.items())].append(order_id)
    for columns_and_values, order_ids in alike.items():
        values = {f"new_{name}": value for name, value in columns_and_values}
        await _update(table, key, tuple(dict(columns_and_values))).change(tx, ids=order_ids, **values)


@cache
def _update(table: Table, key: Any, names: tuple[str, ...]) -> Prepared:
    statement = update(table).where(among(key, "ids"))
    return Prepared(statement.values({name: bindparam(f"new_{name}") for name in names}))


async def _tell(tx: AsyncConnection, cases: Iterable[_Case]) -> list[EventData]:
    told = [(case.row, ask, case.saga.reason or "") for case in cases for ask in dict.fromkeys(case.asks)]
    events = await events_for(tx, told)
    await outbox.record(tx, models.outbox, SOURCE, events)
    return events


def _rank(fulfillment: str) -> int:
    return FULFILLMENT_RANK.index(fulfillment)


def _attempts(row: Row[Any], step: StepName) -> int:
    return int(getattr(row, f"{_COLUMN[step]}_attempts"))
