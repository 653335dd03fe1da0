"""Stock in the order saga: hold, sell, give back. Batch-first: each step takes the requests of many orders at once.

Whatever a step decides stays in ``reservation``, so that the same request gets the same answer again, and a release
that overtakes its reservation request leaves a tombstone that refuses it. Locks are taken in one order everywhere:
reservations by order id, then levels by variant id. (A commit of an order that is not known here yet, which no saga
sends, writes its tombstone after that: a deadlock it were in would be tried again.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
import structlog
from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_rows
from db.prepared import Prepared
from db.statements import claim_keys, skip_locked
from messaging.events import EventData
from messaging.events.orders import ReservationRequest
from messaging.events.products import (
    Shortage,
    StockCommitRejected,
    StockCommitted,
    StockRejected,
    StockReleased,
    StockReserved,
)
from subgraphs.products.domain import ReservationState, StockMovementType, Wanted, grant, sum_lines
from subgraphs.products.models import Reservation, ReservationLine
from subgraphs.products.purchasable import purchasable_variants
from subgraphs.products.stock_ledger import Change, apply, lock_levels

log = structlog.get_logger()

RESERVATION = Reservation.__table__
LINE = ReservationLine.__table__
State = ReservationState
Decided = Row[str, str, str | None, datetime]


@dataclass(slots=True)
class Outcome:
    """What a step answers, in the order of the requests, and the variants whose availability it changed."""

    answers: list[EventData] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)


async def reserve(
    tx: AsyncConnection, requests: Sequence[ReservationRequest], now: datetime, ttl: timedelta
) -> Outcome:
    """Step 1: hold what each order wants for ``ttl``, all of it or nothing."""
    by_order = {request.order_id: request for request in requests}
    opened = await open_reservations(tx, by_order, State.HELD, now, now + ttl)
    known = await decided(tx, by_order.keys() - opened)
    new = [
        Wanted(order_id, sum_lines((line.variant_id, line.quantity) for line in request.lines))
        for order_id, request in by_order.items()
        if order_id in opened
    ]
    wanted = {variant for order in new for variant in order.units}
    levels = await lock_levels(tx, wanted)
    on_sale = await purchasable_variants(tx, wanted)
    available = {variant: level.available for variant, level in levels.items() if variant in on_sale}
    served, short = grant(available, new)
    changes = [
        Change(variant, StockMovementType.RESERVED, units, reserved=units, cause_id=order.order_id)
        for order in served
        for variant, units in order.units.items()
    ]
    await add_lines(tx, served)
    await apply(tx, levels, changes, now)
    await refuse(tx, short, now)
    asked = [request.order_id for request in requests]
    return Outcome(answers(asked, opened, short, known, now + ttl), {change.variant_id for change in changes})


def answers(
    orders: Iterable[str],
    opened: Set[str],
    short: Mapping[str, Mapping[str, int]],
    known: Mapping[str, Decided],
    until: datetime,
) -> list[EventData]:
    """What the requests are told: of those ``opened`` now that they are ``short`` of something or held ``until`` then,
    of the others what was decided before."""
    return [
        answer_again(known[each])
        if each not in opened
        else refusal(each, short[each])
        if each in short
        else StockReserved(order_id=each, expires_at=until)
        for each in orders
    ]


def answer_again(row: Decided) -> EventData:
    if row.state == State.REJECTED.value:
        return refusal(row.order_id, orjson.loads(row.shortages or "{}"))
    if row.state == State.RELEASED.value:
        return refusal(row.order_id, {})
    if row.state == State.EXPIRED.value:
        return StockReleased(order_id=row.order_id, reason="expired")
    return StockReserved(order_id=row.order_id, expires_at=row.expires_at)


def refusal(order_id: str, short: Mapping[str, int]) -> StockRejected:
    shortages = tuple(Shortage(variant_id=variant, available=left) for variant, left in sorted(short.items()))
    return StockRejected(order_id=order_id, shortages=shortages)


async def commit(tx: AsyncConnection, order_ids: Sequence[str], now: datetime) -> Outcome:
    """Step 4: what the orders hold is sold. A hold that has ended is taken anew if the units are still there."""
    states = await lock_reservations(tx, order_ids)
    if unknown := set(order_ids) - states.keys():
        await open_reservations(tx, unknown, State.RELEASED, now, now)  # an order that held nothing never will
        states = await lock_reservations(tx, order_ids)
    held = _in_state(states, State.HELD)
    ended = _in_state(states, State.EXPIRED)
    lines = await _lines(tx, [*held, *ended])
    levels = await lock_levels(tx, (variant for units in lines.values() for variant in units))
    changes = [
        Change(variant, StockMovementType.ALLOCATED, units, reserved=-units, allocated=units, cause_id=order_id)
        for order_id in held
        for variant, units in lines[order_id].items()
    ]
    again = [Wanted(order_id, lines[order_id]) for order_id in ended]
    served, lost = grant({variant: level.available for variant, level in levels.items()}, again)
    taken = [
        Change(variant, StockMovementType.ALLOCATED, units, allocated=units, cause_id=order.order_id)
        for order in served
        for variant, units in order.units.items()
    ]
    await apply(tx, levels, changes + taken, now)
    await _set_state(tx, [*held, *(order.order_id for order in served)], State.COMMITTED, now)
    await _set_state(tx, lost, State.RELEASED, now)
    refused = dict.fromkeys(_in_state(states, State.RELEASED, State.REJECTED), "released")
    refused |= dict.fromkeys(lost, "expired")
    answers: list[EventData] = [
        StockCommitRejected(order_id=order_id, reason=refused[order_id])
        if order_id in refused
        else StockCommitted(order_id=order_id)
        for order_id in order_ids
    ]
    return Outcome(answers, {change.variant_id for change in taken})


async def release(tx: AsyncConnection, order_ids: Sequence[str], now: datetime) -> Outcome:
    """Compensation of step 1, or of step 4 while the goods are here; also before the order's reservation request."""
    await open_reservations(tx, order_ids, State.RELEASED, now, now)
    states = await lock_reservations(tx, order_ids)
    keeping = _in_state(states, State.HELD, State.COMMITTED)
    touched = await _give_back(tx, {order_id: states[order_id] for order_id in keeping}, now)
    await _set_state(tx, [*keeping, *_in_state(states, State.EXPIRED, State.REJECTED)], State.RELEASED, now)
    sent = set(_in_state(states, State.SHIPPED))
    if sent:
        # Not answered: the units are not free again, and saying so would end an order that has its goods.
        log.error("stock.release_after_shipping", orders=sorted(sent))
    answers: list[EventData] = [
        StockReleased(order_id=order_id, reason="requested") for order_id in order_ids if order_id not in sent
    ]
    return Outcome(answers, touched)


