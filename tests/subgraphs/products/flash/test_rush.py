"""Many processes sell the units of one sale: exactly those, nobody twice, whatever dies or is forgotten meanwhile.

``DURE_RUSH=5000:500`` makes it that many customers and units (``make flash-sale``).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import CheckConstraint, select, text
from sqlalchemy.exc import DBAPIError

from benchmarks.flash.verify import Facts, problems
from subgraphs.kit.ids import new_ulid
from subgraphs.products.flash.claims import count_down
from subgraphs.products.flash.gate import RedisGate
from subgraphs.products.flash.models import claims, items
from subgraphs.products.flash.service import FlashSales
from subgraphs.products.flash.tokens import AdmissionTokens
from tests.subgraphs.products.conftest import World
from tests.subgraphs.products.flash.test_claims import Sale, open_sale
from tests.support.waiting import eventually

BUYERS, UNITS = map(int, os.environ.get("DURE_RUSH", "200:50").split(":"))
PROCESSES = 4
UNITS_CHECK = next(
    str(each.name)
    for each in items.constraints
    if isinstance(each, CheckConstraint) and "returned >= 0" in str(each.sqltext)
)
ROOT = Path(__file__).resolve().parents[4]


async def begin(
    url: str, redis_url: str, sale: Sale, users: list[str], failpoint: str = "", *, guarded: bool = True
) -> Process:
    """A process that serves ``users`` once it is told to go."""
    module = "tests.subgraphs.products.flash.claimer"
    command = [sys.executable, "-m", module, url, redis_url, sale.id, sale.item, ",".join(users)]
    environment = {**os.environ, "DURE_FAILPOINT": failpoint, "UNGUARDED": "01"[not guarded]}
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE)


async def open_now(world: World, units: int) -> Sale:
    """A sale that is open by the clock of the machine, too."""
    world.clock.move(timedelta(minutes=-2))
    return await open_sale(world, units=units)


async def ready(process: Process) -> None:
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"


async def outcome(process: Process) -> dict[str, str]:
    """What its users got; nothing is known of those of a process that was killed."""
    output, _ = await asyncio.wait_for(process.communicate(b"go\n"), 300)
    return dict(json.loads(output.splitlines()[-1])) if process.returncode == 0 else {}  # retries are logged before


def shares(users: list[str]) -> list[list[str]]:
    return [users[number::PROCESSES] for number in range(PROCESSES)]


async def sold(sale: Sale) -> int:
    return int(UNITS - (await sale.row(items, sale.item)).remaining)


async def check(world: World, sale: Sale, results: dict[str, str]) -> None:
    won = {user: each for user, each in results.items() if len(each) == 26}
    assert len(won) == len(set(won.values())) == UNITS
    assert {each for user, each in results.items() if user not in won} == {"SOLD_OUT"}
    assert await sold(sale) == UNITS
    assert await world.level(sale.variant) == (UNITS + 5, UNITS, 0)
    assert await world.violations() == []


async def test_processes_with_gates_of_their_own_sell_exactly_the_units(world: World, database_url: str) -> None:
    sale = await open_now(world, UNITS)
    users = [new_ulid() for _ in range(BUYERS)]
    processes = [await begin(database_url, "-", sale, share) for share in shares(users)]
    await asyncio.gather(*map(ready, processes))
    results: dict[str, str] = {}
    for each in await asyncio.gather(*map(outcome, processes)):
        results |= each
    await check(world, sale, results)


async def test_without_the_ledgers_guard_more_is_sold_and_the_checks_see_it(world: World, database_url: str) -> None:
    """The negative control: the same rush, and only the ledger's guard is missing."""
    units, buyers = 5, [new_ulid() for _ in range(40)]
    sale = await open_now(world, units)
    if world.database.dialect != "sqlite":
        async with world.database.transaction() as tx:
            await tx.execute(text(f"ALTER TABLE flash_sale_item DROP CONSTRAINT {UNITS_CHECK}"))
    processes = [await begin(database_url, "-", sale, share, guarded=False) for share in shares(buyers)]
    await asyncio.gather(*map(ready, processes))
    results: dict[str, str] = {}
    for each in await asyncio.gather(*map(outcome, processes)):
        results |= each
    won = [each for each in results.values() if len(each) == 26]
    assert len(won) > units, "gates of their own let too many through"
    assert "flash.units_are_conserved" in {each.invariant for each in await world.violations()}
    async with world.database.read() as connection:
        rows = {row.id: row for row in await connection.execute(select(claims))}
    assert f"{len(won)} units are claimed, there were {units}" in problems(Facts(rows, {}, {}), units)


