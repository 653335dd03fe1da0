"""What must hold of orders at any moment. Each check is one statement; empty is healthy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.subgraph import Audit, Violation
from subgraphs.orders import models
from subgraphs.orders.domain.states import SOLD, UNSETTLED, UNSOLD, OrderStatus, Phase, StepName

STUCK_AFTER = timedelta(minutes=2)
SHOWN = 100
"""Violations of one invariant that are listed."""

_orders, _lines, _sagas = models.orders, models.order_lines, models.sagas


def auditor(now: Callable[[], datetime]) -> Audit:
    """The audit of orders at the time that ``now`` gives."""

    async def audit(connection: AsyncConnection) -> list[Violation]:
        found: list[Violation] = []
        for invariant, query in _checks(now()):
            rows = await connection.execute(query.limit(SHOWN))
            found += [Violation(invariant, " ".join(str(value) for value in row)) for row in rows]
        return found

    return audit


def _checks(now: datetime) -> Iterable[tuple[str, Select[Any]]]:
    status, ending = _orders.c.status, _sagas.c.ending
    shown = select(_orders.c.id, status, ending, *_phases()).join(_sagas, _sagas.c.order_id == _orders.c.id)
    all_done = and_(*(phase == Phase.DONE for phase in _phases()))
    none_held = and_(*(phase.in_([Phase.IDLE, Phase.FAILED, Phase.UNDONE]) for phase in _phases()))
    yield (
        "an order that is sold has all four steps done",
        shown.where(status.in_(SOLD), ending.is_(None), not_(all_done)),
    )
    yield (
        "an order whose four steps are done is sold",
        shown.where(all_done, ending.is_(None), status.not_in([*SOLD, OrderStatus.RETURNED])),
    )
    yield "an order that has ended holds nothing", shown.where(status.in_(UNSOLD), not_(none_held))
    yield "a sold order was paid at some time", shown.where(status.in_(SOLD), _orders.c.paid_at.is_(None))
    yield "an unfinished saga moves on", _stuck(now)
    yield (
        "an unpaid order expires in time",
        shown.where(status.in_(UNSETTLED), ending.is_(None), _sagas.c.give_up_at < now - STUCK_AFTER),
    )
    yield "an order has its saga", _without(_sagas.c.order_id)
    yield "an order has lines", _without(_lines.c.order_id)
    yield "an order's subtotal is the sum of its lines", _wrong_subtotals()
    yield (
        "an order's total is subtotal and shipping less discount",
        select(_orders.c.id, _orders.c.total).where(
            _orders.c.total != _orders.c.subtotal + _orders.c.shipping - _orders.c.discount
        ),
    )
    yield "an order's events can be handled", select(models.dead_letters.c.event_id, models.dead_letters.c.type)


def _stuck(now: datetime) -> Select[Any]:
    """Sagas that wait for nobody, or whose question has not been repeated though it is long overdue.

    A buyer who has not paid yet is waited for: that ends by ``give_up_at``.
    """
    unfinished = or_(
        _orders.c.status.in_(UNSETTLED), and_(_sagas.c.ending.is_not(None), _orders.c.status.not_in(UNSOLD))
    )
    waits_for_buyer = and_(
        _orders.c.status == OrderStatus.AWAITING_PAYMENT, _sagas.c.ending.is_(None), _sagas.c.give_up_at.is_not(None)
    )
    forgotten = or_(
        and_(_sagas.c.ask_again_at.is_(None), not_(waits_for_buyer)), _sagas.c.ask_again_at < now - STUCK_AFTER
    )
    query = select(_orders.c.id, _orders.c.status, _sagas.c.ask_again_at)
    return query.join(_sagas, _sagas.c.order_id == _orders.c.id).where(unfinished, forgotten)


def _without(reference: Any) -> Select[Any]:
    there = select(literal(1)).where(reference == _orders.c.id).exists()
    return select(_orders.c.id).where(not_(there))


def _wrong_subtotals() -> Select[Any]:
    total = func.sum(_lines.c.total)
    query = select(_orders.c.id, _orders.c.subtotal, total.label("lines"))
    joined = query.join(_lines, _lines.c.order_id == _orders.c.id)
    return joined.group_by(_orders.c.id, _orders.c.subtotal).having(total != _orders.c.subtotal)


def _phases() -> list[ColumnElement[str]]:
    return [_sagas.c[step.value.lower()] for step in StepName]
