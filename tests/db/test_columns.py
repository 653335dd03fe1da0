"""Instants come back as they went in, on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Integer, Table, insert, select
from sqlalchemy.exc import StatementError

from db.base import new_metadata
from db.columns import UtcDateTime
from db.session import Database

METADATA = new_metadata()
MOMENTS = Table("moments", METADATA, Column("id", Integer, primary_key=True), Column("at", UtcDateTime))
SEOUL = timezone(timedelta(hours=9))


async def test_instants_of_any_zone_return_in_utc_to_the_microsecond(database_url: str) -> None:
    """What was midnight in Seoul is 15:00 UTC of the day before, and no microsecond is lost; nothing stays nothing."""
    midnight = datetime(2026, 11, 21, 0, 0, 0, 123456, tzinfo=SEOUL)
    async with Database(database_url) as database, database.transaction() as tx:
        await tx.run_sync(METADATA.create_all)
        await tx.execute(insert(MOMENTS), [{"id": 1, "at": midnight}, {"id": 2, "at": None}])
        found = (await tx.execute(select(MOMENTS.c.at).order_by(MOMENTS.c.id))).scalars().all()
    assert found == [datetime(2026, 11, 20, 15, 0, 0, 123456, tzinfo=UTC), None]
    assert found[0].tzinfo is UTC


async def test_instants_order_by_time_whatever_zone_they_were_given_in(database_url: str) -> None:
    """Noon in Seoul is before noon in UTC."""
    rows = [
        {"id": 1, "at": datetime(2026, 1, 1, 12, tzinfo=UTC)},
        {"id": 2, "at": datetime(2026, 1, 1, 12, tzinfo=SEOUL)},
    ]
    async with Database(database_url) as database, database.transaction() as tx:
        await tx.run_sync(METADATA.create_all)
        await tx.execute(insert(MOMENTS), rows)
        assert (await tx.execute(select(MOMENTS.c.id).order_by(MOMENTS.c.at))).scalars().all() == [2, 1]


async def test_naive_datetimes_are_refused(sqlite_database_url: str) -> None:
    """A time without a zone is a mistake of the caller, not a guess of the database."""
    async with Database(sqlite_database_url) as database, database.transaction() as tx:
        await tx.run_sync(METADATA.create_all)
        with pytest.raises(StatementError, match="naive datetime"):
            await tx.execute(insert(MOMENTS), [{"id": 1, "at": datetime(2026, 1, 1)}])
