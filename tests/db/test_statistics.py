"""A table that grows gets new statistics, and with them new plans."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import statistics
from db.base import new_metadata
from db.bulk import insert_rows
from db.session import Database
from tests.support.waiting import eventually

METADATA = new_metadata()
THINGS = Table(
    "things",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("value", Integer, nullable=False),
    Column("text", String(900), comment="PostgreSQL expects few rows of such a width on a page"),
)
TABLE = "public.things"


async def _add(database: Database, first: int, count: int) -> None:
    rows = [{"id": first + n, "value": n} for n in range(count)]

    async def add(tx: AsyncConnection) -> None:
        await insert_rows(tx, THINGS, rows)
        # At the latest in a second it would be told; a test does not wait for it.
        await tx.execute(text("SELECT pg_stat_force_next_flush()"))

    await database.run(add)


async def test_a_table_that_doubles_is_looked_at_again(postgres_database_url: str) -> None:
    """Hardly any rows: nothing to know. Then once when there are many, and not again before there are twice as many."""
    async with Database(postgres_database_url) as database:
        async with database.transaction() as tx:
            await tx.run_sync(METADATA.create_all)
        await _add(database, 0, 50)
        assert await statistics.refresh(database) == []
        await _add(database, 50, 1000)

        async def looked_at() -> bool:
            return await statistics.refresh(database) == [TABLE]

        await eventually(looked_at)
        await _add(database, 2000, 900)
        assert await statistics.refresh(database) == []
        await _add(database, 3000, 300)
        await eventually(looked_at)


async def test_a_plan_made_while_the_table_was_empty_is_made_anew(postgres_database_url: str) -> None:
    """The same prepared statement reads all of the young table, and uses the index of the grown one."""
    async with Database(postgres_database_url) as database, Database(postgres_database_url, pool_size=1) as other:
        async with database.transaction() as tx:
            await tx.run_sync(METADATA.create_all)
        async with other.transaction() as tx:
            await tx.execute(text("SET plan_cache_mode = force_generic_plan"))
            await tx.execute(text("PREPARE young AS SELECT value FROM things WHERE id = ANY ($1::int[])"))

        async def reads_all() -> bool:
            async with other.transaction() as tx:
                plan = (await tx.execute(text("EXPLAIN EXECUTE young(ARRAY[1, 2])"))).scalars().all()
            return "Seq Scan" in " ".join(plan)

        assert await reads_all()
        await _add(database, 0, 5000)
        assert await reads_all()

        async def looked_at() -> bool:
            return await statistics.refresh(database) == [TABLE]

        await eventually(looked_at)
        assert not await reads_all()
