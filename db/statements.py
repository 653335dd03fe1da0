"""The few statements that the three databases spell differently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, func, literal_column, or_, select, text
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_new_keys, insert_new_rows
from db.ids import new_ulid

Row = Mapping[str, Any]

_MYSQL_DUPLICATE = 1062


async def insert_ignore(tx: AsyncConnection, table: Table, rows: Sequence[Row]) -> int:
    """Insert the rows whose keys are not there yet; the number inserted. A row that another transaction is inserting
    is waited for."""
    if not rows:
        return 0
    if tx.dialect.name in ("postgresql", "sqlite"):
        return await insert_new_rows(tx, table, rows)
    # ON DUPLICATE KEY UPDATE would count the rows found too: the drivers ask for matched, not for changed rows.
    statement = mysql.insert(table).prefix_with("IGNORE").execution_options(preserve_rowcount=True)
    result = await tx.execute(statement, list(rows))
    await _raise_what_ignore_hides(tx)
    return result.rowcount


async def _raise_what_ignore_hides(tx: AsyncConnection) -> None:
    """IGNORE passes over duplicate keys, as it should, but also over cut texts, missing values, broken references."""
    for _, number, message in await tx.execute(text("SHOW WARNINGS")):
        if number != _MYSQL_DUPLICATE:
            raise IntegrityError("INSERT IGNORE", None, Exception(number, message))


async def claim_keys(tx: AsyncConnection, table: Table, keys: Iterable[str], same: Row) -> set[str]:
    """Insert a row for each key that has none (``same``: its other values but ``claim``, by which a claimer tells its
    own rows from others'); those keys. One that another transaction is claiming is waited for: claimed here if that
    one rolls back."""
    # Sorted, so that two transactions with the same keys wait for one another in one direction only.
    wanted = sorted(set(keys))
    if not wanted:
        return set()
    (key,) = table.primary_key.columns
    row = {"claim": new_ulid(), **same}
    if tx.dialect.name in ("postgresql", "sqlite"):
        inserted = await insert_new_keys(tx, table, wanted, row)
    else:
        inserted = await insert_ignore(tx, table, [{key.name: each, **row} for each in wanted])
    if inserted == len(wanted):
        return set(wanted)
    return set((await tx.execute(_claimed(table), {"keys": wanted, "mine": row["claim"]})).scalars())


@cache
def _claimed(table: Table) -> Select[Any]:
    (key,) = table.primary_key.columns
    return select(key).where(among(key, "keys"), table.c.claim == bindparam("mine"))


async def upsert(tx: AsyncConnection, table: Table, rows: Sequence[Row], *, newer_by: str | None = None) -> None:
    """Insert the rows or, by primary key, replace what is there.

    With ``newer_by`` a row is replaced only by one whose value in that column is greater, so that events that arrive
    late or twice never set a copy back. A key must not stand twice in ``rows``.
    """
    if not rows:
        return
    keys = [column.name for column in table.primary_key.columns]
    names = [name for name in rows[0] if name not in keys]
    dialect = tx.dialect.name
    if dialect in ("postgresql", "sqlite"):
        build: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
        statement = build(table)
        guard = statement.excluded[newer_by] > table.c[newer_by] if newer_by else None
        changes = {name: statement.excluded[name] for name in names}
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changes, where=guard)
    else:
        statement = mysql.insert(table)
        # MySQL assigns from left to right: the column compared must change last.
        ordered = [name for name in names if name != newer_by] + ([newer_by] if newer_by else [])
        changes = {name: _mysql_newer(statement, table, name, newer_by) for name in ordered}
        statement = statement.on_duplicate_key_update(list(changes.items()))
    await tx.execute(statement, list(rows))


def _mysql_newer(statement: mysql.Insert, table: Table, name: str, newer_by: str | None) -> ColumnElement[Any]:
    new: ColumnElement[Any] = statement.inserted[name]
    if newer_by is None:
        return new
    return func.if_(statement.inserted[newer_by] > table.c[newer_by], new, table.c[name])


def skip_locked(statement: Select[Any]) -> Select[Any]:
    """Lock the selected rows, passing over those that others hold. SQLite, with its one writer, needs no lock."""
    return statement.with_for_update(skip_locked=True)


def after(
    columns: Sequence[ColumnElement[Any]], values: Sequence[Any], *, descending: bool = False
) -> ColumnElement[bool]:
    """Rows that come after ``values`` in the order of ``columns`` (keyset pagination), all in one direction."""
    steps = []
    for index, (column, value) in enumerate(zip(columns, values, strict=True)):
        earlier = [c == v for c, v in zip(columns[:index], values[:index], strict=True)]
        steps.append(and_(*earlier, column < value if descending else column > value))
    return or_(*steps)


async def answers(connection: AsyncConnection) -> bool:
    """Whether the database answers (readiness)."""
    return (await connection.execute(select(literal_column("1")))).scalar_one() == 1
