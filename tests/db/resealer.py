"""A process that changes the key of a table, for a test that kills it at a failpoint."""

from __future__ import annotations

import asyncio
import sys

from db.resealing import reseal
from db.session import Database
from tests.db.test_resealing import metadata


async def main(url: str) -> None:
    async with Database(url) as database:
        async for _ in reseal(database, metadata):
            pass


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
