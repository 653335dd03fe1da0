"""Twenty buyers, five units, several processes: exactly five orders, through the whole shop."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.dure.shop import Buyer, ShopProcess, choose, make_buyer, settled, visiting, wish
from tests.dure.test_demo import per_subgraph

pytestmark = pytest.mark.e2e
BUYERS, UNITS, PROCESSES = 20, 5, 4
SET = """
mutation($id: ID!, $now: Int!, $was: Int!) {
  inventorySet(variantId: $id, onHand: $now, compareOnHand: $was, idempotencyKey: "race") { userErrors { code } }
}"""
LEVEL = "query($id: ID!) { productVariant(id: $id) { inventory { onHand reserved allocated } availableQuantity } }"


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.integration),
        pytest.param("mariadb", marks=pytest.mark.integration),
    ]
)
def database(request: pytest.FixtureRequest) -> dict[str, str]:
    """The shop's databases."""
    if request.param == "sqlite":
        return {}
    url = request.getfixturevalue("postgres_url" if request.param == "postgresql" else "mariadb_url")
    return {"DURE_DATABASE_URL": per_subgraph(url)}


async def test_five_of_twenty_buyers_get_the_last_five(tmp_path: Path, database: dict[str, str]) -> None:
    process = ShopProcess(tmp_path, {**database, "DURE_DEMO_PASSWORD": "a demo password"})
    await process.start()
    try:
        buyers = await asyncio.gather(*(make_buyer(process.url) for _ in range(BUYERS)))
        async with visiting(process.url) as operator:
            variant = await choose(operator)
            await leave_only(operator, variant, UNITS)
        orders = [(buyer.token, wish(buyer, variant)) for buyer in buyers]
        placed = await race(process.url, orders)
        statuses = await outcomes(process.url, buyers, placed)
        assert statuses == {"PAID": UNITS, "CANCELED": BUYERS - UNITS}
        async with visiting(process.url) as anyone:
            again = await anyone.ask_text(
                "query($id: ID!) { productVariant(id: $id) { availableQuantity } }", id=variant["id"]
            )
            assert again.data["productVariant"]["availableQuantity"] == 0
        audit = await asyncio.to_thread(process.dure, "audit")
        assert (audit.returncode, audit.stdout) == (0, ""), audit.stderr
    finally:
        await process.stop()


async def leave_only(operator: Any, variant: dict[str, Any], units: int) -> None:
    """The operator counts the shelf: so many units are left."""
    answer = await operator.ask("log_in", email="operator@dure.example", password="a demo password")
    operator.log_in(answer.data["tokenCreate"]["tokens"]["accessToken"])
    level = (await operator.ask_text(LEVEL, id=variant["id"])).data["productVariant"]["inventory"]
    await operator.ask_text(SET, id=variant["id"], now=units, was=level["onHand"])


async def race(url: str, orders: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Place the orders from several processes at once; their ids in order."""
    shares = [orders[number::PROCESSES] for number in range(PROCESSES)]
    runs = await asyncio.gather(*(asyncio.to_thread(_child, url, share) for share in shares))
    ids = [""] * len(orders)
    for number, found in enumerate(runs):
        ids[number::PROCESSES] = found
    return ids


def _child(url: str, share: list[tuple[str, dict[str, Any]]]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.dure.racer", url],
        input=json.dumps(share),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    found: list[str] = json.loads(done.stdout)
    return found


async def outcomes(url: str, buyers: list[Buyer], placed: list[str]) -> Counter[str]:
    """How many orders ended how."""

    async def one(buyer: Buyer, order_id: str) -> str:
        async with visiting(url, buyer) as shop:
            return str((await settled(shop, order_id))["status"])

    return Counter(await asyncio.gather(*(one(*each) for each in zip(buyers, placed, strict=True))))
