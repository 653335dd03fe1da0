"""What every subgraph forgets in time: events that are published, events that are handled, idempotency keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from messaging import inbox, outbox
from subgraphs.kit import idempotency
from subgraphs.kit.workers import Worker, repeat

EVERY_SECONDS = 600.0


async def forget(tx: AsyncConnection, sent: Table, received: Table, keys: Table, now: datetime) -> None:
    """Delete what has had its time from the tables of the outbox, the inbox and the idempotency keys."""
    await idempotency.prune(tx, keys, now)
    await inbox.prune(tx, received)
    await outbox.prune(tx, sent)


def housekeeper(
    subgraph: str, database: Database, sent: Table, received: Table, keys: Table, now: Callable[[], datetime]
) -> Worker:
    """The worker that forgets these tables' old rows, for a subgraph that has nothing else to forget."""
    name = f"{subgraph}.housekeeper"

    async def work() -> None:
        await database.run(lambda tx: forget(tx, sent, received, keys, now()))

    return Worker(name, lambda: repeat(name, work, every=EVERY_SECONDS))