async def due(tx: AsyncConnection, now: datetime, limit: int) -> list[str]:
    """Orders whose hold has ended, at most ``limit``."""
    ended = (RESERVATION.c.state == State.HELD.value, RESERVATION.c.expires_at <= now)
    query = select(RESERVATION.c.order_id).where(*ended).order_by(RESERVATION.c.order_id)
    return list((await tx.execute(query.limit(limit))).scalars())


async def expire(tx: AsyncConnection, now: datetime, order_ids: Sequence[str]) -> Outcome:
    """Release those of the holds that have ended; not those that another transaction is selling or releasing."""
    query = (
        select(RESERVATION.c.order_id, RESERVATION.c.state)
        .where(RESERVATION.c.state == State.HELD.value, RESERVATION.c.expires_at <= now)
        .where(RESERVATION.c.order_id.in_(order_ids))
        .order_by(RESERVATION.c.order_id)
    )
    states = dict((await tx.execute(skip_locked(query))).all())
    touched = await _give_back(tx, states, now)
    await _set_state(tx, states, State.EXPIRED, now)
    return Outcome([StockReleased(order_id=order_id, reason="expired") for order_id in states], touched)


async def hold_again(tx: AsyncConnection, order_id: str, now: datetime) -> None:
    """A hold that has ended goes on: the caller has reserved the order's units for it."""
    await _set_state(tx, [order_id], State.HELD, now)


async def give_up(tx: AsyncConnection, order_id: str, now: datetime) -> None:
    """A hold that has ended is not to be taken anew: a commit of it is refused."""
    await _set_state(tx, [order_id], State.RELEASED, now)


async def ship(tx: AsyncConnection, order_ids: Iterable[str], now: datetime) -> None:
    """The goods of these orders have left the warehouse. Told twice, or of an order unknown here: nothing."""
    states = await lock_reservations(tx, order_ids)
    leaving = _in_state(states, State.HELD, State.COMMITTED)
    lines = await _lines(tx, leaving)
    levels = await lock_levels(tx, (variant for units in lines.values() for variant in units))
    changes = []
    for order_id in leaving:
        held = states[order_id] == State.HELD.value
        for variant, units in lines[order_id].items():
            reserved, allocated = (-units, 0) if held else (0, -units)
            changes.append(
                Change(variant, StockMovementType.SHIPPED, units, -units, reserved, allocated, cause_id=order_id)
            )
    await apply(tx, levels, changes, now)
    await _set_state(tx, leaving, State.SHIPPED, now)


