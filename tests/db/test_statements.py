"""The statements that differ between databases do the same on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Column, Integer, String, Table, insert, select
from sqlalchemy.exc import DBAPIError

from db.base import TABLE_OPTIONS, new_metadata
from db.session import Database
from db.statements import after, answers, insert_ignore, skip_locked, upsert

METADATA = new_metadata()
COPIES = Table(
    "copies",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("name", String(50), nullable=False),
    **TABLE_OPTIONS,
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url) as opened:
        async with opened.transaction() as tx:
            await tx.run_sync(METADATA.create_all)
        yield opened


async def _all(database: Database) -> dict[str, tuple[int, str]]:
    async with database.read() as connection:
        return {row.id: (row.version, row.name) for row in await connection.execute(select(COPIES))}


def _row(id: str, version: int, name: str) -> dict[str, object]:
    return {"id": id, "version": version, "name": name}


async def test_upsert_inserts_and_replaces(database: Database) -> None:
    """New keys are inserted, known ones replaced, in one call."""
    async with database.transaction() as tx:
        await upsert(tx, COPIES, [_row("a", 1, "old")])
        await upsert(tx, COPIES, [_row("a", 1, "new"), _row("b", 1, "b")])
    assert await _all(database) == {"a": (1, "new"), "b": (1, "b")}


async def test_upsert_newer_by_never_sets_a_copy_back(database: Database) -> None:
    """Of the versions of a copy the greatest stays, in whatever order they come, with all columns of that version."""
    async with database.transaction() as tx:
        for version in (2, 1, 3, 2, 3):
            await upsert(tx, COPIES, [_row("a", version, f"v{version}")], newer_by="version")
        await upsert(tx, COPIES, [_row("a", 2, "late"), _row("b", 1, "first")], newer_by="version")
    assert await _all(database) == {"a": (3, "v3"), "b": (1, "first")}


async def test_without_newer_by_a_late_version_wins(database: Database) -> None:
    """The control: the guard, and nothing else, keeps the newest."""
    async with database.transaction() as tx:
        await upsert(tx, COPIES, [_row("a", 2, "new")])
        await upsert(tx, COPIES, [_row("a", 1, "late")])
    assert await _all(database) == {"a": (1, "late")}


async def test_insert_ignore_inserts_only_what_is_new_and_counts_it(database: Database) -> None:
    """Rows whose key exists stay as they are; the number is that of the rows inserted."""
    async with database.transaction() as tx:
        assert await insert_ignore(tx, COPIES, [_row("a", 1, "first"), _row("b", 1, "first")]) == 2
        assert await insert_ignore(tx, COPIES, [_row("a", 2, "second"), _row("c", 2, "second")]) == 1
        assert await insert_ignore(tx, COPIES, [_row("a", 3, "third")]) == 0
        assert await insert_ignore(tx, COPIES, []) == 0
    assert await _all(database) == {"a": (1, "first"), "b": (1, "first"), "c": (2, "second")}


async def test_insert_ignore_passes_over_nothing_but_known_keys(server_database_url: str) -> None:
    """A text too long for its column is an error, not a row with half a text."""
    async with Database(server_database_url) as database:
        async with database.transaction() as tx:
            await tx.run_sync(METADATA.create_all)
        with pytest.raises(DBAPIError):
            await database.run(lambda tx: insert_ignore(tx, COPIES, [_row("a", 1, "x" * 51)]))
        assert await _all(database) == {}


async def test_keys_that_differ_in_case_are_different(database: Database) -> None:
    """An idempotency key is bytes: no collation folds it."""
    async with database.transaction() as tx:
        assert await insert_ignore(tx, COPIES, [_row("KEY-a", 1, "x"), _row("key-A", 1, "y")]) == 2


async def test_after_walks_every_row_once(database: Database) -> None:
    """Pages by (version, id), two rows each, show all rows in order and none twice, in both directions."""
    rows = [_row(id, version, "") for id, version in [("a", 2), ("b", 1), ("c", 2), ("d", 1), ("e", 3)]]
    async with database.transaction() as tx:
        await tx.execute(insert(COPIES), rows)
    for descending in (False, True):
        order = [c.desc() if descending else c.asc() for c in (COPIES.c.version, COPIES.c.id)]
        seen: list[str] = []
        last: tuple[int, str] | None = None
        async with database.read() as connection:
            while True:
                page = select(COPIES).order_by(*order).limit(2)
                if last:
                    page = page.where(after([COPIES.c.version, COPIES.c.id], last, descending=descending))
                found = (await connection.execute(page)).all()
                if not found:
                    break
                seen += [row.id for row in found]
                last = (found[-1].version, found[-1].id)
        assert seen == (["e", "c", "a", "d", "b"] if descending else ["b", "d", "a", "c", "e"])


async def test_answers(database: Database) -> None:
    """A database that can be reached answers."""
    async with database.read() as connection:
        assert await answers(connection)


async def test_skip_locked_gives_two_workers_different_rows(server_database_url: str) -> None:
    """What one transaction holds, another does not wait for."""
    async with Database(server_database_url) as database:
        async with database.transaction() as tx:
            await tx.run_sync(METADATA.create_all)
            await tx.execute(insert(COPIES), [_row("a", 1, ""), _row("b", 1, "")])
        first = skip_locked(select(COPIES.c.id).order_by(COPIES.c.id).limit(1))
        async with database.transaction() as one, database.transaction() as other:
            mine = (await one.execute(first)).scalars().all()
            theirs = (await asyncio.wait_for(other.execute(skip_locked(select(COPIES.c.id))), 5)).scalars().all()
        assert mine == ["a"]
        assert "a" not in theirs
