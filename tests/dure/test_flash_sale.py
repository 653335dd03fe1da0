"""A flash sale through the shop's one door: exactly the units, nobody twice, and the shop is killed in the middle."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from benchmarks.flash import rush, verify
from benchmarks.flash.rush import Plan, State, Trouble
from db.session import Database
from dure.databases import until_told
from dure.demo_data import flash as demo_sale
from dure.settings import Settings
from subgraphs.kit.ids import global_id
from tests.dure.shop import ShopProcess, visiting
from tests.dure.test_demo import per_subgraph

pytestmark = pytest.mark.e2e
CUSTOMERS, UNITS = 100, 10
ROOT = Path(__file__).parents[2]
QUICK = {
    "DURE_PRODUCTS_FLASH_HOLD_SECONDS": "4",
    "DURE_PRODUCTS_FLASH_ADMISSION_SECONDS": "3",
    "DURE_PRODUCTS_FLASH_TICK_SECONDS": "0.1",
    "DURE_PRODUCTS_FLASH_GATE_SECONDS": "0.5",
    "DURE_USERS_ACCESS_TOKEN_LIFE": "PT2H",
}
"""What never becomes an order comes back while the test waits."""


def seeded(process: ShopProcess) -> Path:
    """``benchmarks.flash.seed`` with this shop's settings; the file that it wrote."""
    process.folder.mkdir(parents=True, exist_ok=True)
    file = process.folder / "customers.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.flash.seed", str(file), str(CUSTOMERS), str(UNITS)],
        env=process.settings,
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return file


async def sell(process: ShopProcess, database_of: Callable[[str], str], troubles: Sequence[Trouble]) -> State:
    """From an empty folder to a sale that is over, verified."""
    file = await asyncio.to_thread(seeded, process)
    await process.start()
    await until_told(settings_of(process))
    plan = Plan(json.loads(file.read_bytes()), UNITS, opening=2, within=120, troubles=troubles)
    async with Database(database_of("products")) as products:
        state = await rush.run(process.url, products, plan)
    assert verify.problems(await verify.facts(database_of, state.sale_id), UNITS, state.told) == []
    audit = await asyncio.to_thread(process.dure, "audit")
    assert (audit.returncode, audit.stdout) == (0, ""), audit.stderr
    return state


def settings_of(process: ShopProcess) -> Settings:
    """The databases of the shop."""
    given = {"database_url": process.environment["DURE_DATABASE_URL"]} if process.environment.keys() - QUICK else {}
    secrets = {"claims_secret": "x" * 32, "cursor_secret": "x" * 32, "demo_password": "x" * 12}
    return Settings(data_dir=process.folder, **given, **secrets)


def killed(process: ShopProcess) -> Trouble:
    async def make() -> None:
        await process.kill()
        await process.start()

    return Trouble("the shop is killed", 0.5, make)


async def test_on_sqlite(tmp_path: Path) -> None:
    process = ShopProcess(tmp_path, QUICK)
    try:
        state = await sell(process, lambda name: f"sqlite+aiosqlite:///{tmp_path}/{name}.sqlite", [killed(process)])
        await the_demos_own_sale_is_there(process.url)
    finally:
        await process.stop()
    check(state)
    told = json.loads((await asyncio.to_thread(process.dure, "fairness", state.sale_id, "--json")).stdout)
    assert (told["as_drawn"], told["over_their_limit"], told["admitted_against_number"]["inversions"]) == (True, 0, 0)
    assert told["came_to"]["paid"] == UNITS
    unknown = await asyncio.to_thread(process.dure, "fairness", "0" * 26)
    assert (unknown.returncode, "no flash sale" in unknown.stderr) == (1, True)


@pytest.mark.integration
async def test_on_servers_with_a_flushed_redis(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    database, cache = per_subgraph(postgres_url), redis_url.rsplit("/", 1)[0] + "/3"
    process = ShopProcess(tmp_path, QUICK | {"DURE_DATABASE_URL": database, "DURE_REDIS_URL": cache})

    async def flush() -> None:
        async with Redis.from_url(cache) as redis:
            await redis.flushdb()

    troubles = [Trouble("Redis is flushed", 0.25, flush), killed(process)]
    try:
        state = await sell(process, lambda name: database.format(subgraph=name), troubles)
    finally:
        await process.stop()
    check(state)


async def the_demos_own_sale_is_there(url: str) -> None:
    """Every new shop has one to try, at less than the usual price."""
    async with visiting(url) as anyone:
        sale = (await anyone.ask("flash_sale", id=global_id("FlashSale", demo_sale.SALE_ID))).data["flashSale"]
    (item,) = sale["items"]
    assert (sale["status"] in ("SCHEDULED", "OPEN"), item["remainingQuantity"]) == (True, demo_sale.UNITS)
    assert int(item["salePrice"]["amount"]) < int(item["variant"]["price"]["amount"])


def check(state: State) -> None:
    """Everything that was to happen did: a test in which nothing went wrong would prove little."""
    told: Any = state.told
    assert len(told.paid) == UNITS
    assert sum(state.app.again.values()) > 0, "nobody noticed that the shop was gone"
    assert told.tickets >= CUSTOMERS
    if os.environ.get("DURE_SHOW"):
        print(state.happened, told.refused, state.app.again, state.seconds)
