"""Databases of all subgraphs: created, migrated, filled with demo data."""

from __future__ import annotations

import tempfile

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
