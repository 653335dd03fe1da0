"""Changing the key of what is sealed, in batches, while the shop runs; and sealing what older versions wrote plain."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    and_,
    bindparam,
    column,
    func,
    or_,
    select,
    type_coerce,
)
from sqlalchemy import table as light_table
from sqlalchemy.sql import ColumnElement

from db import vault
from db.failpoints import failpoint
from db.sealed import Sealed
from db.session import Database
from db.statements import after

BATCH = 200


def sealed_columns(table: Table) -> list[Column[Any]]:
    """The columns of a table that are sealed."""
    return [each for each in table.columns if isinstance(each.type, Sealed)]


async def reseal(database: Database, metadata: MetaData) -> AsyncIterator[tuple[str, int]]:
    """Seal under the first key whatever is sealed with another: table and number of rows of each batch, committed.

    It may be stopped or killed at any moment and begun again: rows that are done are passed over. A value that is
    changed meanwhile is left as it was changed.
    """
    for table in metadata.sorted_tables:
        columns = sealed_columns(table)
        last: Sequence[Any] | None = None
        while columns:
            rows = await _outdated(database, table, columns, last)
            if not rows:
                break
            await _reseal_rows(database, table, columns, rows)
            failpoint("keys.rotate.after_batch")
            yield table.name, len(rows)
            last = [getattr(rows[-1], key.name) for key in table.primary_key.columns]


async def usage(database: Database, metadata: MetaData) -> Counter[str]:
    """How many values are sealed with each of our keys, and ``?`` with none of them."""
    names = vault.ring().names
    found: Counter[str] = Counter()
    async with database.read() as connection:
        for table in metadata.sorted_tables:
            for each in sealed_columns(table):
                raw = type_coerce(each, Text())
                total = (await connection.execute(select(func.count()).where(raw.is_not(None)))).scalar_one()
                for name in names:
                    query = select(func.count()).where(raw.startswith(f"{name}.", autoescape=True))
                    count = (await connection.execute(query)).scalar_one()
                    found[name] += count
                    total -= count
                found["?"] += total
    return +found


async def _outdated(
    database: Database, table: Table, columns: Sequence[Column[Any]], last: Sequence[Any] | None
) -> Sequence[Any]:
    keys = list(table.primary_key.columns)
    raw = [type_coerce(each, Text()).label(each.name) for each in columns]
    current = f"{vault.ring().current}."
    old: ColumnElement[bool] = or_(
        *(type_coerce(each, Text()).not_like(f"{current}%") for each in columns)  # null stays null: not old
    )
    query = select(*keys, *raw).where(old).order_by(*keys).limit(BATCH)
    if last is not None:
        query = query.where(after(keys, last))
    async with database.read() as connection:
        rows: Sequence[Any] = (await connection.execute(query)).all()
    return rows


async def _reseal_rows(database: Database, table: Table, columns: Sequence[Column[Any]], rows: Sequence[Any]) -> None:
    ring = vault.ring()
    keys = list(table.primary_key.columns)

    async def work(tx: Any) -> None:
        for each in columns:
            was = type_coerce(each, Text()) == bindparam("b_was", type_=Text())
            same = and_(was, *(key == bindparam(f"b_{key.name}") for key in keys))
            change = table.update().where(same).values({each: bindparam("b_new", type_=Text())})
            values = [
                {
                    "b_was": old,
                    "b_new": ring.reseal(old, _place(each)),
                    **{f"b_{k.name}": getattr(row, k.name) for k in keys},
                }
                for row in rows
                if (old := getattr(row, each.name)) is not None and not old.startswith(f"{ring.current}.")
            ]
            if values:
                await tx.execute(change, values)

    await database.run(work)


def _place(each: Column[Any]) -> str:
    assert isinstance(each.type, Sealed)
    return each.type.place


def seal_plain(connection: Connection, table: str, places: Mapping[str, str], key: str = "id") -> None:
    """For migrations: seal the columns of ``places`` in every row of a table that an older version wrote plainly."""
    rows = light_table(table, column(key), *(column(name, Text()) for name in places))
    last = ""
    while found := connection.execute(select(rows).where(rows.c[key] > last).order_by(rows.c[key]).limit(BATCH)).all():
        for row in found:
            plain = {name: getattr(row, name) for name in places}
            sealed = {name: vault.ring().seal(text, places[name]) for name, text in plain.items() if text is not None}
            if sealed:
                connection.execute(rows.update().where(rows.c[key] == getattr(row, key)).values(**sealed))
        last = getattr(found[-1], key)


def open_sealed(connection: Connection, table: str, places: Mapping[str, str], key: str = "id") -> None:
    """The way back of ``seal_plain``."""
    rows = light_table(table, column(key), *(column(name, Text()) for name in places))
    for row in connection.execute(select(rows)).all():
        sealed = {name: getattr(row, name) for name in places}
        plain = {name: vault.ring().open(text, places[name]) for name, text in sealed.items() if text is not None}
        if plain:
            connection.execute(rows.update().where(rows.c[key] == getattr(row, key)).values(**plain))
