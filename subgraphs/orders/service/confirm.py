"""Confirmation of a purchase: by the buyer, or by itself a week after delivery. It ends the right to cancel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import skip_locked
from messaging import outbox
from subgraphs.kit.errors import Rejected
from subgraphs.orders import models
from subgraphs.orders.domain.states import OrderStatus
from subgraphs.orders.service import telling
from subgraphs.orders.service.returns import has_open_return
from subgraphs.orders.service.saga import SOURCE, Outcome

_orders = models.orders


async def confirm(tx: AsyncConnection, buyer_id: str, order_id: str, now: datetime) -> Outcome:
    """The buyer confirms a delivered order; again is nothing. Raises Rejected NOT_FOUND or NOT_ALLOWED."""
    query = select(_orders.c.status).where(_orders.c.id == order_id, _orders.c.buyer_id == buyer_id)
    status = (await tx.execute(query.with_for_update())).scalar_one_or_none()
    if status is None:
        raise Rejected("NOT_FOUND", "You have no such order.", ["id"])
    if status == OrderStatus.CONFIRMED:
        return Outcome()
    if status != OrderStatus.DELIVERED:
        raise Rejected("NOT_ALLOWED", "An order can be confirmed once it has been delivered.", ["id"])
    if (await tx.execute(select(_orders.c.id).where(_orders.c.id == order_id, has_open_return()))).first():
        raise Rejected("NOT_ALLOWED", "Something of this order is on its way back.", ["id"])
    return await _confirm(tx, [order_id], now)


async def confirm_overdue(tx: AsyncConnection, now: datetime, *, after: timedelta, limit: int = 200) -> Outcome:
    """Confirm orders that were delivered longer than ``after`` ago."""
    overdue = _orders.c.status == OrderStatus.DELIVERED, _orders.c.delivered_at <= now - after
    due = select(_orders.c.id).where(*overdue, ~has_open_return())
    found = await tx.execute(skip_locked(due.order_by(_orders.c.delivered_at).limit(limit)))
    return await _confirm(tx, list(found.scalars()), now)


async def _confirm(tx: AsyncConnection, order_ids: Sequence[str], now: datetime) -> Outcome:
    if not order_ids:
        return Outcome()
    chosen = _orders.c.id.in_(order_ids)
    await tx.execute(update(_orders).where(chosen).values(status=OrderStatus.CONFIRMED.value, confirmed_at=now))
    rows = (await tx.execute(select(_orders).where(chosen))).all()
    lines = await telling.lines_of(tx, order_ids)
    await outbox.record(tx, models.outbox, SOURCE, [telling.confirmed(row, lines[row.id]) for row in rows])
    return Outcome(changed=set(order_ids))
