"""SQLite in the event loop's thread: quick work is done at once, and waiting holds nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db import sqlite
from db.driver import sqlite3
from db.session import Database

SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT count(*) FROM n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.sqlite"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with Database(f"sqlite+aiosqlite:///{path}") as opened:
        async with opened.transaction() as tx:
            await tx.execute(text("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)"))
            await tx.execute(text("INSERT INTO thing (name) VALUES ('a'), ('b'), ('c')"))
        yield opened


class Ticks:
    """Counts how often the loop came round while the block ran."""

    async def __aenter__(self) -> Ticks:
        self.count = self._wanted = 0
        self._reached = asyncio.Event()
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def until(self, count: int) -> None:
        self._wanted, self._reached = count, asyncio.Event()
        await asyncio.wait_for(self._reached.wait(), 5)

    async def _tick(self) -> None:
        while True:
            self.count += 1
            if self.count >= self._wanted:
                self._reached.set()
            await asyncio.sleep(0.001)


async def test_a_long_read_does_not_hold_up_the_loop_and_its_answer_is_whole(database: Database) -> None:
    """It is begun anew in a thread, at the first time and whenever it comes again."""
    statement = text(SLOW.format(2_000_000))
    for _ in range(2):
        async with Ticks() as ticks, database.read() as connection:
            assert (await connection.execute(statement)).scalar_one() == 2_000_000
        assert ticks.count > 10


async def test_a_quick_read_takes_no_thread(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))  # the connection is there now
        monkeypatch.setattr(sqlite, "in_thread", None)
        rows = (await connection.execute(text("SELECT name FROM thing ORDER BY id"))).scalars().all()
    assert rows == ["a", "b", "c"]


async def test_a_quick_read_stays_quick_however_often_it_is_asked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its executions together take many times the steps that one may take here."""
    statement = text(SLOW.format(sqlite.STEPS_HERE // 40))
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))  # the connection is there now
        monkeypatch.setattr(sqlite, "in_thread", None)
        for _ in range(100):
            await connection.execute(statement)


async def test_a_cancelled_long_read_ends_and_the_next_reads_work(database: Database) -> None:
    async def read(steps: int) -> int:
        async with database.read() as connection:
            return int((await connection.execute(text(SLOW.format(steps)))).scalar_one())

    for _ in range(6):  # more than there are connections
        task = asyncio.create_task(read(500_000_000))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
    assert await read(10) == 10


async def test_the_lock_of_another_process_is_waited_for_beside_the_loop(database: Database, path: Path) -> None:
    """BEGIN IMMEDIATE finds the file locked by another connection; the loop goes on until it is free."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def insert() -> None:
        async with database.transaction() as tx:
            await tx.execute(text("INSERT INTO thing (name) VALUES ('d')"))

    async with Ticks() as ticks:
        waiting = asyncio.create_task(insert())
        await ticks.until(20)
        assert not waiting.done()
        other.execute("COMMIT")
        await asyncio.wait_for(waiting, 5)
    assert other.execute("SELECT count(*) FROM thing").fetchone() == (4,)
    other.close()


async def test_a_transaction_cancelled_at_any_step_is_whole_or_not_there(database: Database, path: Path) -> None:
    """Whatever moment the cancellation hits, COMMIT included, the writer can be used again and no half is left."""

    async def insert_pair() -> None:
        async with database.transaction() as tx:
            await tx.execute(text("INSERT INTO thing (name) VALUES ('x')"))
            await asyncio.sleep(0)
            await tx.execute(text("INSERT INTO thing (name) VALUES ('y')"))

    for turns in range(12):
        task = asyncio.create_task(insert_pair())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await insert_pair()
    counts = dict(sqlite3.connect(path).execute("SELECT name, count(*) FROM thing GROUP BY name").fetchall())
    assert counts["x"] == counts["y"] >= 1


async def test_rows_are_those_of_their_statement_whatever_changes_while_they_are_looked_at(database: Database) -> None:
    async with database.transaction() as tx:
        seen = []
        for row in await tx.execute(text("SELECT id, name FROM thing ORDER BY id")):
            seen.append(row.name)
            await tx.execute(text("INSERT INTO thing (name) VALUES ('more')"))
    assert seen == ["a", "b", "c"]
