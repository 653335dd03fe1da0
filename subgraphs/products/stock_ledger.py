"""Stock levels and their ledger: the only place that changes a level, always with the movement that explains it.

Levels are locked in variant order before anything is decided on them, so that transactions wait in one direction only;
and the update itself is conditional, so that it can't oversell even if a decision were wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import ColumnElement, Text, Update, bindparam, case, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_rows
from subgraphs.kit.ids import new_ulid
from subgraphs.products.domain import StockMovementType
from subgraphs.products.models import StockLevel, StockMovement

LEVEL = StockLevel.__table__
MOVEMENT = StockMovement.__table__
CHUNK = 500
"""Variants in one statement: databases limit the number of its parameters."""


class Oversold(Exception):
    """A change would have taken a level below zero: rolled back, for it was decided on levels that were not locked."""


@dataclass(frozen=True, slots=True)
class Level:
    """Units of one variant."""

    on_hand: int = 0
    reserved: int = 0
    allocated: int = 0

    @property
    def available(self) -> int:
        """What could still be sold."""
        return self.on_hand - self.reserved - self.allocated


@dataclass(frozen=True, slots=True)
class Change:
    """One movement of one variant. ``quantity`` is what the ledger shows: units moved, signed only when adjusted."""

    variant_id: str
    type: StockMovementType
    quantity: int
    on_hand: int = 0
    reserved: int = 0
    allocated: int = 0
    cause_id: str | None = None
    reason: str | None = None


_LOCK = (
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
        for row in await tx.execute(_LOCK, {"variants": wanted[start : start + CHUNK]}):
            levels[row.variant_id] = Level(row.on_hand, row.reserved, row.allocated)
    return levels


async def apply(tx: AsyncConnection, levels: Mapping[str, Level], changes: Sequence[Change], now: datetime) -> None:
    """Make the changes to ``levels`` (as locked) and write them into the ledger. Raises Oversold."""
    if not changes:
        return
    sums: dict[str, Level] = {}
    movements = []
    for change in changes:
        before = sums.get(change.variant_id, Level())
        total = Level(
            before.on_hand + change.on_hand, before.reserved + change.reserved, before.allocated + change.allocated
        )
        sums[change.variant_id] = total
        balance = levels.get(change.variant_id, Level()).available + total.available
        movements.append(_movement(change, balance, now))
    variants = sorted(sums)
    for start in range(0, len(variants), CHUNK):
        chunk = {variant: sums[variant] for variant in variants[start : start + CHUNK]}
        changed = await _move(tx, chunk, now)
        if changed != len(chunk):
            raise Oversold(f"{len(chunk) - changed} of {len(chunk)} levels could not be changed")
    await insert_rows(tx, MOVEMENT, movements)


_DELTAS = {
    "sqlite": "json_extract(value, '$[0]') AS variant, json_extract(value, '$[1]') AS on_hand, "
    "json_extract(value, '$[2]') AS reserved, json_extract(value, '$[3]') AS allocated FROM json_each(:deltas)",
    "postgresql": "value ->> 0 AS variant, CAST(value ->> 1 AS bigint) AS on_hand, "
    "CAST(value ->> 2 AS bigint) AS reserved, CAST(value ->> 3 AS bigint) AS allocated "
    "FROM json_array_elements(CAST(:deltas AS json))",
}
_MOVE = {
    dialect: text(
        f"UPDATE stock_level SET on_hand = stock_level.on_hand + d.on_hand, "
        f"reserved = stock_level.reserved + d.reserved, allocated = stock_level.allocated + d.allocated, "
        f"updated_at = :now FROM (SELECT {deltas}) AS d WHERE stock_level.variant_id = d.variant "
        f"AND stock_level.reserved + d.reserved >= 0 AND stock_level.allocated + d.allocated >= 0 "
        f"AND stock_level.on_hand + d.on_hand "
        f">= stock_level.reserved + d.reserved + stock_level.allocated + d.allocated"
    ).bindparams(bindparam("deltas", type_=Text()), bindparam("now", type_=LEVEL.c.updated_at.type))
    for dialect, deltas in _DELTAS.items()
}
"""The statement of ``move_units`` with the deltas in one parameter: compiled once, however many variants move."""


async def _move(tx: AsyncConnection, deltas: Mapping[str, Level], now: datetime) -> int:
    """Change the levels by ``deltas``; how many could be."""
    statement = _MOVE.get(tx.dialect.name)
    if statement is None:
        return (await tx.execute(move_units(deltas, now))).rowcount
    rows = [(variant, each.on_hand, each.reserved, each.allocated) for variant, each in deltas.items()]
    return (await tx.execute(statement, {"deltas": orjson.dumps(rows).decode(), "now": now})).rowcount


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
