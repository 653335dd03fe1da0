"""Databases of all subgraphs: created, migrated, filled with demo data."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack

from sqlalchemy import column, func, select, table

from db.migrate import create_database, upgrade
from db.migrate import revise as write_revision
from db.session import Database
from dure import subgraphs
from dure.errors import StartError
from dure.progress import step
from dure.settings import Settings


async def migrate(settings: Settings) -> None:
    """Bring every subgraph's database to its newest revision."""
    for name, entry in subgraphs.ALL.items():
        url = settings.database_of(name)
        with step(f"migrating {name}"):
            await create_database(url)
            await upgrade(url, entry.migrations)


def open_database(settings: Settings, name: str) -> Database:
    """A subgraph's database as this process uses it."""
    return Database(settings.database_of(name), settings.replica_of(name), pool_size=settings.pool_size)


async def revise(name: str, message: str) -> None:
    """Write a new revision of a subgraph's history, compared with a database that has all revisions so far."""
    entry = subgraphs.ALL.get(name)
    if entry is None:
        raise StartError(f"no subgraph {name!r}; there are {', '.join(subgraphs.ALL)}")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/{name}.sqlite"
        await upgrade(url, entry.migrations)
        await write_revision(url, entry.migrations, message)


async def until_told(settings: Settings, within: float = 60) -> None:
    """Until every event of a first start was handled by all who consume it (or ``within`` seconds have passed): what
    one subgraph knows of the demo's data, the others know then, too."""
    deadline = asyncio.get_running_loop().time() + within
    async with AsyncExitStack() as stack:
        opened = {name: await stack.enter_async_context(open_database(settings, name)) for name in subgraphs.ALL}
        while not await _all_told(opened) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def _all_told(databases: Mapping[str, Database]) -> bool:
    told: Counter[str] = Counter()
    taken: dict[str, int] = {}
    outbox, inbox, dead = table("outbox", column("type")), table("inbox"), table("dead_letters")
    for name, database in databases.items():
        async with database.read() as connection:
            for row in await connection.execute(select(outbox.c.type, func.count()).group_by(outbox.c.type)):
                told[row[0]] += row[1]
            counts = [select(func.count()).select_from(each) for each in (inbox, dead)]
            taken[name] = sum([(await connection.execute(query)).scalar_one() for query in counts])
    return all(
        taken[name] >= sum(told[event.type] for event in entry.consumes) for name, entry in subgraphs.ALL.items()
    )
