"""Changing keys: everything under the new one, nothing lost, whoever writes or dies meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Column, MetaData, String, Table, Text, insert, literal, select, type_coerce, update

from db import vault
from db.base import TABLE_OPTIONS
from db.resealing import BATCH, reseal, usage
from db.sealed import Sealed, SealedJson
from db.session import Database
from dure.settings import ROOT

metadata = MetaData()
people = Table(
    "people",
    metadata,
    Column("shop", String(10), primary_key=True),
    Column("number", String(10), primary_key=True),
    Column("name", Sealed("people.name"), nullable=False),
    Column("note", Sealed("people.note")),
    Column("home", SealedJson("people.home")),
    **TABLE_OPTIONS,
)
OLD, NEW = f"k1:{vault.new_key()}", f"k2:{vault.new_key()}"
COUNT = 2 * BATCH + 50


def use(monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
    monkeypatch.setenv("DURE_DATA_KEYS", ",".join(keys))
    vault.ring.cache_clear()


@pytest.fixture
async def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A table of people, sealed with the old key."""
    use(monkeypatch, OLD)
    async with Database(database_url) as opened:
        rows = [
            {
                "shop": f"s{number % 2}",
                "number": f"{number:06}",
                "name": f"person {number}",
                "note": None if number % 3 else "비고",
                "home": {"line1": f"street {number}"},
            }
            for number in range(COUNT)
        ]
        async with opened.transaction() as tx:
            await tx.run_sync(metadata.create_all)
            await tx.execute(insert(people), rows)
        yield opened
    vault.ring.cache_clear()


async def names(database: Database) -> list[str]:
    async with database.read() as connection:
        return sorted((await connection.execute(select(people.c.name))).scalars())


async def test_everything_is_sealed_anew_and_reads_as_before(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await names(database)
    use(monkeypatch, NEW, OLD)
    assert set(await usage(database, metadata)) == {"k1"}
    batches = [count async for _, count in reseal(database, metadata)]
    assert batches == [BATCH, BATCH, 50]
    use(monkeypatch, NEW)
    assert set(await usage(database, metadata)) == {"k2"}
    assert await names(database) == before
    assert [each async for each in reseal(database, metadata)] == [], "again there is nothing to do"


async def test_what_is_changed_meanwhile_stays_as_it_was_changed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, NEW, OLD)
    first = (people.c.shop == "s0") & (people.c.number == "000000")
    run, changed = database.run, False

    async def run_late(work: object) -> object:
        nonlocal changed
        if not changed:
            changed = True
            async with database.transaction() as tx:
                await tx.execute(update(people).where(first).values(name="renamed", note=None))
        return await run(work)  # type: ignore[arg-type]

    monkeypatch.setattr(database, "run", run_late)
    async for _ in reseal(database, metadata):
        pass
    async with database.read() as connection:
        row = (await connection.execute(select(people.c.name, people.c.note, people.c.home).where(first))).one()
    assert tuple(row) == ("renamed", None, {"line1": "street 0"})
    assert set(await usage(database, metadata)) == {"k2"}


async def test_a_killed_change_of_keys_is_taken_up_where_it_was(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await names(database)
    use(monkeypatch, NEW, OLD)
    command = [sys.executable, "-m", "tests.db.resealer", database_url]
    died = subprocess.run(  # noqa: ASYNC221
        command, cwd=ROOT, env=os.environ | {"DURE_FAILPOINT": "keys.rotate.after_batch:2"}, timeout=60, check=False
    )
    assert died.returncode == -signal.SIGKILL
    half = await usage(database, metadata)
    assert half["k1"] > 0
    assert half["k2"] > 0
    assert await names(database) == before, "half changed it reads as before"
    assert [count async for _, count in reseal(database, metadata)] == [50]
    assert set(await usage(database, metadata)) == {"k2"}
    assert await names(database) == before


async def test_a_lost_key_is_reported_and_overwrites_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, NEW)
    assert set(await usage(database, metadata)) == {"?"}
    with pytest.raises(vault.Unreadable):
        [each async for each in reseal(database, metadata)]
    use(monkeypatch, OLD)
    assert len(await names(database)) == COUNT


async def test_a_value_moved_to_another_column_does_not_open(database: Database) -> None:
    async with database.transaction() as tx:
        stolen = (
            await tx.execute(select(type_coerce(people.c.note, Text())).where(people.c.note.is_not(None)))
        ).first()
        assert stolen
        await tx.execute(update(people).values({people.c.name: literal(stolen[0], Text())}))
    with pytest.raises(vault.Unreadable):
        await names(database)


def test_a_comparison_with_a_sealed_column_is_an_error() -> None:
    for compare in (
        lambda: people.c.name == "kim",
        lambda: people.c.name.in_(["kim"]),
        lambda: people.c.name.like("k%"),
        lambda: people.c.name.desc(),
    ):
        with pytest.raises(TypeError, match="blind index"):
            compare()
    assert str(people.c.note.is_(None)) == "people.note IS NULL"
