"""Statements of the hot paths, compiled once whatever the number of their rows.

SQLAlchemy compiles a statement anew for every length of a list in it, and goes through every parameter of every row
in Python. Here the statement is made once for a table and its columns, and values go to the driver as they are; only
types that change them (instants, JSON, sealed texts) are asked. On PostgreSQL rows travel as an array a column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    Dialect,
    String,
    Table,
    Text,
    bindparam,
    insert,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlalchemy.types import TypeDecorator, TypeEngine

from db.prepared import Prepared
from db.sqlite import writer_of

Row = Mapping[str, Any]
_Processor = Callable[[Any], Any]

_ROWCOUNT = {"preserve_rowcount": True}


async def insert_rows(tx: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows, which all have the columns of the first one."""
    if rows:
        await _statement(_insert, tx, table, tuple(rows[0])).run(tx, rows)


async def insert_new_rows(tx: AsyncConnection, table: Table, rows: Sequence[Row]) -> int:
    """Insert those rows whose keys are not there yet; how many (PostgreSQL and SQLite). A row that another transaction
    is inserting is waited for."""
    return await _statement(_insert_new, tx, table, tuple(rows[0])).run(tx, rows) if rows else 0


async def update_rows(
    tx: AsyncConnection,
    table: Table,
    rows: Sequence[Row],
    *,
    where: Sequence[str],
    bump: str | None = None,
    add: str | None = None,
) -> None:
    """Give the rows that are named by the columns ``where`` their other values. ``bump``: a counter to count on by one;
    ``add``: the column to which its value is added. A row must not be named twice."""
    if rows:
        make = _updating(bump, add)
        await _statement(make, tx, table, (*where, *(name for name in rows[0] if name not in where)), len(where)).run(
            tx, rows
        )


async def insert_new_keys(tx: AsyncConnection, table: Table, keys: Sequence[str], same: Row) -> int:
    """Insert rows that differ in their key only (``same``: all the rest), unless they are there; how many (PostgreSQL
    and SQLite). A row that another transaction is inserting is waited for."""
    return await _keyed(table, tx.dialect.name, tuple(same)).change(tx, keys=keys, **same)


@cache
def _keyed(table: Table, dialect: str, same: tuple[str, ...]) -> Prepared:
    (key,) = table.primary_key.columns
    each = "value FROM json_each(:keys) WHERE true" if dialect == "sqlite" else "unnest(:keys)"
    given = ", ".join(f":{name}" for name in same)
    rows = f"SELECT {given}, {each}"
    types = [bindparam(name, type_=table.c[name].type) for name in same]
    statement = text(f"INSERT INTO {table.name} ({', '.join(same)}, {key.name}) {rows} ON CONFLICT DO NOTHING")
    bound = statement.bindparams(bindparam("keys", type_=_Values(key.type)), *types)
    return Prepared(bound.execution_options(**_ROWCOUNT))


