"""Stock levels and their ledger: the only place that changes a level, always with the movement that explains it.

Levels are locked in variant order before anything is decided on them, so that transactions wait in one direction only;
and the update itself is conditional, so that it can't oversell even if a decision were wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
from sqlalchemy import ColumnElement, Text, Update, bindparam, case, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_rows
from db.prepared import Prepared
from db.sqlite import writer_of
from subgraphs.kit.ids import new_ulid
from subgraphs.products.domain import StockMovementType
from subgraphs.products.models import StockLevel, StockMovement

LEVEL = StockLevel.__table__
MOVEMENT = StockMovement.__table__
CHUNK = 500
"""Variants in one statement: databases limit the number of its parameters."""


class Oversold(Exception):
    """A change would have taken a level below zero: rolled back, for it was decided on levels that were not locked."""


class Level(NamedTuple):
    """Units of one variant."""

    on_hand: int = 0
    reserved: int = 0
    allocated: int = 0

    @property
    def available(self) -> int:
        """What could still be sold."""
        return self.on_hand - self.reserved - self.allocated


class Change(NamedTuple):
    """One movement of one variant. ``quantity`` is what the ledger shows: units moved, signed only when adjusted."""

    variant_id: str
    type: StockMovementType
    quantity: int
    on_hand: int = 0
    reserved: int = 0
    allocated: int = 0
    cause_id: str | None = None
    reason: str | None = None


_NOTHING = Level()
_LOCK = Prepared(
    select(LEVEL.c.variant_id, LEVEL.c.on_hand, LEVEL.c.reserved, LEVEL.c.allocated)
    .where(among(LEVEL.c.variant_id, "variants"))
    .order_by(LEVEL.c.variant_id)
    .with_for_update()
)


async def lock_levels(tx: AsyncConnection, variant_ids: Iterable[str]) -> dict[str, Level]:
    """The levels of the variants that have one, locked until the transaction ends."""
    wanted = sorted(set(variant_ids))
    levels: dict[str, Level] = {}
    for start in range(0, len(wanted), CHUNK):
        for variant, *units in await _LOCK.rows(tx, variants=wanted[start : start + CHUNK]):
            levels[variant] = Level._make(units)
    return levels


async def apply(tx: AsyncConnection, levels: Mapping[str, Level], changes: Sequence[Change], now: datetime) -> None:
    """Make the changes to ``levels`` (as locked) and write them into the ledger. Raises Oversold."""
    if not changes:
        return
    sums: dict[str, Level] = {}
    movements = []
    for change in changes:
        variant = change.variant_id
        on_hand, reserved, allocated = sums.get(variant, _NOTHING)
        total = Level(on_hand + change.on_hand, reserved + change.reserved, allocated + change.allocated)
        sums[variant] = total
        movements.append(_movement(change, levels.get(variant, _NOTHING).available + total.available, now))
    variants = sorted(sums)
    for start in range(0, len(variants), CHUNK):
        chunk = {variant: sums[variant] for variant in variants[start : start + CHUNK]}
        changed = await _move(tx, chunk, now)
        if changed != len(chunk):
            raise Oversold(f"{len(chunk) - changed} of {len(chunk)} levels could not be changed")
    await insert_rows(tx, MOVEMENT, movements)


_UPDATED_AT = LEVEL.c.updated_at.type
_MOVE_MANY = text(
    "UPDATE stock_level SET on_hand = stock_level.on_hand + d.on_hand, "
    "reserved = stock_level.reserved + d.reserved, allocated = stock_level.allocated + d.allocated, "
    "updated_at = :now FROM (SELECT value ->> 0 AS variant, CAST(value ->> 1 AS bigint) AS on_hand, "
    "CAST(value ->> 2 AS bigint) AS reserved, CAST(value ->> 3 AS bigint) AS allocated "
    "FROM json_array_elements(CAST(:deltas AS json))) AS d WHERE stock_level.variant_id = d.variant "
    "AND stock_level.reserved + d.reserved >= 0 AND stock_level.allocated + d.allocated >= 0 "
    "AND stock_level.on_hand + d.on_hand >= stock_level.reserved + d.reserved + stock_level.allocated + d.allocated"
).bindparams(bindparam("deltas", type_=Text()), bindparam("now", type_=_UPDATED_AT))
"""``move_units`` for PostgreSQL with the deltas in one parameter: compiled once, however many variants move."""

_MOVE_ONE = (
    "UPDATE stock_level SET on_hand = on_hand + ?1, reserved = reserved + ?2, allocated = allocated + ?3, "
    "updated_at = ?4 WHERE variant_id = ?5 AND reserved + ?2 >= 0 AND allocated + ?3 >= 0 "
    "AND on_hand + ?1 >= reserved + ?2 + allocated + ?3"
)
"""The same for SQLite, where a statement a row costs less than to take JSON apart."""


async def _move(tx: AsyncConnection, deltas: Mapping[str, Level], now: datetime) -> int:
    """Change the levels by ``deltas``; how many could be."""
    writer = writer_of(tx)
    if writer is not None:
        process = _UPDATED_AT.dialect_impl(tx.dialect).bind_processor(tx.dialect)
        at = process(now) if process else now
        rows = [(*delta, at, variant) for variant, delta in deltas.items()]
        return writer.run_many(_MOVE_ONE, rows)
    if tx.dialect.name == "postgresql":
        given = orjson.dumps([(variant, *delta) for variant, delta in deltas.items()]).decode()
        return (await tx.execute(_MOVE_MANY, {"deltas": given, "now": now})).rowcount
    return (await tx.execute(move_units(deltas, now))).rowcount


async def open_levels(tx: AsyncConnection, units: Mapping[str, int], now: datetime) -> None:
    """Give new variants their levels, with what has been received of them."""
    zero = {"on_hand": 0, "reserved": 0, "allocated": 0, "updated_at": now}
    await insert_rows(tx, LEVEL, [{"variant_id": variant, **zero} for variant in units])
    changes = [
        Change(variant, StockMovementType.RECEIVED, count, on_hand=count, reason="initial quantity")
        for variant, count in units.items()
        if count
    ]
    await apply(tx, {}, changes, now)


def move_units(deltas: Mapping[str, Level], now: datetime, *, guarded: bool = True) -> Update:
    """The update of the levels by ``deltas``. It skips the rows that would go below zero or be sold twice.

    ``guarded=False`` leaves that condition out: for the test that shows what the condition is good for.
    """

    def after(column: ColumnElement[int], by_variant: Mapping[str, int]) -> ColumnElement[int]:
        if not any(by_variant.values()):
            return column
        return column + case(by_variant, value=LEVEL.c.variant_id, else_=0)

    on_hand = after(LEVEL.c.on_hand, {variant: delta.on_hand for variant, delta in deltas.items()})
    reserved = after(LEVEL.c.reserved, {variant: delta.reserved for variant, delta in deltas.items()})
    allocated = after(LEVEL.c.allocated, {variant: delta.allocated for variant, delta in deltas.items()})
    statement = update(LEVEL).where(LEVEL.c.variant_id.in_(sorted(deltas)))
    if guarded:
        statement = statement.where(reserved >= 0, allocated >= 0, on_hand >= reserved + allocated)
    return statement.values(on_hand=on_hand, reserved=reserved, allocated=allocated, updated_at=now)


def _movement(change: Change, balance: int, now: datetime) -> dict[str, object]:
    return {
        "id": new_ulid(),
        "variant_id": change.variant_id,
        "type": change.type.value,
        "quantity": change.quantity,
        "on_hand_delta": change.on_hand,
        "reserved_delta": change.reserved,
        "allocated_delta": change.allocated,
        "balance_after": balance,
        "cause_id": change.cause_id,
        "reason": change.reason,
        "created_at": now,
    }