async def test_redis_is_flushed_and_a_process_killed_in_the_middle(
    world: World, database_url: str, redis_url: str
) -> None:
    sale = await open_now(world, UNITS)
    users = [new_ulid() for _ in range(BUYERS)]
    redis = Redis.from_url(redis_url)
    first, *others = [await begin(database_url, redis_url, sale, share) for share in shares(users)]
    await asyncio.gather(*map(ready, (first, *others)))
    running = [asyncio.create_task(outcome(process)) for process in (first, *others)]
    await eventually(lambda: _reached(sale, UNITS // 4))
    await redis.flushdb()
    first.send_signal(signal.SIGKILL)
    assert await running[0] == {}
    assert await first.wait() == -signal.SIGKILL
    follower = await begin(database_url, redis_url, sale, shares(users)[0])
    await ready(follower)
    results: dict[str, str] = {}
    for each in await asyncio.gather(outcome(follower), *running[1:]):
        results |= each
    await redis.aclose()
    await check(world, sale, results)


async def _reached(sale: Sale, units: int) -> bool:
    return await sold(sale) >= units


@pytest.mark.parametrize("place", ["before_commit", "after_commit"])
async def test_killed_just_before_or_after_the_ledger_knew_a_claim_is_made_once(
    world: World, database_url: str, place: str
) -> None:
    sale = await open_now(world, 1)
    user = new_ulid()
    for failpoint in (f"products.claim.{place}", ""):
        process = await begin(database_url, "-", sale, [user], failpoint)
        await ready(process)
        results = await outcome(process)
        assert process.returncode == (-signal.SIGKILL if failpoint else 0)
        assert await world.violations() == []
    assert len(results[user]) == 26
    assert (await sale.row(items, sale.item)).remaining == 0


async def test_a_unit_that_only_the_gate_counted_comes_back(world: World, database_url: str, redis_url: str) -> None:
    """Killed between the gate and the ledger: until the gate reads the ledger again the unit seems to be gone."""
    sale = await open_now(world, 1)
    redis = Redis.from_url(redis_url)
    gate = RedisGate(redis, 4)
    process = await begin(database_url, redis_url, sale, [new_ulid()], "products.claim.after_gate")
    await ready(process)
    await gate.fill(sale.item, 1, {})
    assert await outcome(process) == {}
    assert process.returncode == -signal.SIGKILL
    sale.flash = FlashSales(replace(world.shop, gate=gate), AdmissionTokens("secret"))
    buyer = await sale.buyer()
    assert await sale.claim(*buyer) == "SOLD_OUT"

    async def gets_it() -> bool:
        return len(await sale.claim(*buyer)) == 26

    await eventually(gets_it)
    await redis.aclose()
    assert await world.violations() == []


async def test_the_conditional_update_and_the_table_each_refuse_a_unit_that_is_not_there(world: World) -> None:
    """The negative control: without the condition only the CHECK stands, and without both a unit too many is sold."""
    sale = await open_sale(world, units=1)
    async with world.database.transaction() as tx:
        assert (await tx.execute(count_down(sale.item, 2))).rowcount == 0
    with pytest.raises(DBAPIError):
        async with world.database.transaction() as tx:
            await tx.execute(count_down(sale.item, 2, guarded=False))
    if world.database.dialect == "sqlite":
        async with world.database.transaction() as tx:
            await tx.execute(text("PRAGMA ignore_check_constraints=ON"))
            await tx.execute(count_down(sale.item, 2, guarded=False))
            await tx.execute(text("PRAGMA ignore_check_constraints=OFF"))
        assert "flash.units_are_conserved" in {each.invariant for each in await world.violations()}
