"""A process of the race: places the orders that it reads, all at once, and prints their ids."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from typing import Any

import aiohttp

from dure.demo.client import Shop


async def main(url: str, orders: list[tuple[str, dict[str, Any]]]) -> list[str]:
    async with aiohttp.ClientSession() as session:

        async def place(token: str, wish: dict[str, Any]) -> str:
            shop = Shop(url, session)
            shop.log_in(token)
            placed = await shop.ask("place_order", input=wish, key=secrets.token_hex(8))
            return str(placed.data["orderCreate"]["order"]["id"])

        return await asyncio.gather(*(place(*each) for each in orders))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], json.load(sys.stdin)))))
