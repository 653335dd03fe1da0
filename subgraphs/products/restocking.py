"""Returned goods that can be sold again go back on the shelf: once a return, however often it is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.events.orders import ReturnChanged
from subgraphs.products.domain import StockMovementType
from subgraphs.products.stock_ledger import MOVEMENT, Change, apply, lock_levels

RECEIVED = "RECEIVED"


async def restock(tx: AsyncConnection, returns: Sequence[ReturnChanged], now: datetime) -> set[str]:
    """The variants of which units came back. Damaged goods are not stock, nor are variants that are unknown here."""
    arrived = {each.return_id: each for each in returns if each.status == RECEIVED}
    units = [
        (return_id, line.variant_id, line.quantity)
        for return_id, each in sorted(arrived.items())
        for line in each.lines
        if line.restock and line.quantity
    ]
    levels = await lock_levels(tx, (variant for _, variant, _ in units))
    # Read with the levels held: whoever restocked the same return has committed by now.
    query = select(MOVEMENT.c.cause_id, MOVEMENT.c.variant_id).where(
        MOVEMENT.c.variant_id.in_(levels),
        MOVEMENT.c.type == StockMovementType.RETURNED.value,
        MOVEMENT.c.cause_id.in_(arrived),
    )
    done = {(row.cause_id, row.variant_id) for row in await tx.execute(query)} if levels else set()
    changes = [
        Change(variant, StockMovementType.RETURNED, count, on_hand=count, cause_id=return_id)
        for return_id, variant, count in units
        if variant in levels and (return_id, variant) not in done
    ]
    await apply(tx, levels, changes, now)
    return {change.variant_id for change in changes}
