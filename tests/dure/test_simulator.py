"""The provider's simulator from the command line: scripted faults reach the next orders, and the books still agree."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

from tests.dure.shop import Buyer, ShopProcess, choose, settled, visiting, wish
from tests.support.process import free_port

SCRIPT = """
- {kind: error, path: /v1/billing, code: FAILED_INTERNAL_SYSTEM_PROCESSING}
- {kind: duplicate_webhook}
"""


async def buy(shop: ShopProcess, buyer: Buyer) -> dict[str, Any]:
    """An order, once it is settled."""
    async with visiting(shop.url, buyer) as visitor:
        variant = await choose(visitor)
        placed = await visitor.ask("place_order", input=wish(buyer, variant), key=secrets.token_hex(8))
        return await settled(visitor, placed.data["orderCreate"]["order"]["id"])


async def simulate(shop: ShopProcess, *arguments: str) -> tuple[int, str]:
    ended = await asyncio.to_thread(shop.dure, *arguments)
    return ended.returncode, " ".join((ended.stdout + ended.stderr).split())


async def test_faults_by_command_and_by_file(copied: tuple[ShopProcess, Buyer], tmp_path: Path) -> None:
    """A fault of the provider's own is tried again, a refused card ends the order, a cleared fault never comes."""
    shop, buyer = copied
    await shop.start()
    faults = tmp_path / "faults.yaml"
    faults.write_text(SCRIPT)
    assert await simulate(shop, "simulator", "script", str(faults)) == (0, "2 faults to come")
    tried_again = await buy(shop, buyer)
    assert tried_again["status"] == "PAID"
    assert len(tried_again["payments"][0]["attempts"]) > 1
    refused = ("simulator", "fault", "error", "--path", "/v1/billing", "--code", "REJECT_CARD_COMPANY")
    assert await simulate(shop, *refused) == (0, "")
    assert (await buy(shop, buyer))["status"] == "CANCELED"
    assert await simulate(shop, *refused) == (0, "")
    assert await simulate(shop, "simulator", "clear") == (0, "")
    assert (await buy(shop, buyer))["status"] == "PAID"
    assert await simulate(shop, "reconcile") == (0, "")
    code, told = await simulate(shop, "simulator", "fault", "help")
    assert code == 1
    assert "timeout_after" in told
    code, told = await simulate(shop, "simulator", "deposit", "D-nobody")
    assert code == 1
    assert "refuses" in told


async def test_what_cannot_be_done_says_why(tmp_path: Path) -> None:
    """No shop is running; the file is no list of faults."""
    shop = ShopProcess(tmp_path / "data", {"DURE_PROVIDER_PORT": str(free_port())})
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {kind: error, when: never}")
    code, told = await simulate(shop, "simulator", "script", str(faults))
    assert code == 1
    assert "when" in told
    code, told = await simulate(shop, "simulator", "clear")
    assert code == 1
    assert "dure up" in told
    code, told = await simulate(shop, "simulator", "fault", "error", "--code", "nonsense")
    assert code == 1
    assert "api_error" in told
