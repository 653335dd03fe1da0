"""A process to be killed: ``python -m tests.subgraphs.orders.crash_child URL WHAT BUYER ORDER INPUT``."""

from __future__ import annotations

import asyncio
import json
import sys

from sqlalchemy import select

from subgraphs.kit.ids import global_id
from subgraphs.orders import models
from tests.subgraphs.orders.conftest import ORDER_CREATE, Clock, Shop, open_shop
from tests.subgraphs.orders.test_returns import Delivered
from tests.subgraphs.orders.test_steps import CANCEL, steps_to_paid


async def main(url: str, what: str, buyer: str, order_id: str, input: str) -> None:
    shop = await open_shop(url, Clock())
    if what == "place":
        answer = await shop.ask(ORDER_CREATE, buyer, input=json.loads(input), key="the key")
        assert answer["data"]["orderCreate"]["userErrors"] == [], answer
    elif what == "answer":
        for number, event in enumerate(steps_to_paid(shop, order_id)):
            await shop.tell_together([event], ids=[f"{order_id}-{number}"])
    elif what in ("return", "receive"):
        await bring_back(shop, what, buyer, order_id)
    else:
        await shop.ask(CANCEL, buyer, id=global_id("Order", order_id), why="changed my mind")
    await shop.runtime.database.close()


async def bring_back(shop: Shop, what: str, buyer: str, order_id: str) -> None:
    """Ask for the return of the order's first line; or approve and receive what was asked for."""
    query = select(models.order_lines.c.id).where(models.order_lines.c.order_id == order_id)
    async with shop.runtime.database.read() as connection:
        first, second = (await connection.execute(query.order_by(models.order_lines.c.position))).scalars()
    order = Delivered(shop, order_id, global_id("OrderLine", first), global_id("OrderLine", second))
    asked = (await order.request(key="the return", user=buyer))["return"]
    if what == "receive":
        await order.decide(asked["id"])
        assert (await order.receive(asked["id"]))["userErrors"] == []


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6]))
