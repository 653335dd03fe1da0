"""``dure keys``: making the keys that seal personal data, changing them, and seeing which are still needed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

from sqlalchemy import MetaData, Table, func, select

from db import resealing, vault
from dure import subgraphs
from dure.databases import open_database
from dure.errors import StartError
from dure.settings import Settings
from messaging.events import CATALOGUE

EVENTS = {"outbox": "data", "dead_letters": "payload"}
"""Tables of events, and the column with what was told."""


def with_new_key() -> str:
    """The value of ``DURE_DATA_KEYS`` with a new key first: it seals from now on, the others still open."""
    present = vault.VaultSettings().data_keys.get_secret_value()  # type: ignore[call-arg]  # from the environment
    numbers = [int(name[1:]) for name in ring().names if re.fullmatch(r"k\d{1,9}", name)]
    return f"k{max(numbers, default=0) + 1}:{vault.new_key()},{present}"


async def rotate(settings: Settings) -> AsyncIterator[tuple[str, str, int]]:
    """Seal everything under the first key: subgraph, table and number of rows of each batch, committed.

    Killed at any moment it is simply run again.
    """
    ring()
    for name in subgraphs.ALL:
        database = open_database(settings, name)
        try:
            async for table, count in resealing.reseal(database, _metadata(name)):
                yield name, table, count
        finally:
            await database.close()


async def usage(settings: Settings) -> tuple[Counter[str], Counter[str]]:
    """How many stored values and how many kept events each key seals; ``?``: values that none of ours opens."""
    names = ring().names
    values: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for name in subgraphs.ALL:
        database = open_database(settings, name)
        try:
            values += await resealing.usage(database, _metadata(name))
            async with database.read() as connection:
                for table, column in EVENTS.items():
                    for key in names:
                        query = _sealed_events(_metadata(name).tables[table], column, key)
                        events[key] += (await connection.execute(query)).scalar_one()
        finally:
            await database.close()
    return values, +events


def _sealed_events(table: Table, column: str, key: str) -> Any:
    personal = sorted(type for type, payload in CATALOGUE.items() if payload.personal)
    sealed_with_it = table.c[column].contains(f'"{key}.', autoescape=True)
    return select(func.count()).select_from(table).where(table.c.type.in_(personal), sealed_with_it)


def ring() -> vault.KeyRing:
    """The keys of the environment. Raises StartError when they cannot be used."""
    try:
        return vault.ring()
    except vault.BadKeys as error:
        raise StartError(f"DURE_DATA_KEYS, DURE_INDEX_KEY: {error}") from None


def _metadata(name: str) -> MetaData:
    metadata: MetaData = import_module(f"subgraphs.{name}.models").Base.metadata
    return metadata
