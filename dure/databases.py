"""Databases of all subgraphs: created, migrated, filled with demo data."""

from __future__ import annotations

import asyncio
import tempfile

from sqlalchemy import column, select, table

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
    """Until no outbox holds an event that has not left (or ``within`` seconds have passed): what one subgraph knows of
    the demo's data, the others know then, too."""
    deadline = asyncio.get_running_loop().time() + within
    for name in subgraphs.ALL:
        async with open_database(settings, name) as database:
            while await _untold(database) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def _untold(database: Database) -> bool:
    outbox = table("outbox", column("position"), column("published_at"))
    async with database.read() as connection:
        query = select(outbox.c.position).where(outbox.c.published_at.is_(None)).limit(1)
        return (await connection.execute(query)).first() is not None