class _Statement(NamedTuple):
    """``arrays``: one parameter a column instead of one a value."""

    sql: str
    values: Callable[[Row], tuple[Any, ...]]
    processors: tuple[tuple[int, _Processor], ...]
    constants: Row
    arrays: bool

    async def run(self, tx: AsyncConnection, rows: Sequence[Row]) -> int:
        given = [{**self.constants, **row} for row in rows] if self.constants else rows
        values = list(map(self.values, given))
        if self.processors:
            values = [self._processed(each) for each in values]
        parameters: Any = tuple(map(list, zip(*values, strict=True))) if self.arrays else values
        writer = writer_of(tx)
        if writer is not None:
            return writer.run_many(self.sql, parameters)
        return (await tx.exec_driver_sql(self.sql, parameters, _ROWCOUNT)).rowcount

    def _processed(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        changed = list(values)
        for index, process in self.processors:
            changed[index] = process(changed[index])
        return tuple(changed)


_Make = Callable[[Dialect, Table, tuple[str, ...], int], _Statement]
_made: dict[tuple[_Make, str, Table, tuple[str, ...], int], _Statement] = {}


def _statement(make: _Make, tx: AsyncConnection, table: Table, names: tuple[str, ...], keys: int = 0) -> _Statement:
    known = (make, tx.dialect.name, table, names, keys)
    found = _made.get(known)
    if found is None:
        found = _made[known] = make(tx.dialect, table, names, keys)
    return found


def _insert(dialect: Dialect, table: Table, names: tuple[str, ...], _keys: int) -> _Statement:
    return _inserting(dialect, table, names, insert(table), "")


def _insert_new(dialect: Dialect, table: Table, names: tuple[str, ...], _keys: int) -> _Statement:
    build: Any = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    return _inserting(dialect, table, names, build(table).on_conflict_do_nothing(), " ON CONFLICT DO NOTHING")


def _inserting(dialect: Dialect, table: Table, names: tuple[str, ...], statement: Any, ending: str) -> _Statement:
    defaults = {column.name: column.default for column in table.columns if column.name not in names}
    constants = {name: given.arg for name, given in defaults.items() if isinstance(given, ScalarElementColumnDefault)}
    names = (*names, *constants)
    if _fits_arrays(dialect, table, names):
        quote = dialect.identifier_preparer.quote
        columns = ", ".join(map(quote, names))
        into = f"INSERT INTO {dialect.identifier_preparer.format_table(table)} ({columns})"
        return _of(dialect, table, names, f"{into} SELECT * FROM {_unnest(dialect, table, names)}{ending}", constants)
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    return _of(dialect, table, tuple(compiled.positiontup), str(compiled), constants, arrays=False)


@cache
def _updating(bump: str | None, add: str | None) -> _Make:
    return lambda dialect, table, names, keys: _update(dialect, table, names, keys, bump, add)


def _update(
    dialect: Dialect, table: Table, names: tuple[str, ...], keys: int, bump: str | None, add: str | None
) -> _Statement:
    quote = dialect.identifier_preparer.quote
    name = dialect.identifier_preparer.format_table(table)

    def setting(value_of: Callable[[str], str]) -> str:
        before = {add: f"{name}.{quote(add)} + "} if add else {}
        values = [f"{quote(each)} = {before.get(each, '')}{value_of(each)}" for each in names[keys:]]
        return ", ".join(values + ([f"{quote(bump)} = {name}.{quote(bump)} + 1"] if bump else []))

    if _fits_arrays(dialect, table, names):
        new = f"{_unnest(dialect, table, names)} AS new ({', '.join(map(quote, names))})"
        where = " AND ".join(f"{name}.{quote(each)} = new.{quote(each)}" for each in names[:keys])
        sql = f"UPDATE {name} SET {setting(lambda each: f'new.{quote(each)}')} FROM {new} WHERE {where}"
        return _of(dialect, table, names, sql, {})
    ordered = (*names[keys:], *names[:keys])
    marks = {each: _mark(dialect, index, table.c[each].type) for index, each in enumerate(ordered)}
    where = " AND ".join(f"{quote(each)} = {marks[each]}" for each in names[:keys])
    sql = f"UPDATE {name} SET {setting(marks.__getitem__)} WHERE {where}"
    return _of(dialect, table, ordered, sql, {}, arrays=False)


def _of(
    dialect: Dialect, table: Table, names: tuple[str, ...], sql: str, constants: Row, *, arrays: bool = True
) -> _Statement:
    pick: Any = itemgetter(*names)
    processors = [
        (index, process)
        for index, name in enumerate(names)
        if (process := table.c[name].type.dialect_impl(dialect).bind_processor(dialect))
    ]
    values = pick if len(names) > 1 else lambda row: (pick(row),)
    return _Statement(sql, values, tuple(processors), constants, arrays)


def _fits_arrays(dialect: Dialect, table: Table, names: Sequence[str]) -> bool:
    """Drivers take arrays of plain types; JSON goes a row at a time."""
    return dialect.name == "postgresql" and not any(isinstance(table.c[name].type, JSON) for name in names)


def _unnest(dialect: Dialect, table: Table, names: Sequence[str]) -> str:
    marks = (f"{_mark(dialect, index, table.c[name].type)}[]" for index, name in enumerate(names))
    return f"unnest({', '.join(marks)})"


def _mark(dialect: Dialect, index: int, type: TypeEngine[Any]) -> str:
    if dialect.name == "postgresql":
        return f"${index + 1}::{_unbounded(type).compile(dialect=dialect)}"
    return "?" if dialect.name == "sqlite" else "%s"


def _unbounded(type: TypeEngine[Any]) -> TypeEngine[Any]:
    """Casting to a text of limited length would cut it; without a limit the column refuses what is too long."""
    return Text() if isinstance(type, String) else type


class _Values(TypeDecorator[Any]):
    """A list in one parameter: an array on PostgreSQL, JSON on SQLite."""

    impl = JSON
    cache_ok = True

    def __init__(self, of: TypeEngine[Any]) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.ARRAY(_unbounded(self.of)))
        return dialect.type_descriptor(self.of)

    def bind_processor(self, dialect: Dialect) -> _Processor | None:
        if dialect.name == "postgresql":
            return list
        return lambda values: orjson.dumps(list(values)).decode()


class among(FunctionElement[bool]):  # noqa: N801
    """``column IN (the list given as parameter name)``, of texts or numbers: one statement for lists of any length."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        super().__init__(column, bindparam(name, type_=_Values(column.type)))

    def self_group(self, against: Any = None) -> Any:
        """Itself, always: SQLAlchemy would compare it with 1 on SQLite, which then could use no index."""
        return self


@compiles(among)
def _among(element: Any, compiler: Any, **kw: Any) -> str:
    column, values = element.clauses
    if compiler.dialect.name == "sqlite":
        return f"({compiler.process(column, **kw)} IN (SELECT value FROM json_each({compiler.process(values, **kw)})))"
    if compiler.dialect.name == "postgresql":
        return f"({compiler.process(column, **kw)} = ANY ({compiler.process(values, **kw)}))"
    text: str = compiler.process(column.in_(bindparam(values.key, expanding=True)), **kw)
    return text
