"""Logging out everywhere, seen through the whole shop."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dure.demo.client import Unexpected
from tests.dure.shop import Buyer, ShopProcess, choose, visiting, wish

pytestmark = pytest.mark.e2e

EVERYWHERE = "mutation { sessionsRevokeAll { userErrors { code } } }"


async def test_open_subscriptions_end_within_a_second_and_the_token_with_them(
    copied: tuple[ShopProcess, Buyer],
) -> None:
    process, buyer = copied
    await process.start()
    async with visiting(process.url, buyer) as shop, visiting(process.url, buyer) as elsewhere:
        order = wish(buyer, await choose(shop))
        placed = await shop.ask("place_order", input=order, key=secrets.token_hex(16))
        events = elsewhere.watch("watch_order", id=placed.data["orderCreate"]["order"]["id"])
        await anext(events)
        await shop.ask_text(EVERYWHERE)
        async with asyncio.timeout(1):
            with pytest.raises(Unexpected, match="UNAUTHENTICATED"):
                await _to_the_end(events)
        with pytest.raises(Unexpected, match="session has ended"):
            await elsewhere.ask_text("{ me { id } }")


async def _to_the_end(events: AsyncIterator[Any]) -> None:
    async for _ in events:
        continue
