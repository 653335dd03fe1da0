"""Rows for resolvers, in batches: a loader collects the keys that one moment asks for, and reads once."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from aiodataloader import DataLoader
from sqlalchemy import Row

from db.reads import Read
from db.session import Database


class OneRow(DataLoader[str, Any]):
    """For each key the row of ``read`` (``db.reads.by_key``), or None. ``values``: its other parameters."""

    def __init__(self, database: Database, read: Read, **values: Any) -> None:
        super().__init__(max_batch_size=1000)
        self._database, self._read, self._values = database, read, values

    async def batch_load_fn(self, keys: list[str]) -> list[Any]:
        rows = await self._read.rows(self._database, keys=keys, **self._values)
        found = {row.loader_key: row for row in rows}
        return [found.get(key) for key in keys]


class ManyRows(DataLoader[str, list[Row[Any]]]):
    """For each key all rows that the read has for it, in their order."""

    def __init__(self, database: Database, read: Read, **values: Any) -> None:
        super().__init__(max_batch_size=1000)
        self._database, self._read, self._values = database, read, values

    async def batch_load_fn(self, keys: list[str]) -> list[list[Row[Any]]]:
        found: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in await self._read.rows(self._database, keys=keys, **self._values):
            found[row.loader_key].append(row)
        return [found.get(key, []) for key in keys]
