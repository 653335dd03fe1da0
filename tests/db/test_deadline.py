"""Late work: given up as a whole, or done as a whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from db import deadline
from db.batching import GroupCommit
from db.deadline import TooLate
from db.session import Database
from tests.support.waiting import eventually


@pytest.fixture
async def database(tmp_path: Path) -> Database:
    opened = Database(f"sqlite+aiosqlite:///{tmp_path}/late.db")
    async with opened.transaction() as tx:
        await tx.execute(text("CREATE TABLE kept (number INTEGER)"))
    return opened


async def keep(database: Database, number: int, *, until: float | None = None) -> None:
    """Insert a number; it takes until then."""
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO kept VALUES (:number)"), {"number": number})
        if until is not None:
            await asyncio.sleep(max(0.0, until - time.monotonic()))


async def kept(database: Database) -> list[int]:
    async with database.read() as connection:
        return list((await connection.execute(text("SELECT number FROM kept ORDER BY number"))).scalars())


async def test_what_is_late_is_not_begun(database: Database) -> None:
    """With the deadline passed there is no transaction at all; before it, and without one, there is."""
    async with database:
        with deadline.waited_for(time.monotonic() - 0.001), pytest.raises(TooLate):
            await keep(database, 1)
        with deadline.waited_for(time.monotonic() + 60):
            await keep(database, 2)
        await keep(database, 3)
        assert await kept(database) == [2, 3]


async def test_what_becomes_late_is_rolled_back(database: Database) -> None:
    """The deadline passes between the statement and the commit; without a deadline the same work is kept."""
    async with database:
        until = time.monotonic() + 0.02
        with deadline.waited_for(until), pytest.raises(TooLate):
            await keep(database, 1, until=until)
        await keep(database, 2, until=until)
        assert await kept(database) == [2]


async def test_what_has_changed_something_goes_on(database: Database) -> None:
    """After the first commit the rest is done too, however late."""
    async with database:
        until = time.monotonic() + 0.05
        with deadline.waited_for(until):
            await keep(database, 1)
            await keep(database, 2, until=until)
            await keep(database, 3)
        assert await kept(database) == [1, 2, 3]


class Shelf:
    """Runs batches when it is let."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.batches: list[list[int]] = []

    async def run(self, commands: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(commands))
        await self.free.wait()
        deadline.check()
        return list(commands)


async def submit(together: GroupCommit[int, int], number: int, until: float | None) -> int:
    with deadline.waited_for(until):
        result = await together.submit(number)
        deadline.check()  # what was kept is lasting
        return result


async def test_a_command_that_waited_too_long_is_left_out_of_its_batch() -> None:
    """The others of the batch are kept; a batch that has begun is not stopped by its first command's deadline."""
    shelf = Shelf()
    together = GroupCommit(shelf.run)
    until = time.monotonic() + 0.02
    first = asyncio.create_task(submit(together, 1, until))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(submit(together, *each)) for each in ((2, until), (3, None))]
    await eventually(lambda: time.monotonic() >= until)
    shelf.free.set()
    late, in_time = await asyncio.gather(*others, return_exceptions=True)
    assert (await first, in_time) == (1, 3)
    assert isinstance(late, TooLate)
    assert shelf.batches == [[1], [3]]


async def test_only_late_commands_make_no_batch() -> None:
    shelf = Shelf()
    together = GroupCommit(shelf.run)
    with pytest.raises(TooLate):
        await submit(together, 1, time.monotonic() - 1)
    assert shelf.batches == []
    shelf.free.set()
    assert await submit(together, 2, None) == 2
