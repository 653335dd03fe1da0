"""One buyer's process in the race for the last units: look, wait for the start, take; prints how many were got.

``real`` takes them as the consumer does. ``unguarded`` takes them with the condition left out of the update, trusting
what was looked up before the start: the negative control.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from messaging.events.orders import StockLine, StockReservationRequested
from messaging.events.products import StockReserved
from subgraphs.kit.ids import new_ulid
from subgraphs.products import models, stock
from subgraphs.products.stock_ledger import LEVEL, Level, move_units


async def race(url: str, variant: str, buyers: int, mode: str) -> int:
    async with Database(url) as database:
        async with database.read() as connection:
            row = (await connection.execute(select(LEVEL).where(LEVEL.c.variant_id == variant))).one()
        available = row.on_hand - row.reserved - row.allocated
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        take = _real if mode == "real" else _unguarded
        got = await asyncio.gather(*(take(database, variant, available) for _ in range(buyers)))
    return sum(got)


async def _real(database: Database, variant: str, _available: int) -> bool:
    line = StockLine(variant_id=variant, quantity=1)
    request = StockReservationRequested(order_id=new_ulid(), buyer_id=new_ulid(), lines=(line,))
    ttl = timedelta(minutes=10)
    outcome = await database.run(lambda tx: stock.reserve(tx, [request], datetime.now(UTC), ttl))
    return isinstance(outcome.answers[0], StockReserved)


async def _unguarded(database: Database, variant: str, available: int) -> bool:
    if available < 1:
        return False
    now, order_id = datetime.now(UTC), new_ulid()

    async def work(tx: AsyncConnection) -> bool:
        taken = await tx.execute(move_units({variant: Level(reserved=1)}, now, guarded=False))
        held = {"order_id": order_id, "state": "HELD", "claim": order_id, "expires_at": now}
        await tx.execute(insert(models.Reservation.__table__).values(**held, created_at=now, updated_at=now))
        line = {"order_id": order_id, "variant_id": variant, "quantity": 1}
        await tx.execute(insert(models.ReservationLine.__table__).values(line))
        return taken.rowcount == 1

    return await database.run(work)


if __name__ == "__main__":
    _, url, variant, buyers, mode = sys.argv
    print(asyncio.run(race(url, variant, int(buyers), mode)))
