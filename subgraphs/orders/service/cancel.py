"""Cancelling an order by its buyer: begins the compensation, which ends it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.errors import Rejected
from subgraphs.orders import models
from subgraphs.orders.domain.saga import Answer
from subgraphs.orders.domain.states import CANCELABLE, OrderStatus
from subgraphs.orders.service.saga import News, Outcome, advance

MAX_REASON = 500


def check_reason(reason: str) -> str:
    """Raises Rejected INVALID for a reason without text, too long, or with control characters."""
    text = reason.strip()
    if not text:
        raise Rejected("REQUIRED", "Say why.", ["reason"])
    if len(text) > MAX_REASON or not text.isprintable():
        raise Rejected("INVALID", f"A reason is plain text of at most {MAX_REASON} characters.", ["reason"])
    return text


async def cancel(
    tx: AsyncConnection, buyer_id: str, order_id: str, reason: str, now: datetime, *, ask_again_after: float
) -> Outcome:
    """Begin to take the order back; one that is being or has been cancelled stays so.

    Raises Rejected NOT_FOUND or ORDER_NOT_CANCELABLE.
    """
    orders, sagas = models.orders, models.sagas
    query = (
        select(orders.c.status, sagas.c.ending)
        .join(sagas, sagas.c.order_id == orders.c.id)
        .where(orders.c.id == order_id, orders.c.buyer_id == buyer_id)
        .with_for_update()
    )
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise Rejected("NOT_FOUND", "You have no such order.", ["id"])
    if OrderStatus.CANCELED in (row.status, row.ending):
        return Outcome()
    if row.status not in CANCELABLE or row.ending is not None:
        raise Rejected("ORDER_NOT_CANCELABLE", "This order can no longer be cancelled.", ["id"])
    return await advance(tx, [News(order_id, Answer.BUYER_CANCELS, reason)], now, ask_again_after=ask_again_after)
