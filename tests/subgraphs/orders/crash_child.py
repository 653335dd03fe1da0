"""A process to be killed: ``python -m tests.subgraphs.orders.crash_child URL place|answer|cancel [ORDER]``."""

from __future__ import annotations

import asyncio
import json
import sys

from subgraphs.kit.ids import global_id
from tests.subgraphs.orders.conftest import ORDER_CREATE, Clock, open_shop
from tests.subgraphs.orders.test_steps import CANCEL, steps_to_paid


async def main(url: str, what: str, buyer: str, order_id: str, input: str) -> None:
    shop = await open_shop(url, Clock())
    if what == "place":
        answer = await shop.ask(ORDER_CREATE, buyer, input=json.loads(input), key="the key")
        assert answer["data"]["orderCreate"]["userErrors"] == [], answer
    elif what == "answer":
        for number, event in enumerate(steps_to_paid(shop, order_id)):
            await shop.tell_together([event], ids=[f"{order_id}-{number}"])
    else:
        await shop.ask(CANCEL, buyer, id=global_id("Order", order_id), why="changed my mind")
    await shop.runtime.database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6]))
