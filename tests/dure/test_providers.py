"""A whole shop whose payments Stripe takes: from a card to PAID, through the graph."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.dure.shop import Buyer, ShopProcess, make_buyer
from tests.dure.test_simulator import buy, simulate


async def test_a_shop_that_sells_through_stripe(prepared: tuple[Path, Buyer], tmp_path: Path) -> None:
    """A purchase is paid, a declined card ends an order, an answer that is lost is found by asking; the books agree."""
    folder = Path(shutil.copytree(prepared[0], tmp_path / "data"))
    shop = ShopProcess(folder, {"DURE_PAYMENTS_PROVIDER": "stripe"})
    await shop.start()
    try:
        buyer = await make_buyer(shop.url)
        paid = await buy(shop, buyer)
        assert paid["status"] == "PAID"
        assert [step["status"] for step in paid["steps"]] == ["DONE"] * 4
        assert (paid["payments"][0]["status"], len(paid["payments"][0]["attempts"])) == ("DONE", 1)
        declined = ("simulator", "fault", "error", "--path", "/confirm", "--code", "insufficient_funds")
        assert await simulate(shop, *declined) == (0, "")
        assert (await buy(shop, buyer))["status"] == "CANCELED"
        assert await simulate(shop, "simulator", "fault", "error_after", "--path", "/confirm") == (0, "")
        found = await buy(shop, buyer)
        assert (found["status"], len(found["payments"][0]["attempts"])) == ("PAID", 1)
        assert await simulate(shop, "reconcile") == (0, "")
    finally:
        await shop.stop()
    assert await simulate(shop, "audit") == (0, "")
