"""A process that sends the texts that are due, for a test that kills it: its provider writes down what it takes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from db.session import Database
from subgraphs.kit.subgraph import utc_now
from subgraphs.users.texts import Texter


class Paper:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, to: str, text: str) -> None:
        with self._path.open("a") as paper:
            paper.write(f"{to}\n")


async def main(url: str, path: str) -> None:
    async with Database(url) as database:
        await Texter(database, Paper(Path(path)), utc_now).send_due()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
