"""Twenty buyers in four processes race for five units."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import CheckConstraint, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import DropConstraint

from subgraphs.products import models
from subgraphs.products.domain import StockMovementType
from subgraphs.products.stock_ledger import Change, Level, Oversold, apply, move_units
from tests.subgraphs.products.conftest import World

PROCESSES, BUYERS, UNITS = 4, 5, 5
ROOT = Path(__file__).resolve().parents[3]


async def race(url: str, variant: str, mode: str) -> int:
    """How many units the buyers of all processes got together; all begin at the same moment."""
    command = [sys.executable, "-m", "tests.subgraphs.products.racer", url, variant, str(BUYERS), mode]
    pipe = asyncio.subprocess.PIPE
    racers = [
        await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(PROCESSES)
    ]
    try:
        async with asyncio.timeout(60):
            for racer in racers:
                assert racer.stdout is not None
                assert await racer.stdout.readline() == b"ready\n"
            outputs = await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
    finally:
        for racer in racers:
            if racer.returncode is None:
                racer.kill()
                await racer.wait()
    return sum(int(output) for output, _ in outputs)


async def test_exactly_the_units_that_are_there_are_reserved(world: World, database_url: str) -> None:
    (variant,) = (await world.publish("Last units", "L-1", units=UNITS)).ulids
    assert await race(database_url, variant, "real") == UNITS
    assert await world.level(variant) == (UNITS, UNITS, 0)
    assert await world.violations() == []


async def test_without_the_guard_the_race_oversells_and_the_audit_sees_it(world: World, database_url: str) -> None:
    """The negative control: no condition in the update, no CHECK in the table."""
    (variant,) = (await world.publish("Last units", "L-1", units=UNITS)).ulids
    await drop_check(world)
    assert await race(database_url, variant, "unguarded") > UNITS
    assert "stock.levels_are_not_negative" in {each.invariant for each in await world.violations()}


async def test_the_table_itself_refuses_what_the_update_would_let_through(world: World) -> None:
    (variant,) = (await world.publish("Last units", "L-1", units=0)).ulids
    async with world.database.transaction() as tx:
        guarded = await tx.execute(move_units({variant: Level(reserved=1)}, world.clock()))
        assert guarded.rowcount == 0
    with pytest.raises(DBAPIError):
        async with world.database.transaction() as tx:
            await tx.execute(move_units({variant: Level(reserved=1)}, world.clock(), guarded=False))


async def test_a_decision_on_levels_that_were_not_locked_changes_nothing(world: World) -> None:
    few, many = (await world.publish("Last units", "L-1", "L-2", units=1)).ulids
    thought = {few: Level(on_hand=5), many: Level(on_hand=1)}
    taken = [
        Change(variant, StockMovementType.RESERVED, units, reserved=units) for variant, units in ((many, 1), (few, 2))
    ]
    with pytest.raises(Oversold):
        async with world.database.transaction() as tx:
            await apply(tx, thought, taken, world.clock())
    assert [await world.level(each) for each in (few, many)] == [(1, 0, 0), (1, 0, 0)]
    assert await world.violations() == []


async def drop_check(world: World) -> None:
    """Take the last guard, the CHECK that a level is not oversold, from the table."""
    (check,) = (
        each
        for each in models.StockLevel.__table__.constraints
        if isinstance(each, CheckConstraint) and "not_oversold" in str(each.name)
    )
    async with world.database.transaction() as tx:
        if world.database.dialect != "sqlite":
            await tx.execute(DropConstraint(check))
            return
        # SQLite can't drop a constraint; this makes the connection, and with it the file's schema, forget it.
        await tx.execute(text("PRAGMA writable_schema=ON"))
        pattern = "CONSTRAINT ck_stock_level_not_oversold CHECK (on_hand >= reserved + allocated)"
        changed = "UPDATE sqlite_master SET sql = replace(sql, :old, :new) WHERE name = 'stock_level'"
        await tx.execute(text(changed), {"old": pattern, "new": "CHECK (1)"})
        await tx.execute(text("PRAGMA writable_schema=OFF"))
