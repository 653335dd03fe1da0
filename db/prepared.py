"""Statements made once: whatever the number of rows that they are about, they are not built and compiled anew.

On a server SQLAlchemy runs them. On SQLite, where a statement takes microseconds, its frame around each (contexts,
results, a greenlet) would cost ten times that: there they keep their text and go to the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Delete, Dialect, Row, Select, TextClause, Update
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import result_tuple
from sqlalchemy.ext.asyncio import AsyncConnection

from db.sqlite import writer_of

_DIALECT: Dialect = SQLiteDialect(paramstyle="qmark")


class Prepared:
    """A statement whose values are bound parameters (``bindparam``, ``among``), run in the caller's transaction.

    Raises what ``tx.execute`` raises.
    """

    def __init__(self, statement: Select[Any] | Update | Delete | TextClause) -> None:
        self._statement = statement

    async def rows(self, tx: AsyncConnection, **values: Any) -> Sequence[Any]:
        """The rows (``Row``) that a SELECT finds."""
        writer = writer_of(tx)
        if writer is None:
            return (await tx.execute(self._statement, values)).all()
        here = self._on_sqlite
        return here.as_rows(writer.run(here.text, here.parameters(values))[0])

    async def dicts(self, tx: AsyncConnection, **values: Any) -> list[dict[str, Any]]:
        """The same as dictionaries."""
        writer = writer_of(tx)
        if writer is None:
            found = await tx.execute(self._statement, values)
            names, rows = tuple(found.keys()), found.all()
        else:
            here = self._on_sqlite
            names, rows = here.names, here.converted(writer.run(here.text, here.parameters(values))[0])
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def change(self, tx: AsyncConnection, **values: Any) -> int:
        """How many rows another statement has written or deleted."""
        writer = writer_of(tx)
        if writer is None:
            return (await tx.execute(self._statement, values)).rowcount
        here = self._on_sqlite
        return writer.run(here.text, here.parameters(values))[1]

    async def change_each(self, tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        """The same for the values of each of the rows."""
        writer = writer_of(tx)
        if writer is None:
            await tx.execute(self._statement, list(rows))
        else:
            writer.run_many(self._on_sqlite.text, [self._on_sqlite.parameters(row) for row in rows])

    @cached_property
    def _on_sqlite(self) -> OnSqlite:
        return OnSqlite(self._statement)


class OnSqlite:
    """A statement as SQLite's driver takes it: its text, and what parameters and columns are made with."""

    def __init__(self, statement: Select[Any] | Update | Delete | TextClause) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        given = {name: None for name, each in compiled.binds.items() if each.required}
        state = compiled.construct_expanded_state(given)
        processes = {name: _process(each.type, "bind_processor") for name, each in compiled.binds.items()}
        processes |= {name: process for name, process in state.processors.items() if name not in processes}
        columns = statement.selected_columns.items() if isinstance(statement, Select) else []
        made = [(at, _process(column.type, "result_processor", None)) for at, (_, column) in enumerate(columns)]
        self.text = state.statement
        self.names = tuple(name for name, _ in columns)
        self._parameters = [
            (name if name in given else None, processes.get(name), state.parameters[name])
            for name in state.positiontup or ()
        ]
        self._row = result_tuple(self.names)
        self._convert = [(at, process) for at, process in made if process is not None]

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        """What the driver is given for these values, and for the statement's own."""
        parameters = []
        for name, process, value in self._parameters:
            if name is not None:
                value = values[name]
            parameters.append(value if process is None else process(value))
        return parameters

    def converted(self, found: list[Any]) -> list[Any]:
        """What the driver found, as Python has it."""
        return [self._converted(row) for row in found] if self._convert else found

    def as_rows(self, found: list[Any]) -> list[Row[Any]]:
        """The same as rows with names."""
        return [self._row(row) for row in self.converted(found)]

    def _converted(self, row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for at, process in self._convert:
            values[at] = process(values[at])
        return values


def _process(type_: Any, kind: str, *more: Any) -> Callable[[Any], Any] | None:
    """What makes a value of this type into one of the driver's, or back."""
    process: Callable[[Any], Any] | None = getattr(type_.dialect_impl(_DIALECT), kind)(_DIALECT, *more)
    return process
