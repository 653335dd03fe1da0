"""A process that registers somebody, for a test that kills it at a failpoint."""

from __future__ import annotations

import asyncio
import sys

from tests.subgraphs.users.conftest import open_world


async def main(url: str) -> None:
    async for world in open_world(url):
        await world.register("victim@example.com")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
