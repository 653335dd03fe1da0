"""Reads that pages are made of: a SELECT made once, asked any number of times with other values.

Building a statement, finding its compiled form and taking a connection cost twenty times what SQLite takes to answer by
key. So on SQLite a read keeps its text and is run where it is asked for, on a connection of its own, before anything
else happens; what turns out not to be quick goes the usual way (``db.sqlite``), as everything does on a server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Row, Select, event

from db.bulk import among
from db.driver import sqlite3
from db.prepared import OnSqlite
from db.session import Database
from db.sqlite import STEPS_HERE

KEYS = "keys"
"""The parameter of a read by key: a list."""

KEY = "loader_key"
"""The column that says which key a row is for."""

SLOW_SECONDS = 1.0
"""A read that was not quick is not tried for so long, for as many keys: next time there may be less to read."""


class Read:
    """A SELECT whose values are bound parameters (``bindparam``, ``among``)."""

    def __init__(self, query: Select[Any]) -> None:
        self._query = query
        self._slow_from = 0
        self._slow_until = 0.0

    async def rows(self, database: Database, **values: Any) -> Sequence[Row[Any]]:
        """The rows for these values of the parameters. Raises what a statement in ``Database.read`` raises."""
        if database.dialect == "sqlite" and self.is_quick(len(values.get(KEYS, ()))):
            found = self._at_once(_CONNECTIONS.get(database) or await _connect(database), values)
            if found is not None:
                return found
        async with database.read() as connection:
            return list(await connection.execute(self._query, values))

    def is_quick(self, keys: int) -> bool:
        """Whether it is worth trying, for so many keys, on SQLite."""
        return keys < self._slow_from or time.monotonic() >= self._slow_until

    def _at_once(self, connection: _Connection, values: dict[str, Any]) -> Sequence[Row[Any]] | None:
        """None: it was not quick, or SQLite could not, now; it is to be asked the usual way."""
        here = self._on_sqlite
        try:
            return here.as_rows(connection.ask(here.text, here.parameters(values)))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname == "SQLITE_INTERRUPT":
                self._slow_from = len(values.get(KEYS, ()))
                self._slow_until = time.monotonic() + SLOW_SECONDS
            return None

    @cached_property
    def _on_sqlite(self) -> OnSqlite:
        return OnSqlite(self._query)


def by_key(query: Select[Any], key: ColumnElement[Any]) -> Read:
    """The rows of ``query`` that have one of the KEYS in this column, and which of them (``KEY``)."""
    return Read(query.add_columns(key.label(KEY)).where(among(key, KEYS)))


class _Connection(sqlite3.Connection):
    """For quick reads alone: each has ended before anything else happens, so none is ever in another's way."""

    _calls = 0

    def ask(self, text: str, parameters: Sequence[Any]) -> list[Any]:
        self._calls = 0
        return self.execute(text, parameters).fetchall()

    def enough(self) -> bool:
        """SQLite counts a statement's steps on from one execution to the next: the first call says nothing."""
        self._calls += 1
        return self._calls > 1


_CONNECTIONS: WeakKeyDictionary[Database, _Connection] = WeakKeyDictionary()


async def _connect(database: Database) -> _Connection:
    """The database's own connection for quick reads, closed with its engine."""
    engine = database._reader.sync_engine
    arguments, options = engine.dialect.create_connect_args(engine.url)
    made = await asyncio.to_thread(_open, *arguments, **options)
    kept = _CONNECTIONS.setdefault(database, made)
    if kept is not made:
        made.close()
        return kept

    def close(_engine: Any) -> None:
        _CONNECTIONS.pop(database, None)
        made.close()

    event.listen(engine, "engine_disposed", close, once=True)
    return made


def _open(*arguments: Any, **options: Any) -> _Connection:
    given = options | {"timeout": 0, "isolation_level": None, "check_same_thread": False}
    made = sqlite3.connect(*arguments, factory=_Connection, cached_statements=512, **given)
    made.execute("PRAGMA temp_store=MEMORY")
    made.set_progress_handler(made.enough, STEPS_HERE)
    return made
