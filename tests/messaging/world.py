"""A small subgraph for tests: the messaging tables, and a table where every effect leaves a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Integer, String, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base import TABLE_OPTIONS, new_metadata
from db.columns import SequenceType
from db.session import Database
from messaging.broker import Broker
from messaging.consumer import Consumer, Handler
from messaging.envelope import Event
from messaging.events import EventData
from messaging.events.orders import OrderCanceled, OrderPaid
from messaging.inbox import dead_letter_table, inbox_table
from messaging.outbox import outbox_table, record

METADATA = new_metadata()
OUTBOX = outbox_table(METADATA)
INBOX = inbox_table(METADATA)
DEAD_LETTERS = dead_letter_table(METADATA)
EFFECTS = Table(
    "effects",
    METADATA,
    Column("n", SequenceType, primary_key=True, autoincrement=True),
    Column("subject", String(50), nullable=False),
    Column("size", Integer, nullable=False),
    **TABLE_OPTIONS,
)
SOURCE = "/dure/orders"


def canceled(order_id: str, reason: str = "test") -> OrderCanceled:
    return OrderCanceled(order_id=order_id, order_number="N1", buyer_id="B1", reason=reason)


def paid(order_id: str) -> OrderPaid:
    return OrderPaid(order_id=order_id, order_number="N1", buyer_id="B1", total=1000, currency="KRW", lines=())


async def create(database: Database) -> None:
    """The tables, empty; nothing when they exist."""
    async with database.transaction() as tx:
        await tx.run_sync(METADATA.create_all)


async def tell(database: Database, data: Sequence[EventData]) -> list[str]:
    """Record events in a transaction of their own."""
    return await database.run(lambda tx: record(tx, OUTBOX, SOURCE, data))


async def leave_a_row(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
    """The effect: counted by ``effects``, so that a second one shows."""
    await tx.execute(insert(EFFECTS), [{"subject": event.subject, "size": len(events)} for event in events])


def consumer(
    database: Database,
    broker: Broker,
    queue: str,
    handlers: Mapping[type[EventData], Handler] | None = None,
    *,
    after_commit: Callable[[], None] = lambda: None,
    attempts: int = 10,
) -> Consumer:
    return Consumer(
        database,
        INBOX,
        DEAD_LETTERS,
        broker,
        queue,
        handlers or {OrderCanceled: leave_a_row},
        after_commit=after_commit,
        attempts=attempts,
    )


async def effects(database: Database) -> Counter[str]:
    """How often each subject had its effect."""
    async with database.read() as connection:
        return Counter((await connection.execute(select(EFFECTS.c.subject))).scalars())


async def unpublished(database: Database) -> list[str]:
    """Subjects of what is still in the outbox, in order."""
    query = select(OUTBOX.c.subject).where(OUTBOX.c.published_at.is_(None)).order_by(OUTBOX.c.position)
    async with database.read() as connection:
        return list((await connection.execute(query)).scalars())


async def buried(database: Database) -> list[Any]:
    """The dead letters."""
    async with database.read() as connection:
        return list((await connection.execute(select(DEAD_LETTERS).order_by(DEAD_LETTERS.c.event_id))).all())
