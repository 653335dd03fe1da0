"""Reads that are made once: the same rows as any other way, whether they are quick or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy.exc import DBAPIError

from db import reads
from db.columns import UtcDateTime
from db.driver import sqlite3
from db.reads import Read, by_key
from db.refusals import is_no_text
from db.session import Database
from subgraphs.kit.rows import ManyRows
from tests.support.statements import statements_of

METADATA = MetaData()
THINGS = Table(
    "thing",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("parent", String(26), index=True),
    Column("place", Integer),
    Column("shown", Boolean),
    Column("at", UtcDateTime),
    Column("more", JSON),
)
AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
OF_PARENT = by_key(select(THINGS).order_by(THINGS.c.place, THINGS.c.id), THINGS.c.parent)


def thing(number: int, **given: Any) -> dict[str, Any]:
    parent = f"p{number % 3}"
    own = {"id": f"t{number}", "parent": parent, "place": -number, "shown": number % 2 == 0, "at": AT, "more": [number]}
    return own | given


async def filled(database: Database) -> Database:
    async with database.transaction() as tx:
        await tx.run_sync(METADATA.create_all)
        await tx.execute(insert(THINGS), [thing(number) for number in range(20)])
        await tx.execute(insert(THINGS), [thing(20, shown=None, at=None, more=None, parent=None)])
    return database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url) as opened:
        yield await filled(opened)


@pytest.fixture
async def on_sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(f"sqlite+aiosqlite:///{tmp_path / 'some.sqlite'}") as opened:
        yield await filled(opened)


async def usual(database: Database, query: Any, values: dict[str, Any]) -> list[Any]:
    async with database.read() as connection:
        return list(await connection.execute(query, values))


async def test_rows_come_by_key_with_their_types_and_in_order(database: Database) -> None:
    """Of every kind of database the same; keys that nothing has are keys of no rows."""
    rows = await OF_PARENT.rows(database, keys=["p1", "nobody", "p2"])
    assert [(row.loader_key, row.id) for row in rows[:3]] == [("p1", "t19"), ("p2", "t17"), ("p1", "t16")]
    assert len(rows) == 13
    assert (rows[2].shown, rows[2].at, rows[2].more) == (True, AT, [16])
    assert rows[2]._mapping["place"] == -16
    assert await OF_PARENT.rows(database, keys=[]) == []


async def test_a_key_that_the_database_could_not_have_is_nobodys_or_no_text(database: Database) -> None:
    """PostgreSQL has no U+0000, and says so as it does for other statements. SQLite's JSON ends a text there: whoever
    reads by key goes by the rows' own."""
    keys = ["p1\x00", "p\U0001f6d2"]
    if database.dialect == "postgresql":
        with pytest.raises(DBAPIError) as refused:
            await OF_PARENT.rows(database, keys=keys)
        assert is_no_text(refused.value)
    else:
        assert await ManyRows(database, OF_PARENT).load_many(keys) == [[], []]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    keys=st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["p0", "p1", "p2"]), max_size=9),
    most=st.integers(0, 30),
    since=st.none() | st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
)
async def test_a_quick_read_brings_what_the_usual_way_brings(
    on_sqlite: Database, keys: list[str], most: int, since: datetime | None
) -> None:
    """Rows with the same values under the same names, for any keys, limits, instants, and constants in the query."""
    query = select(THINGS, (THINGS.c.place + 1).label("next")).where(
        THINGS.c.at > bindparam("since"), THINGS.c.place.in_([-4, -7, -10, -13]), THINGS.c.at < AT.replace(year=2027)
    )
    read = by_key(query.order_by(THINGS.c.id).limit(bindparam("most", type_=Integer)), THINGS.c.parent)
    values = {"keys": keys, "most": most, "since": since}
    with statements_of(on_sqlite) as statements:
        quick = await read.rows(on_sqlite, **values)
    assert len(statements) == 1
    slow = await usual(on_sqlite, read._query, values)
    assert [row._mapping for row in quick] == [row._mapping for row in slow]
    assert [tuple(row) for row in quick] == [tuple(row) for row in slow]


