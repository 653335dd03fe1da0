"""Claims in the ledger: take units of a sale, hand them to an order, take them back. Batch-first.

An item's row is locked before anything is decided about its units, then claims, then reservations, then levels: all
transactions wait in this direction. Every unit that moves is explained by movements whose causes are the item, the
claim and the order; the level itself changes only when units enter or leave the sale.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Update, delete, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from db.statements import skip_locked
from messaging.events.products import StockClaimed, StockClaimReleased
from messaging.outbox import record
from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.ids import new_ulid
from subgraphs.products import models
from subgraphs.products.domain import StockMovementType
from subgraphs.products.flash.domain import KEEPING, ClaimState, Granted, Refusal, Stock, Wish, grant
from subgraphs.products.flash.models import claims, items, sales
from subgraphs.products.purchasable import SOURCE
from subgraphs.products.stock_ledger import Change, Oversold, apply, lock_levels

RESERVED, RELEASED = StockMovementType.RESERVED, StockMovementType.RELEASED


@dataclass(frozen=True, slots=True)
class ClaimUnits:
    """A customer's wish for units of an item; his admission has been checked and is ``ticket_id``."""

    item_id: str
    ticket_id: str
    user_id: str
    quantity: int
    request: idempotency.Request


MESSAGES = {
    Refusal.SOLD_OUT: "Everything is claimed; a unit may come back.",
    Refusal.PER_CUSTOMER_LIMIT_EXCEEDED: "You have as many as a customer may have.",
}


async def claim_units(
    tx: AsyncConnection, commands: Sequence[ClaimUnits], now: datetime, hold: timedelta
) -> list[str | Rejected]:
    """For each command the id of its claim (the earlier one, when it is repeated), or why there is none.

    Raises InFlight when an idempotency key stands twice among ``commands``.
    """
    earlier = await idempotency.claim(tx, models.idempotency, [command.request for command in commands])
    results: dict[int, str | Rejected] = {
        index: each if isinstance(each, Rejected) else str(each)
        for index, each in enumerate(earlier)
        if each is not None
    }
    fresh = [index for index in range(len(commands)) if index not in results]
    locked = await lock_items(tx, {commands[index].item_id for index in fresh})
    kept = await _kept(tx, [commands[index] for index in fresh])
    rows: list[dict[str, Any]] = []
    for item_id, item in locked.items():
        own = [index for index in fresh if commands[index].item_id == item_id]
        if refused := _not_open(item, now):
            results |= dict.fromkeys(own, refused)
            continue
        stock = Stock(item.remaining, item.per_customer_limit, kept.get(item_id, {}), item.next_sequence)
        after, answers = grant(stock, [Wish(commands[index].user_id, commands[index].quantity) for index in own])
        for index, answer in zip(own, answers, strict=True):
            if isinstance(answer, Refusal):
                results[index] = Rejected(answer.value, MESSAGES[answer], ["quantity"])
                continue
            rows.append(_row(commands[index], answer, now, now + hold))
            results[index] = rows[-1]["id"]
        await _count_down(tx, item_id, item.remaining - after.remaining, after.next_sequence)
    await _write(tx, rows, locked, now)
    won = [(commands[index].request, results[index]) for index in fresh if isinstance(results[index], str)]
    await idempotency.answer(tx, models.idempotency, won)
    await _forget_keys(tx, [commands[index].request for index in fresh if isinstance(results[index], Rejected)])
    failpoint("products.claim.before_commit")
    return [results[index] for index in range(len(commands))]


async def lock_items(tx: AsyncConnection, item_ids: Iterable[str]) -> dict[str, Row[Any]]:
    """The items with the times of their sales, locked in the order of their ids."""
    wanted = sorted(set(item_ids))
    if not wanted:
        return {}
    times = (sales.c.starts_at, sales.c.ends_at, sales.c.drawn_at)
    query = (
        select(items, *times)
        .join(sales, sales.c.id == items.c.sale_id)
        .where(items.c.id.in_(wanted))
        .order_by(items.c.id)
        .with_for_update(of=items)
    )
    return {row.id: row for row in await tx.execute(query)}


def count_down(item_id: str, units: int, *, guarded: bool = True) -> Update:
    """Units leave the item; no row is changed if they are not there. ``guarded=False``: for the negative control."""
    statement = update(items).where(items.c.id == item_id)
    if guarded:
        statement = statement.where(items.c.remaining >= units)
    return statement.values(remaining=items.c.remaining - units)


