"""Claims in the order saga: an order takes over its claim's units, and gives them back to the sale if it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among
from messaging.envelope import Event
from messaging.events.orders import OrderPaid, ReservationRequest
from subgraphs.products import stock
from subgraphs.products.domain import ReservationState, Wanted, sum_lines
from subgraphs.products.flash.claims import count_down, kept_by_customer, lock_items, lock_ordered, moved, return_units
from subgraphs.products.flash.domain import ClaimState
from subgraphs.products.flash.models import claims, items
from subgraphs.products.stock_ledger import apply, lock_levels


async def reserve(
    tx: AsyncConnection, events: Sequence[Event[ReservationRequest]], now: datetime, ttl: timedelta
) -> stock.Outcome:
    """Step 1 of orders on claims: hold for the order what was held for its claim, or refuse."""
    requests = {event.data.order_id: event.data for event in events}
    placed = {event.data.order_id: event.time for event in events}
    held = await _lock_claims(tx, requests.values())
    opened = await stock.open_reservations(tx, requests, ReservationState.HELD, now, now + ttl)
    known = await stock.decided(tx, requests.keys() - opened)
    good: dict[str, Row[Any]] = {}
    bad: dict[str, dict[str, int]] = {}
    for order_id in sorted(opened):
        request = requests[order_id]
        claim = held.pop(request.claim_id or "", None)
        if claim is not None and _fits(claim, request):
            good[order_id] = claim
        else:
            bad[order_id] = {line.variant_id: 0 for line in request.lines}
    await stock.add_lines(tx, [Wanted(order_id, {row.variant_id: row.quantity}) for order_id, row in good.items()])
    moves = [move for order_id, row in good.items() for move in moved(row.variant_id, row.quantity, row.id, order_id)]
    await apply(tx, await lock_levels(tx, (row.variant_id for row in good.values())), moves, now)
    await _mark_ordered(tx, good, placed)
    await stock.refuse(tx, bad, now)
    asked = [event.data.order_id for event in events]
    return stock.Outcome(stock.answers(asked, opened, bad, known, now + ttl))


async def release(tx: AsyncConnection, order_ids: Sequence[str], now: datetime) -> tuple[stock.Outcome, dict[str, str]]:
    """Compensation, for all orders: units of claims return to their sale. The items that got some."""
    rows, locked = await lock_ordered(tx, order_ids)
    outcome = await stock.release(tx, order_ids, now)
    gone = await _in_state(tx, rows, ReservationState.RELEASED)
    return outcome, await return_units(tx, gone, locked, now)


async def expire(tx: AsyncConnection, now: datetime, limit: int) -> tuple[stock.Outcome, dict[str, str]]:
    """Holds of orders that have ended; the units of claims return to their sale."""
    due = await stock.due(tx, now, limit)
    rows, locked = await lock_ordered(tx, due)
    outcome = await stock.expire(tx, now, due)
    gone = await _in_state(tx, rows, ReservationState.EXPIRED)
    return outcome, await return_units(tx, gone, locked, now)


_RETURNED = (
    select(claims)
    .where(among(claims.c.order_id, "orders"), claims.c.state == ClaimState.RETURNED.value)
    .order_by(claims.c.id)
)
_ON_CLAIMS = select(claims.c.order_id).where(among(claims.c.order_id, "orders"))


async def commit(tx: AsyncConnection, order_ids: Sequence[str], now: datetime) -> stock.Outcome:
    """Step 4, for all orders. A hold on a claim's units that has ended is taken anew only from the sale, and only if
    the customer may still have so many."""
    late = list(await tx.execute(_RETURNED, {"orders": sorted(set(order_ids))}))
    for claim in late:
        await _take_again(tx, claim, now)
    return await stock.commit(tx, order_ids, now)


async def _take_again(tx: AsyncConnection, claim: Row[Any], now: datetime) -> None:
    item = (await lock_items(tx, [claim.item_id]))[claim.item_id]
    states = await stock.lock_reservations(tx, [claim.order_id])
    if states.get(claim.order_id) != ReservationState.EXPIRED.value:
        return
    _, kept = await kept_by_customer(tx, item.id)
    taken = set(
        (
            await tx.execute(
                select(claims.c.slot).where(claims.c.item_id == item.id, claims.c.user_id == claim.user_id)
            )
        ).scalars()
    )
    free = [slot for slot in range(1, item.per_customer_limit + 1) if slot not in taken]
    fits = kept.get(claim.user_id, 0) + claim.quantity <= item.per_customer_limit
    if not fits or not free or item.closed or item.remaining < claim.quantity:
        await stock.give_up(tx, claim.order_id, now)
        return
    await tx.execute(count_down(item.id, claim.quantity))
    again = {"state": ClaimState.ORDERED.value, "slot": free[0]}
    await tx.execute(update(claims).where(claims.c.id == claim.id).values(again))
    # From the sale to the order and by way of nobody: units that are free for a moment could be another order's.
    await stock.hold_again(tx, claim.order_id, now)
    moves = moved(item.variant_id, claim.quantity, item.id, claim.order_id)
    await apply(tx, await lock_levels(tx, [item.variant_id]), moves, now)


async def paid(tx: AsyncConnection, events: Sequence[Event[OrderPaid]]) -> None:
    """Remember when orders on claims were paid: how quick the checkout is decides how many are let in."""
    rows = [{"b_order": event.data.order_id, "b_paid": event.time} for event in events]
    orders = [row["b_order"] for row in rows]
    known = set((await tx.execute(_ON_CLAIMS, {"orders": orders})).scalars())
    ours = [row for row in rows if row["b_order"] in known]
    if ours:
        statement = update(claims).where(claims.c.order_id == bindparam("b_order"))
        await tx.execute(statement.values(paid_at=bindparam("b_paid")), ours)


async def _lock_claims(tx: AsyncConnection, requests: Any) -> dict[str, Row[Any]]:
    wanted = sorted({request.claim_id for request in requests if request.claim_id})
    query = (
        select(claims, items.c.variant_id)
        .join(items, items.c.id == claims.c.item_id)
        .where(claims.c.id.in_(wanted))
        .order_by(claims.c.id)
        .with_for_update(of=claims)
    )
    return {row.id: row for row in await tx.execute(query)}


def _fits(claim: Row[Any], request: ReservationRequest) -> bool:
    units = sum_lines((line.variant_id, line.quantity) for line in request.lines)
    held = claim.state == ClaimState.HELD.value
    return held and claim.user_id == request.buyer_id and units == {claim.variant_id: claim.quantity}


async def _mark_ordered(tx: AsyncConnection, good: Mapping[str, Row[Any]], placed: Mapping[str, datetime]) -> None:
    rows = [
        {"b_id": row.id, "b_order": order_id, "b_placed": placed[order_id]} for order_id, row in sorted(good.items())
    ]
    if rows:
        statement = update(claims).where(claims.c.id == bindparam("b_id"))
        values: dict[str, Any] = {"order_id": bindparam("b_order"), "ordered_at": bindparam("b_placed")}
        await tx.execute(statement.values(**values, state=ClaimState.ORDERED.value), rows)


async def _in_state(tx: AsyncConnection, rows: Sequence[Row[Any]], state: ReservationState) -> list[Row[Any]]:
    """Those of the claims whose order's reservation is in ``state`` now: sent goods do not come back."""
    states = await stock.lock_reservations(tx, [row.order_id for row in rows])
    return [row for row in rows if states.get(row.order_id) == state.value]
