"""Killed at any step of an order's stock and started again, products loses nothing and repeats nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from messaging.events.products import StockCommitted, StockReleased, StockReserved
from subgraphs.kit.ids import new_ulid
from tests.subgraphs.products.conftest import World

ROOT = Path(__file__).resolve().parents[3]


async def run(url: str, order_id: str, variant: str, step: str, failpoint: str = "") -> int:
    command = [sys.executable, "-m", "tests.subgraphs.products.killed", url, order_id, variant, step]
    environment = {**os.environ, "DURE_FAILPOINT": failpoint}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stderr=pipe)
    try:
        async with asyncio.timeout(60):
            _, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    print(complaints.decode())  # shown by pytest when the test fails
    assert process.returncode is not None
    return process.returncode


@pytest.mark.parametrize(
    ("failpoint", "step"),
    [
        ("products.reserve.before_commit", "commit"),
        ("products.reserve.after_commit", "commit"),
        ("products.commit.before_commit", "commit"),
        ("products.commit.after_commit", "commit"),
        ("products.release.after_commit", "release"),
    ],
)
async def test_a_killed_process_goes_on_where_it_was(
    world: World, database_url: str, failpoint: str, step: str
) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=5)).ulids
    order_id = new_ulid()
    assert await run(database_url, order_id, variant, step, failpoint) == -signal.SIGKILL
    assert await world.violations() == []
    assert await run(database_url, order_id, variant, step) == 0
    assert await world.level(variant) == ((5, 0, 2) if step == "commit" else (5, 0, 0))
    assert len(await world.told(StockReserved)) == 1
    last = StockCommitted if step == "commit" else StockReleased
    assert [each.order_id for each in await world.told(last)] == [order_id]
    assert await world.violations() == []