async def _count_down(tx: AsyncConnection, item_id: str, units: int, next_sequence: int) -> None:
    if not units:
        return
    changed = await tx.execute(count_down(item_id, units).values(next_sequence=next_sequence))
    if changed.rowcount != 1:
        raise Oversold(f"{units} units of {item_id} were granted and are not there")


def _not_open(item: Row[Any], now: datetime) -> Rejected | None:
    if item.closed or item.drawn_at is None or not item.starts_at <= now < item.ends_at:
        return Rejected("SALE_NOT_OPEN", "The sale is not open.", ["itemId"])
    return None


async def _kept(tx: AsyncConnection, commands: Sequence[ClaimUnits]) -> dict[str, dict[str, dict[int, int]]]:
    """By item and customer: the units in each of his slots. Under the items' locks."""
    pairs = sorted({(command.item_id, command.user_id) for command in commands})
    found: dict[str, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    if pairs:
        query = select(claims.c.item_id, claims.c.user_id, claims.c.slot, claims.c.quantity)
        mine = tuple_(claims.c.item_id, claims.c.user_id).in_(pairs)
        for row in await tx.execute(query.where(mine, claims.c.slot.is_not(None))):
            found[row.item_id][row.user_id][row.slot] = row.quantity
    return found


def _row(command: ClaimUnits, granted: Granted, now: datetime, until: datetime) -> dict[str, Any]:
    return {
        "id": new_ulid(),
        "item_id": command.item_id,
        "ticket_id": command.ticket_id,
        "user_id": command.user_id,
        "quantity": command.quantity,
        "sequence": granted.sequence,
        "slot": granted.slot,
        "state": ClaimState.HELD.value,
        "version": 1,
        "claimed_at": now,
        "expires_at": until,
    }


async def _write(
    tx: AsyncConnection, rows: Sequence[dict[str, Any]], locked: Mapping[str, Row[Any]], now: datetime
) -> None:
    if not rows:
        return
    await tx.execute(insert(claims), list(rows))
    moves = []
    for row in rows:
        moves += moved(locked[row["item_id"]].variant_id, row["quantity"], row["item_id"], row["id"])
    levels = await lock_levels(tx, (item.variant_id for item in locked.values()))
    await apply(tx, levels, moves, now)
    await record(tx, models.outbox, SOURCE, [StockClaimed(**_told(row, locked[row["item_id"]])) for row in rows])


def moved(variant_id: str, units: int, source: str, target: str) -> list[Change]:
    """Held units change hands: what held them lets go, what holds them now takes; the level stays."""
    return [
        Change(variant_id, RELEASED, units, reserved=-units, cause_id=source),
        Change(variant_id, RESERVED, units, reserved=units, cause_id=target),
    ]


def _told(row: Mapping[str, Any], item: Row[Any]) -> dict[str, Any]:
    return {
        "claim_id": row["id"],
        "version": row["version"],
        "sale_id": item.sale_id,
        "user_id": row["user_id"],
        "variant_id": item.variant_id,
        "quantity": row["quantity"],
        "unit_price": item.sale_price,
        "currency": item.currency,
        "expires_at": row["expires_at"],
    }


async def _forget_keys(tx: AsyncConnection, refused: Sequence[idempotency.Request]) -> None:
    """A refused claim leaves nothing, its key included: it may come again when a unit has come back."""
    if refused:
        table = models.idempotency
        keys = [(request.scope, request.key) for request in refused]
        await tx.execute(delete(table).where(tuple_(table.c.scope, table.c.key).in_(keys)))


async def expire_claims(tx: AsyncConnection, now: datetime, limit: int) -> dict[str, str]:
    """Take back up to ``limit`` claims that never became orders; the items that got units, with their sales."""
    overdue = (claims.c.state == ClaimState.HELD.value, claims.c.expires_at <= now)
    query = select(claims.c.id, claims.c.item_id).where(*overdue).order_by(claims.c.expires_at).limit(limit)
    due = list(await tx.execute(query))
    locked = await lock_items(tx, {row.item_id for row in due})
    again = select(claims).where(claims.c.id.in_([row.id for row in due]), *overdue).order_by(claims.c.id)
    rows = list(await tx.execute(skip_locked(again))) if due else []
    return await _take_back(tx, rows, locked, ClaimState.EXPIRED, now)


async def _take_back(
    tx: AsyncConnection, rows: Sequence[Row[Any]], locked: Mapping[str, Row[Any]], state: ClaimState, now: datetime
) -> dict[str, str]:
    """The claims end as ``state``; their units are in the sale again, or in the shop if the sale is over."""
    if not rows:
        return {}
    wanted = [row.id for row in rows]
    ended = {"state": state.value, "slot": None, "version": claims.c.version + 1}
    await tx.execute(update(claims).where(claims.c.id.in_(wanted)).values(ended))
    levels = await lock_levels(tx, (locked[row.item_id].variant_id for row in rows))
    moves: list[Change] = []
    for row in rows:
        item = locked[row.item_id]
        if state is ClaimState.EXPIRED and not item.closed:
            moves += moved(item.variant_id, row.quantity, row.id, item.id)
        elif state is ClaimState.EXPIRED:
            moves.append(Change(item.variant_id, RELEASED, row.quantity, reserved=-row.quantity, cause_id=row.id))
        elif not item.closed:  # the order has let go of them
            moves.append(Change(item.variant_id, RESERVED, row.quantity, reserved=row.quantity, cause_id=item.id))
    await apply(tx, levels, moves, now)
    for item_id in sorted({row.item_id for row in rows}):
        units = sum(row.quantity for row in rows if row.item_id == item_id)
        column = items.c.returned if locked[item_id].closed else items.c.remaining
        await tx.execute(update(items).where(items.c.id == item_id).values({column.name: column + units}))
    told = [
        StockClaimReleased(
            **_told({**row._mapping, "version": row.version + 1}, locked[row.item_id]), reason=state.value.lower()
        )
        for row in rows
    ]
    await record(tx, models.outbox, SOURCE, told)
    return {row.item_id: locked[row.item_id].sale_id for row in rows}


async def lock_ordered(tx: AsyncConnection, order_ids: Iterable[str]) -> tuple[list[Row[Any]], dict[str, Row[Any]]]:
    """The claims that these orders keep, and their items, locked: before the orders' reservations are."""
    wanted = sorted(set(order_ids))
    if not wanted:
        return [], {}
    kept = (claims.c.order_id.in_(wanted), claims.c.state == ClaimState.ORDERED.value)
    found = set((await tx.execute(select(claims.c.item_id).where(*kept))).scalars())
    if not found:
        return [], {}
    locked = await lock_items(tx, found)
    query = select(claims).where(*kept).order_by(claims.c.id).with_for_update()
    return list(await tx.execute(query)), locked


async def return_units(
    tx: AsyncConnection, rows: Sequence[Row[Any]], locked: Mapping[str, Row[Any]], now: datetime
) -> dict[str, str]:
    """Orders have let go of these claims' units: back into the sale. The items that got units, with their sales."""
    return await _take_back(tx, rows, locked, ClaimState.RETURNED, now)


async def close_sales(tx: AsyncConnection, now: datetime, limit: int) -> tuple[list[str], list[str]]:
    """What nobody claimed of the sales that are over goes back to the shop's stock. The sales, and the variants that
    got units."""
    over = select(sales.c.id).where(sales.c.ends_at <= now, sales.c.closed.is_(False)).order_by(sales.c.id)
    ids = list((await tx.execute(over.limit(limit))).scalars())
    if not ids:
        return [], []
    mine = (await tx.execute(select(items.c.id).where(items.c.sale_id.in_(ids)))).scalars()
    locked = await lock_items(tx, mine)
    left = [item for item in locked.values() if not item.closed and item.remaining]
    levels = await lock_levels(tx, (item.variant_id for item in left))
    moves = [
        Change(item.variant_id, RELEASED, item.remaining, reserved=-item.remaining, cause_id=item.id) for item in left
    ]
    await apply(tx, levels, moves, now)
    # In this order: MySQL assigns from left to right.
    ended = ((items.c.returned, items.c.returned + items.c.remaining), (items.c.remaining, 0), (items.c.closed, True))
    await tx.execute(update(items).where(items.c.id.in_(list(locked))).ordered_values(*ended))
    await tx.execute(update(sales).where(sales.c.id.in_(ids)).values(closed=True))
    return ids, sorted({item.variant_id for item in left})


async def kept_by_customer(connection: AsyncConnection, item_id: str) -> tuple[int, dict[str, int]]:
    """What a gate is filled with: the units left, and the units that each customer keeps."""
    left = (await connection.execute(select(items.c.remaining).where(items.c.id == item_id))).scalar() or 0
    query = select(claims.c.user_id, func.sum(claims.c.quantity)).where(
        claims.c.item_id == item_id, claims.c.state.in_(KEEPING)
    )
    found = await connection.execute(query.group_by(claims.c.user_id))
    return left, {user: int(units) for user, units in found}