async def _give_back(tx: AsyncConnection, states: Mapping[str, str], now: datetime) -> set[str]:
    lines = await _lines(tx, states)
    levels = await lock_levels(tx, (variant for units in lines.values() for variant in units))
    changes = []
    for order_id, units_of in lines.items():
        held = states[order_id] == State.HELD.value
        for variant, units in units_of.items():
            reserved, allocated = (-units, 0) if held else (0, -units)
            changes.append(
                Change(variant, StockMovementType.RELEASED, units, 0, reserved, allocated, cause_id=order_id)
            )
    await apply(tx, levels, changes, now)
    return set(levels)


async def open_reservations(
    tx: AsyncConnection, orders: Iterable[str], state: ReservationState, now: datetime, until: datetime
) -> set[str]:
    """Write the reservations that do not exist yet; which these are. One that another transaction writes at the same
    moment is waited for."""
    new = {"state": state.value, "expires_at": until, "created_at": now, "updated_at": now}
    return await claim_keys(tx, RESERVATION, orders, new)


_ASKED = among(RESERVATION.c.order_id, "orders")
_LOCK = Prepared(
    select(RESERVATION.c.order_id, RESERVATION.c.state).where(_ASKED).order_by(RESERVATION.c.order_id).with_for_update()
)
_DECIDED = Prepared(
    select(RESERVATION.c.order_id, RESERVATION.c.state, RESERVATION.c.shortages, RESERVATION.c.expires_at)
    .where(_ASKED)
    .order_by(RESERVATION.c.order_id)
    .with_for_update()
)
_LINES = Prepared(
    select(LINE.c.order_id, LINE.c.variant_id, LINE.c.quantity)
    .where(among(LINE.c.order_id, "orders"))
    .order_by(LINE.c.order_id, LINE.c.variant_id)
)
_SET_STATE = Prepared(
    update(RESERVATION).where(_ASKED).values(state=bindparam("b_state"), updated_at=bindparam("b_now"))
)


async def lock_reservations(tx: AsyncConnection, orders: Iterable[str]) -> dict[str, str]:
    """The states of those that exist, locked until the transaction ends."""
    return dict(tuple(row) for row in await _LOCK.rows(tx, orders=sorted(set(orders))))


async def decided(tx: AsyncConnection, orders: Iterable[str]) -> dict[str, Decided]:
    """Of reservations that were there before what answers their requests again, locked."""
    wanted = sorted(orders)
    return {row.order_id: row for row in await _DECIDED.rows(tx, orders=wanted)} if wanted else {}


def _in_state(states: Mapping[str, str], *which: ReservationState) -> list[str]:
    wanted = {state.value for state in which}
    return [order_id for order_id, state in states.items() if state in wanted]


async def _lines(tx: AsyncConnection, orders: Iterable[str]) -> dict[str, dict[str, int]]:
    wanted = list(orders)
    if not wanted:
        return {}
    lines: dict[str, dict[str, int]] = defaultdict(dict)
    for order_id, variant, quantity in await _LINES.rows(tx, orders=wanted):
        lines[order_id][variant] = quantity
    return lines


async def add_lines(tx: AsyncConnection, orders: Sequence[Wanted]) -> None:
    rows = [
        {"order_id": order.order_id, "variant_id": variant, "quantity": units}
        for order in orders
        for variant, units in order.units.items()
    ]
    await insert_rows(tx, LINE, rows)


async def _set_state(tx: AsyncConnection, orders: Iterable[str], state: ReservationState, now: datetime) -> None:
    wanted = list(orders)
    if wanted:
        await _SET_STATE.change(tx, orders=wanted, b_state=state.value, b_now=now)


async def refuse(tx: AsyncConnection, short: Mapping[str, Mapping[str, int]], now: datetime) -> None:
    if not short:
        return
    statement = (
        update(RESERVATION)
        .where(RESERVATION.c.order_id == bindparam("b_order"))
        .values(state=State.REJECTED.value, shortages=bindparam("b_shortages"), updated_at=now)
    )
    rows = [{"b_order": order, "b_shortages": orjson.dumps(dict(left)).decode()} for order, left in short.items()]
    await tx.execute(statement, rows)
