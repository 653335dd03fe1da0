"""Events are recorded with what they tell, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from messaging.outbox import EventTooLarge, prune, record
from tests.messaging import world
from tests.messaging.world import OUTBOX, SOURCE, canceled, paid


async def test_events_are_recorded_in_order(database: Database) -> None:
    """One row an event, in the order given, with its envelope; ids are returned in that order."""
    ids = await database.run(
        lambda tx: record(tx, OUTBOX, SOURCE, [canceled("O2"), paid("O1"), canceled("O3")], traceparent="00-a-b-01")
    )
    async with database.read() as connection:
        rows = (await connection.execute(select(OUTBOX).order_by(OUTBOX.c.position))).all()
    assert [row.id for row in rows] == ids
    assert [row.subject for row in rows] == ["O2", "O1", "O3"]
    assert {(row.source, row.traceparent, row.published_at) for row in rows} == {(SOURCE, "00-a-b-01", None)}
    assert len(set(ids)) == 3


async def test_a_rolled_back_transaction_tells_nothing(database: Database) -> None:
    """The event of what did not happen does not exist."""

    async def fail(tx: AsyncConnection) -> None:
        await record(tx, OUTBOX, SOURCE, [canceled("O1")])
        raise KeyError

    with pytest.raises(KeyError):
        await database.run(fail)
    assert await world.unpublished(database) == []


async def test_no_events_is_no_statement(database: Database) -> None:
    """An empty sequence is allowed."""
    assert await world.tell(database, []) == []


async def test_large_payloads_fit_up_to_a_message(database: Database) -> None:
    """90 KiB of Korean text are kept whole (no 64 KiB column); more than a message holds is refused whole."""
    reason = "가" * 30_000
    await world.tell(database, [canceled("O1", reason)])
    async with database.read() as connection:
        assert reason in (await connection.execute(select(OUTBOX.c.data))).scalar_one()
    with pytest.raises(EventTooLarge):
        await world.tell(database, [canceled("O2"), canceled("O3", "가" * 40_000)])
    assert await world.unpublished(database) == ["O1"]


async def test_prune_deletes_what_was_published_long_ago(database: Database) -> None:
    """After seven days; never what is not published, however old."""
    old, new = datetime.now(UTC) - timedelta(days=8), datetime.now(UTC) - timedelta(days=6)
    await world.tell(database, [canceled("old"), canceled("new"), canceled("stuck")])
    async with database.transaction() as tx:
        for subject, at in (("old", old), ("new", new)):
            await tx.execute(update(OUTBOX).where(OUTBOX.c.subject == subject).values(published_at=at))
        await tx.execute(update(OUTBOX).values(time=datetime(2020, 1, 1, tzinfo=UTC)))
    assert await database.run(lambda tx: prune(tx, OUTBOX)) == 1
    async with database.read() as connection:
        assert set((await connection.execute(select(OUTBOX.c.subject))).scalars()) == {"new", "stuck"}
