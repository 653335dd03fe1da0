"""Twenty backers in four processes race for five units, and four sweepers for one deadline."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import CheckConstraint, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import DropConstraint

from messaging.events.funding import PledgeCanceled
from subgraphs.funding.models import rewards
from subgraphs.funding.pledging import take_units
from subgraphs.kit.ids import local_id, new_ulid
from tests.subgraphs.funding.conftest import World

PROCESSES, BUYERS, UNITS = 4, 5, 5
ROOT = Path(__file__).resolve().parents[3]


async def race(url: str, reward: str, mode: str) -> list[int]:
    """What each process got; all begin at the same moment."""
    command = [sys.executable, "-m", "tests.subgraphs.funding.racer", url, reward, str(BUYERS), mode]
    pipe = asyncio.subprocess.PIPE
    racers = [
        await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(PROCESSES)
    ]
    try:
        async with asyncio.timeout(120):
            for racer in racers:
                assert racer.stdout is not None
                assert await racer.stdout.readline() == b"ready\n"
            outputs = await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
    finally:
        for racer in racers:
            if racer.returncode is None:
                racer.kill()
                await racer.wait()
    return [int(output) for output, _ in outputs]


async def limited(world: World, units: int = UNITS) -> tuple[str, str]:
    """A project in the graph and the ULID of its limited reward."""
    owner = new_ulid()
    project = await world.open(owner)
    return project, local_id("Reward", await world.reward(owner, project, totalQuantity=units))


async def test_exactly_the_units_that_are_there_are_promised(world: World, database_url: str) -> None:
    project, reward = await limited(world)
    assert sum(await race(database_url, reward, "real")) == UNITS
    state = await world.state(project)
    assert (state["backerCount"], state["rewards"]) == (UNITS, [{"remainingQuantity": 0}])
    assert await world.violations() == []


async def test_without_the_guard_the_race_oversells_and_the_audit_sees_it(world: World, database_url: str) -> None:
    """The negative control: no condition in the update, no CHECK in the table."""
    _, reward = await limited(world)
    await drop_check(world)
    assert sum(await race(database_url, reward, "unguarded")) > UNITS
    assert "funding.units" in await world.violations()


async def test_the_guard_refuses_kindly_what_the_table_would_refuse_with_an_error(world: World) -> None:
    """The CHECK alone does not oversell either, but it breaks the transaction that others share."""
    _, reward = await limited(world, 1)
    async with world.database.transaction() as tx:
        assert await take_units(tx, reward, 1)
        assert not await take_units(tx, reward, 1)
    with pytest.raises(DBAPIError):
        async with world.database.transaction() as tx:
            await take_units(tx, reward, 1, guarded=False)


async def test_several_sweepers_give_one_verdict(world: World, database_url: str) -> None:
    owner, backer = new_ulid(), await world.backer()
    project = await world.open(owner)
    reward = await world.reward(owner, project, totalQuantity=3)
    await world.pledge(backer, project, rewardId=reward, quantity=2)
    version = (await world.state(project))["version"]
    await race(database_url, local_id("Reward", reward), "sweep")
    state = await world.state(project)
    assert (state["status"], state["version"]) == ("FAILED", version + 1)
    assert state["rewards"] == [{"remainingQuantity": 3}]
    assert len(await world.told(PledgeCanceled)) == 1
    assert await world.violations() == []


async def drop_check(world: World) -> None:
    """Take the last guard, the CHECK that no more is claimed than there is, from the table."""
    (check,) = (
        each for each in rewards.constraints if isinstance(each, CheckConstraint) and "claimed" in str(each.name)
    )
    async with world.database.transaction() as tx:
        if world.database.dialect != "sqlite":
            await tx.execute(DropConstraint(check))
            return
        # SQLite can't drop a constraint; this makes the connection, and with it the file's schema, forget it.
        await tx.execute(text("PRAGMA writable_schema=ON"))
        rule = f"CHECK ({check.sqltext})"
        changed = "UPDATE sqlite_master SET sql = replace(sql, :old, 'CHECK (1)') WHERE name = 'reward'"
        await tx.execute(text(changed), {"old": rule})
        await tx.execute(text("PRAGMA writable_schema=OFF"))
