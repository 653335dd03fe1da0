"""After the load: what was acknowledged is there, paid, and paid once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import select

from benchmarks.shop.modes import Shop
from db.session import Database
from subgraphs.orders.models import Order
from subgraphs.payments.models import payments

ORDERS = Order.__table__
CHUNK = 500


async def purchases(shop: Shop, acknowledged: set[str]) -> dict[str, Any]:
    """Counts for the report. Raises RuntimeError for an order that is not as it must be."""
    ids = sorted(acknowledged)
    status: dict[str, str] = {}
    captures: Counter[str] = Counter()
    async with Database(shop.database_of("orders")) as orders, Database(shop.database_of("payments")) as paid:
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            async with orders.read() as connection:
                rows = await connection.execute(select(ORDERS.c.id, ORDERS.c.status).where(ORDERS.c.id.in_(chunk)))
                status |= {row.id: row.status for row in rows}
            query = select(payments.c.payable_id, payments.c.captures).where(
                payments.c.payable_type == "Order", payments.c.payable_id.in_(chunk)
            )
            async with paid.read() as connection:
                for row in await connection.execute(query):
                    captures[row.payable_id] += row.captures
    wrong = [id for id in ids if status.get(id) != "PAID" or captures[id] != 1]
    if wrong:
        shown = [(id, status.get(id), captures[id]) for id in wrong[:5]]
        raise RuntimeError(f"{len(wrong)} of {len(ids)} acknowledged orders are not PAID once, such as {shown}")
    return {"verified_orders": len(ids)}
