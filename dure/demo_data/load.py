"""Puts the demo's data into the subgraphs' own tables, each subgraph in one transaction, and announces it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from db.statements import insert_ignore
from dure.databases import open_database
from dure.demo_data import rows
from dure.progress import step
from dure.settings import Settings

CHUNK = 200
Fill = Callable[[AsyncConnection], Awaitable[None]]


async def load(settings: Settings) -> bool:
    """Load what is not there yet; whether anything was missing. A subgraph that has its part is left alone."""
    loaded = False
    for name, (marker, marker_id, fill) in _parts(settings.demo_password.get_secret_value()).items():
        database = open_database(settings, name)
        try:
            if not await _has(database, marker, marker_id):
                with step(f"demo data for {name}"):
                    await database.run(fill)
                loaded = True
        finally:
            await database.close()
    return loaded


async def _has(database: Database, marker: Table, marker_id: str) -> bool:
    async with database.read() as connection:
        query = select(marker.c.id).where(marker.c.id == marker_id)
        return (await connection.execute(query)).first() is not None


def _parts(password: str) -> Mapping[str, tuple[Table, str, Fill]]:
    """For each subgraph: a row that is there once its part is, and what fills it."""
    return {
        "users": (*rows.users_marker(), _filler(lambda: rows.users(password), rows.announce_users)),
        "delivery": (*rows.delivery_marker(), _filler(rows.delivery, rows.announce_delivery)),
        "products": (*rows.products_marker(), _filler(rows.products, rows.announce_products)),
        "funding": (*rows.funding_marker(), _filler(rows.funding, rows.announce_funding)),
    }


def _filler(tables: Callable[[], rows.Tables], announce: Fill) -> Fill:
    async def fill(tx: AsyncConnection) -> None:
        for table, each in tables():
            for start in range(0, len(each), CHUNK):
                await insert_ignore(tx, table, each[start : start + CHUNK])
        await announce(tx)

    return fill
