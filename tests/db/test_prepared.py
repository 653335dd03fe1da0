"""A statement made once does what the same statement does through SQLAlchemy, on every database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Column, Integer, String, Table, bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base import TABLE_OPTIONS, new_metadata
from db.bulk import among, insert_rows
from db.columns import UtcDateTime
from db.prepared import Prepared
from db.session import Database

METADATA = new_metadata()
PARTS = Table(
    "parts",
    METADATA,
    Column("id", String(10), primary_key=True),
    Column("place", Integer, nullable=False, unique=True),
    Column("seen_at", UtcDateTime),
    **TABLE_OPTIONS,
)
FIND = Prepared(select(PARTS).where(among(PARTS.c.id, "ids"), PARTS.c.place < bindparam("below")).order_by(PARTS.c.id))
MOVE = Prepared(
    update(PARTS)
    .where(among(PARTS.c.id, "ids"))
    .values(place=PARTS.c.place + bindparam("b_by"), seen_at=bindparam("b_at"))
)
PLACE = Prepared(update(PARTS).where(PARTS.c.id == bindparam("b_id")).values(place=bindparam("b_place")))
FORGET = Prepared(delete(PARTS).where(among(PARTS.c.id, "ids")))
NOW = datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC)


@pytest.fixture
async def parts(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url) as database:
        async with database.transaction() as tx:
            await tx.run_sync(METADATA.create_all)
            await insert_rows(tx, PARTS, [{"id": f"p{n}", "place": n, "seen_at": NOW} for n in range(5)])
        yield database


async def test_rows_have_names_and_values_their_types(parts: Database) -> None:
    """Also where nothing may be written, and for lists of any length."""
    for run in (parts.transaction, parts.read):
        async with run() as tx:
            for ids in ([], ["p1"], ["p0", "p3", "p4"]):
                found = await FIND.rows(tx, ids=ids, below=4)
                assert [row.id for row in found] == [id for id in ids if id != "p4"]
                assert all(row.seen_at == NOW for row in found)
            assert await FIND.dicts(tx, ids=["p2"], below=9) == [{"id": "p2", "place": 2, "seen_at": NOW}]


async def test_a_change_counts_the_rows_found_and_belongs_to_its_transaction(parts: Database) -> None:
    later = NOW + timedelta(days=1)

    async def move_and_fail(tx: AsyncConnection) -> None:
        assert await MOVE.change(tx, ids=["p3", "p4", "p9"], b_by=10, b_at=later) == 2
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await parts.run(move_and_fail)
    async with parts.transaction() as tx:
        assert [row.place for row in await FIND.rows(tx, ids=["p3", "p4"], below=99)] == [3, 4]
        assert await MOVE.change(tx, ids=["p4"], b_by=10, b_at=later) == 1
        await PLACE.change_each(tx, [{"b_id": "p0", "b_place": 20}, {"b_id": "p1", "b_place": 21}])
        assert await FORGET.change(tx, ids=["p2"]) == 1
    async with parts.read() as connection:
        rows = await FIND.rows(connection, ids=[f"p{n}" for n in range(5)], below=99)
        assert [(row.place, row.seen_at) for row in rows] == [(20, NOW), (21, NOW), (3, NOW), (14, later)]


async def test_what_a_database_refuses_is_sqlalchemys_error(parts: Database) -> None:
    for refused in (
        lambda tx: PLACE.change(tx, b_id="p0", b_place=1),
        lambda tx: PLACE.change_each(tx, [{"b_id": "p0", "b_place": 1}]),
    ):
        with pytest.raises(IntegrityError):
            await parts.run(refused)
