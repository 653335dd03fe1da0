"""The benchmark of purchases is honest: what it counts was bought, and what it says of capacity follows from it."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from pathlib import Path

import orjson
import pytest

from benchmarks.shop import __main__ as bench
from benchmarks.shop import capacity, verify
from benchmarks.shop.modes import prepared
from db.ids import new_ulid

pytestmark = pytest.mark.e2e
FEW = Namespace(connections=8, unpaid=64, reads=0.3, warm_up=0.5, seconds=1.5)


async def test_what_was_acknowledged_is_paid_once_and_what_was_not_is_missed() -> None:
    with prepared("one-process-sqlite") as shop:
        tickets = shop.folder / "tickets.json"
        await asyncio.to_thread(shop.python, "benchmarks.shop.seed", "seed", str(tickets), "20", "100")
        with shop.open():
            await asyncio.to_thread(shop.python, "benchmarks.shop.seed", "tickets", str(tickets), "20")
            figures = await bench._buy(shop, orjson.loads(tickets.read_bytes()), FEW)
            acknowledged = figures.pop("acknowledged")
            assert figures["errors"] == {}
            assert 0 < figures["paid"] <= len(acknowledged), "those of the warm-up are acknowledged, too"
            assert await verify.purchases(shop, acknowledged) == {"verified_orders": len(acknowledged)}
            with pytest.raises(RuntimeError, match=f"1 of {len(acknowledged) + 1} acknowledged orders"):
                await verify.purchases(shop, {*acknowledged, new_ulid()})
        assert shop.audit() == ""


def test_the_page_about_capacity_follows_from_the_results() -> None:
    results = orjson.loads(bench.RESULTS.read_bytes())
    page = capacity.page(results)
    assert capacity.PAGE.read_text() == page, f"run {Path(sys.executable).name} -m benchmarks.shop.capacity"
    split = results["details"]["split-services"]["cpu_us_per_purchase"]
    assert f"| router | {split['router']:,} | {capacity._cores(split['router'])} |" in page
    assert (capacity._cores(600), capacity._cores(601)) == (2, 2)
    assert (capacity._cores(360), capacity._cores(361)) == (1, 2), "1,666 a second at 60 % of a core"
