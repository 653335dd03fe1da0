"""Statements for many rows mean the same on each database, whatever the number and types of the values."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Boolean, Column, Date, Integer, Table, Text, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.base import TABLE_OPTIONS, new_metadata
from db.bulk import among, insert_new_rows, insert_rows, update_rows
from db.columns import JsonType, MoneyType, UlidType, UtcDateTime
from db.session import Database
from db.statements import insert_ignore

METADATA = new_metadata()


def _table(name: str, *more: Column[Any]) -> Table:
    return Table(
        name,
        METADATA,
        Column("id", UlidType, primary_key=True),
        Column("number", MoneyType, nullable=False),
        Column("flag", Boolean, nullable=False, default=True),
        Column("order", Text),
        Column("day", Date),
        Column("at", UtcDateTime),
        Column("version", Integer, nullable=False, default=1),
        *more,
        **TABLE_OPTIONS,
    )


PLAIN, WITH_JSON = _table("plain"), _table("with_json", Column("facts", JsonType))
NOW = datetime(2026, 11, 21, 16, 30, 0, 123456, UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url) as opened:
        async with opened.transaction() as tx:
            await tx.run_sync(METADATA.create_all)
        yield opened


def _row(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "number": 7, "order": None, "day": None, "at": None} | more


async def _all(database: Database, table: Table) -> list[dict[str, Any]]:
    async with database.read() as connection:
        return [dict(row) for row in (await connection.execute(select(table).order_by(table.c.id))).mappings()]


@pytest.mark.parametrize("table", [PLAIN, WITH_JSON], ids=["plain", "with_json"])
async def test_inserted_rows_are_those_that_sqlalchemy_inserts(database: Database, table: Table) -> None:
    """Of every type, with the defaults of columns that are not given."""
    seoul = NOW.astimezone(timezone(timedelta(hours=9)))
    rows = [
        _row("a", number=2**40, at=seoul, day=date(2026, 1, 2), order="주문 'x' ? %s $1"),
        _row("b", at=NOW.replace(microsecond=0)),
    ]
    if table is WITH_JSON:
        rows = [row | {"facts": {"some": ["texts", 1]}} for row in rows]
    async with database.transaction() as tx:
        await insert_rows(tx, table, rows)
        await insert_rows(tx, table, [])
    ours = await _all(database, table)
    async with database.transaction() as tx:
        await tx.execute(delete(table))
        await tx.execute(insert(table), rows)
    assert ours == await _all(database, table)
    assert [row["flag"] for row in ours] == [True, True]


async def test_a_key_that_is_there_is_an_error(database: Database) -> None:
    """Nothing is passed over that was not asked to be."""
    with pytest.raises(IntegrityError):
        async with database.transaction() as tx:
            await insert_rows(tx, PLAIN, [_row("a"), _row("b"), _row("a")])
    assert await _all(database, PLAIN) == []


async def test_new_rows_only_are_inserted_and_counted(database: Database) -> None:
    count = insert_ignore if database.dialect == "mysql" else insert_new_rows
    async with database.transaction() as tx:
        assert await count(tx, PLAIN, [_row("a", number=1), _row("b", number=1)]) == 2
        assert await count(tx, PLAIN, [_row("c", number=2), _row("b", number=2)]) == 1
        assert await count(tx, PLAIN, [_row("a", number=3)]) == 0
    assert {row["id"]: row["number"] for row in await _all(database, PLAIN)} == {"a": 1, "b": 1, "c": 2}


async def test_updates_change_the_named_rows_and_nothing_else(database: Database) -> None:
    async with database.transaction() as tx:
        await insert_rows(tx, PLAIN, [_row(id) for id in "abc"])
        changes = [
            {"id": "a", "number": 1, "at": NOW, "order": "x"},
            {"id": "b", "number": 2, "at": None, "order": "y"},
        ]
        await update_rows(tx, PLAIN, changes, where=["id"], bump="version")
        await update_rows(tx, PLAIN, [{"order": "y", "flag": False, "id": "b"}], where=["id", "order"])
        await update_rows(tx, PLAIN, [{"order": "not it", "flag": False, "id": "a"}], where=["id", "order"])
        await update_rows(tx, PLAIN, [], where=["id"])
    kept = [(row["id"], row["number"], row["at"], row["flag"], row["version"]) for row in await _all(database, PLAIN)]
    assert kept == [("a", 1, NOW, True, 2), ("b", 2, None, False, 2), ("c", 7, None, True, 1)]


async def test_amounts_are_added_to_what_is_there(database: Database) -> None:
    """Each to its own row, in tables with and without JSON, beside values that are set and a counter."""
    for table in (PLAIN, WITH_JSON):
        async with database.transaction() as tx:
            await insert_rows(tx, table, [_row(id) for id in "abc"])
            await update_rows(
                tx, table, [{"id": "a", "number": 3}, {"id": "b", "number": -7}], where=["id"], add="number"
            )
            await update_rows(
                tx, table, [{"id": "a", "number": 1, "order": "x"}], where=["id"], add="number", bump="version"
            )
        kept = [(row["id"], row["number"], row["order"], row["version"]) for row in await _all(database, table)]
        assert kept == [("a", 11, "x", 2), ("b", 0, None, 1), ("c", 7, None, 1)]


async def test_among_is_in(database: Database) -> None:
    """For lists of any length, of texts and of numbers, in queries and updates; an empty list has nothing."""
    async with database.transaction() as tx:
        await insert_rows(tx, PLAIN, [_row(chr(97 + n), number=n) for n in range(5)])
        texts = select(PLAIN.c.id).where(among(PLAIN.c.id, "ids")).order_by(PLAIN.c.id)
        numbers = select(PLAIN.c.id).where(among(PLAIN.c.number, "numbers"), PLAIN.c.flag).order_by(PLAIN.c.id)
        for wanted in (["a", "c", "zz", "'quoted'"], ["b"], [], ("d", "e", "a")):
            found = (await tx.execute(texts, {"ids": wanted})).scalars().all()
            assert found == sorted(set(wanted) & set("abcde"))
        assert (await tx.execute(numbers, {"numbers": [4, 2, 99]})).scalars().all() == ["c", "e"]
        await tx.execute(update(PLAIN).where(among(PLAIN.c.id, "ids")).values(flag=False), {"ids": ["a", "b"]})
        assert (await tx.execute(numbers, {"numbers": list(range(5))})).scalars().all() == ["c", "d", "e"]


async def test_among_uses_the_index(sqlite_database_url: str) -> None:
    """Of a query, of an update, and beside other conditions: no table is read from end to end."""
    ids = among(PLAIN.c.id, "ids")
    async with Database(sqlite_database_url) as database, database.transaction() as tx:
        await tx.run_sync(METADATA.create_all)
        for statement in (
            select(PLAIN.c.number).where(ids),
            select(PLAIN.c.number).where(PLAIN.c.flag, ids),
            update(PLAIN).where(ids).values(number=1),
        ):
            sql = str(statement.compile(dialect=tx.dialect))
            count = sql.count("?")
            plan = (await tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", ("[]",) * count)).all()
            assert any("SEARCH plain" in row.detail for row in plan)
            assert not any("SCAN plain" in row.detail for row in plan)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)))
async def test_among_takes_any_text(sqlite_database_url: str, texts: list[str]) -> None:
    """What is in the list is compared as it is, whatever its characters."""
    async with Database(sqlite_database_url) as database, database.transaction() as tx:
        await tx.run_sync(METADATA.create_all)
        await tx.execute(delete(PLAIN))
        await insert_rows(tx, PLAIN, [_row(str(n), order=text) for n, text in enumerate(texts)])
        found = (
            await tx.execute(select(PLAIN.c.order).where(among(PLAIN.c.order, "texts")), {"texts": texts})
        ).scalars()
        assert sorted(found) == sorted(texts)