async def test_a_read_sees_what_was_committed_before_it(on_sqlite: Database) -> None:
    """And nothing of a transaction that is open."""
    read = Read(select(THINGS.c.place).where(THINGS.c.id == bindparam("id")))
    for number in range(3):
        async with on_sqlite.transaction() as tx:
            await tx.execute(THINGS.update().where(THINGS.c.id == "t1").values(place=number))
            assert [row.place for row in await read.rows(on_sqlite, id="t1")] == [number - 1]
        assert [row.place for row in await read.rows(on_sqlite, id="t1")] == [number]


async def test_what_is_not_quick_is_asked_the_usual_way_for_a_while(
    on_sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop is not held up by it twice in a second; and what was slow for one may be quick for the next."""
    counted = select(literal(1).label("number")).cte(recursive=True)
    more = select(counted.c.number + 1).where(counted.c.number < bindparam("most", type_=Integer))
    counted = counted.union_all(more)
    read = Read(select(func.count().label("found")).select_from(counted))
    asked = []
    ask = reads._Connection.ask
    monkeypatch.setattr(reads._Connection, "ask", lambda *given: asked.append(given[2][-1]) or ask(*given))  # type: ignore[func-returns-value]
    for most in (10, 200_000, 11, 200_000):
        assert [row.found for row in await read.rows(on_sqlite, most=most)] == [most]
    assert asked == [10, 200_000]
    monkeypatch.setattr(reads, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + reads.SLOW_SECONDS))
    assert [row.found for row in await read.rows(on_sqlite, most=12)] == [12]
    assert asked[2:] == [12]


async def test_many_keys_that_are_slow_make_few_no_slower(on_sqlite: Database) -> None:
    """Nobody slows the others' pages down by asking for a thousand things."""
    async with on_sqlite.transaction() as tx:
        await tx.execute(insert(THINGS), [thing(number, parent=f"q{number}") for number in range(100, 3000)])
    read = by_key(select(THINGS), THINGS.c.parent)
    keys = [f"q{number}" for number in range(100, 3000)]
    assert len(await read.rows(on_sqlite, keys=keys)) == len(keys)
    assert not read.is_quick(len(keys))
    assert read.is_quick(len(keys) - 1)


async def test_a_quick_read_stays_quick_however_often_it_is_asked(on_sqlite: Database) -> None:
    """SQLite counts steps on from one execution to the next; a read is judged by its own."""
    read = by_key(select(THINGS), THINGS.c.parent)
    for _ in range(2 * reads.STEPS_HERE // 100):
        await read.rows(on_sqlite, keys=["p0", "p1", "p2"])
    assert read.is_quick(3)


async def test_a_file_that_another_holds_is_waited_for_the_usual_way(
    on_sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any) -> None:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorname = "SQLITE_BUSY"
        raise error

    await OF_PARENT.rows(on_sqlite, keys=["p0"])
    with monkeypatch.context() as patch:
        patch.setattr(reads._Connection, "ask", busy)
        assert len(await OF_PARENT.rows(on_sqlite, keys=["p0"])) == 7
    assert OF_PARENT.is_quick(1), "it was not slow"


async def test_a_wrong_statement_fails_as_it_does_the_usual_way(on_sqlite: Database) -> None:
    read = Read(select(literal_column("missing")).select_from(THINGS))
    with pytest.raises(Exception, match="no such column"):
        await read.rows(on_sqlite)


async def test_a_closed_database_reads_again_when_it_is_used_again(on_sqlite: Database) -> None:
    """Its connection was closed with the engine, and is not given to another."""
    await asyncio.gather(*(OF_PARENT.rows(on_sqlite, keys=["p0"]) for _ in range(5)))
    before = reads._CONNECTIONS[on_sqlite]
    await on_sqlite.close()
    with pytest.raises(sqlite3.ProgrammingError):
        before.execute("SELECT 1")
    assert len(await OF_PARENT.rows(on_sqlite, keys=["p0"])) == 7
    assert reads._CONNECTIONS[on_sqlite] is not before
