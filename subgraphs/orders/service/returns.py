"""Returns: asked for by the buyer, decided and received by the seller, refunded by payments.

Whoever changes a return holds its order first, then the return: two wishes for the same units wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import skip_locked
from messaging import outbox
from messaging.events import EventData
from messaging.events.orders import RefundedLine, RefundRequested, ReturnChanged, ReturnedLine
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.orders import models
from subgraphs.orders.domain import returns as rules
from subgraphs.orders.domain.returns import NEXT, OPEN, TAKING, ReturnReason, ReturnStatus, Sent
from subgraphs.orders.domain.states import OrderStatus
from subgraphs.orders.service.saga import SOURCE, Outcome

STAFF_SCOPE = "orders:read"
MAX_LINES = 100

_orders, _lines = models.orders, models.order_lines
_returns, _return_lines = models.returns, models.return_lines

Units = Mapping[str, int]
"""Units by order line."""


@dataclass(frozen=True, slots=True)
class Held:
    """A return and its order, locked, with the lines of both."""

    row: Row[Any]
    order: Row[Any]
    lines: Sequence[Row[Any]]
    order_lines: Mapping[str, Row[Any]]


async def request(
    tx: AsyncConnection,
    buyer_id: str,
    order_id: str,
    wanted: Units,
    reason: ReturnReason,
    note: str | None,
    fee: int,
    now: datetime,
) -> str:
    """The id of a new return of these units. Raises Rejected NOT_FOUND, INVALID, RETURN_WINDOW_CLOSED."""
    mine = select(_orders).where(_orders.c.id == order_id, _orders.c.buyer_id == buyer_id)
    order = (await tx.execute(mine.with_for_update())).one_or_none()
    if order is None:
        raise Rejected("NOT_FOUND", "You have no such order.", ["orderId"])
    if not rules.is_open(OrderStatus(order.status), order.delivered_at, reason, now):
        raise Rejected("RETURN_WINDOW_CLOSED", "This order cannot be returned for this reason (any more).", ["orderId"])
    lines = await _order_lines(tx, [order_id])
    _check_units(wanted, lines, await taken(tx, list(lines)))
    sellers = {lines[id].partner_id for id in wanted}
    if len(sellers) > 1:
        raise Rejected("INVALID", "A return goes to one seller: ask for one return each.", ["lines"])
    row = {
        "id": new_ulid(),
        "version": 1,
        "order_id": order_id,
        "buyer_id": buyer_id,
        "partner_id": sellers.pop(),
        "status": ReturnStatus.REQUESTED.value,
        "reason": reason.value,
        "note": note,
        "currency": order.currency,
        "fee": rules.parcel_fee(reason, fee),
        "requested_at": now,
    }
    row["refund_amount"] = worth(order, lines, wanted, row["fee"], reason)
    await tx.execute(insert(_returns), row)
    await tx.execute(
        insert(_return_lines),
        [{"return_id": row["id"], "order_line_id": id, "quantity": wanted[id]} for id in sorted(wanted)],
    )
    await _tell(tx, [row["id"]])
    return str(row["id"])


async def decide(
    tx: AsyncConnection, who: Identity, return_id: str, approve: bool, note: str | None, now: datetime
) -> Outcome:
    """The seller agrees or does not; the same again is nothing. Raises Rejected NOT_FOUND or NOT_ALLOWED."""
    held = await _hold_as_seller(tx, who, return_id)
    to = ReturnStatus.APPROVED if approve else ReturnStatus.REJECTED
    if held.row.status == to.value:
        return Outcome()
    return await _move(tx, held, to, decision_note=note, decided_at=now)


async def cancel(tx: AsyncConnection, buyer_id: str, return_id: str) -> Outcome:
    """The buyer keeps the goods; again is nothing. Raises Rejected NOT_FOUND or NOT_ALLOWED."""
    held = (await hold(tx, [return_id])).get(return_id)
    if held is None or held.row.buyer_id != buyer_id:
        raise Rejected("NOT_FOUND", "You have no such return.", ["id"])
    if held.row.status == ReturnStatus.CANCELED.value:
        return Outcome()
    return await _move(tx, held, ReturnStatus.CANCELED)


async def receive(
    tx: AsyncConnection,
    who: Identity,
    return_id: str,
    arrived: Units,
    restock: bool,
    now: datetime,
    *,
    ask_again_after: float,
) -> Outcome:
    """These units have come back: they are restocked if they can be sold, and payments is asked to refund them.

    What was announced and did not come is not refunded. The same again is nothing. Raises Rejected NOT_FOUND,
    NOT_ALLOWED, INVALID.
    """
    held = await _hold_as_seller(tx, who, return_id)
    announced = {line.order_line_id: line.quantity for line in held.lines}
    if any(not 0 <= units <= announced.get(id, 0) for id, units in arrived.items()) or not any(arrived.values()):
        raise Rejected("INVALID", "Units of this return, at least one and no more than announced.", ["lines"])
    if held.row.status in (ReturnStatus.RECEIVED.value, ReturnStatus.REFUNDED.value):
        if any((line.received or 0) != arrived.get(line.order_line_id, 0) for line in held.lines):
            raise Rejected("NOT_ALLOWED", "Other units of this return have been received.", ["lines"])
        return Outcome()
    _check_next(held, ReturnStatus.RECEIVED)
    for id in announced:
        mine = (_return_lines.c.return_id == return_id) & (_return_lines.c.order_line_id == id)
        await tx.execute(update(_return_lines).where(mine).values(received=arrived.get(id, 0), restock=restock))
    amount = worth(held.order, held.order_lines, arrived, held.row.fee, ReturnReason(held.row.reason))
    again = now + timedelta(seconds=ask_again_after) if amount else None
    outcome = await _move(tx, held, ReturnStatus.RECEIVED, refund_amount=amount, received_at=now, ask_again_at=again)
    if amount:
        await ask_for_refunds(tx, [return_id])
        return outcome
    return await refunded(tx, [return_id], now)


async def moved(tx: AsyncConnection, return_ids: Iterable[str]) -> Outcome:
    """The parcels of these returns are on their way."""
    outcome = Outcome()
    for held in (await hold(tx, return_ids)).values():
        if ReturnStatus.IN_TRANSIT in NEXT[ReturnStatus(held.row.status)]:
            outcome.changed |= (await _move(tx, held, ReturnStatus.IN_TRANSIT)).changed
    return outcome


async def refunded(tx: AsyncConnection, return_ids: Iterable[str], now: datetime) -> Outcome:
    """The buyer has the money: the end of these returns, and of orders of which nothing was kept."""
    outcome = Outcome()
    for held in (await hold(tx, return_ids)).values():
        if held.row.status != ReturnStatus.RECEIVED.value:
            continue
        done = {"refunded_at": now, "ask_again_at": None, "refund_error": None}
        outcome.changed |= (await _move(tx, held, ReturnStatus.REFUNDED, **done)).changed
        came_back = await taken(tx, list(held.order_lines), (ReturnStatus.REFUNDED,))
        if all(came_back.get(id, 0) == line.quantity for id, line in held.order_lines.items()):
            order = update(_orders).where(_orders.c.id == held.order.id)
            await tx.execute(order.values(status=OrderStatus.RETURNED.value))
    return outcome


async def ask_again(tx: AsyncConnection, now: datetime, *, ask_again_after: float, limit: int = 200) -> int:
    """Repeat the refunds that were asked for long ago and never answered; how many."""
    due = select(_returns.c.id).where(_returns.c.ask_again_at <= now).order_by(_returns.c.ask_again_at)
    overdue = list((await tx.execute(skip_locked(due.limit(limit)))).scalars())
    if overdue:
        later = now + timedelta(seconds=ask_again_after)
        await tx.execute(update(_returns).where(_returns.c.id.in_(overdue)).values(ask_again_at=later))
        await ask_for_refunds(tx, overdue)
    return len(overdue)


async def taken(
    tx: AsyncConnection, order_line_ids: Sequence[str], statuses: Sequence[ReturnStatus] = TAKING
) -> dict[str, int]:
    """Units by order line that returns in these states hold: what has arrived counts, else what was announced."""
    units = func.sum(func.coalesce(_return_lines.c.received, _return_lines.c.quantity))
    query = (
        select(_return_lines.c.order_line_id, units)
        .join(_returns, _returns.c.id == _return_lines.c.return_id)
        .where(_return_lines.c.order_line_id.in_(order_line_ids), _returns.c.status.in_(statuses))
        .group_by(_return_lines.c.order_line_id)
    )
    return {id: int(count) for id, count in await tx.execute(query)}


def has_open_return() -> Any:
    """A condition on orders: something of it is on its way back."""
    return select(_returns.c.id).where(_returns.c.order_id == _orders.c.id, _returns.c.status.in_(OPEN)).exists()


def _check_units(wanted: Units, lines: Mapping[str, Row[Any]], already: Units) -> None:
    if not 1 <= len(wanted) <= MAX_LINES:
        raise Rejected("INVALID", f"Between 1 and {MAX_LINES} lines.", ["lines"])
    for id, units in wanted.items():
        if id not in lines:
            raise Rejected("NOT_FOUND", "The order has no such line.", ["lines"])
        if not 1 <= units <= lines[id].quantity - already.get(id, 0):
            raise Rejected("INVALID", "More than can be returned of this line.", ["lines"])


def worth(order: Row[Any], lines: Mapping[str, Row[Any]], units: Units, fee: int, reason: ReturnReason) -> int:
    """What is given back when these units have come back."""
    sent = [Sent(id, count, lines[id].unit_price) for id, count in units.items()]
    whole = all(units.get(id, 0) == line.quantity for id, line in lines.items())
    return rules.refund(sent, fee, shipping=order.shipping, whole_order=whole, reason=reason)


async def _order_lines(tx: AsyncConnection, order_ids: Sequence[str]) -> dict[str, Row[Any]]:
    return {row.id: row for row in await tx.execute(select(_lines).where(_lines.c.order_id.in_(order_ids)))}


async def hold(tx: AsyncConnection, return_ids: Iterable[str]) -> dict[str, Held]:
    """Those of these returns that there are, locked, their orders first."""
    ids = sorted(set(return_ids))
    if not ids:
        return {}
    order_ids = select(_returns.c.order_id).where(_returns.c.id.in_(ids))
    found = (await tx.execute(order_ids)).scalars().all()
    locking = select(_orders).where(_orders.c.id.in_(found)).order_by(_orders.c.id).with_for_update()
    orders = {row.id: row for row in await tx.execute(locking)}
    query = select(_returns).where(_returns.c.id.in_(ids)).order_by(_returns.c.id).with_for_update()
    rows = (await tx.execute(query)).all()
    of_orders = await _order_lines(tx, list(orders))
    lines = await lines_of(tx, ids)
    return {
        row.id: Held(
            row,
            orders[row.order_id],
            lines[row.id],
            {id: line for id, line in of_orders.items() if line.order_id == row.order_id},
        )
        for row in rows
    }


async def _hold_as_seller(tx: AsyncConnection, who: Identity, return_id: str) -> Held:
    held = (await hold(tx, [return_id])).get(return_id)
    if held is None or not await _sells(tx, who, held.row.partner_id):
        raise Rejected("NOT_FOUND", "You have no such return.", ["id"])
    return held


async def _sells(tx: AsyncConnection, who: Identity, partner_id: str | None) -> bool:
    if STAFF_SCOPE in who.scopes:
        return True
    members = select(models.partners.c.member_ids).where(models.partners.c.partner_id == partner_id)
    return who.user_id in ((await tx.execute(members)).scalar_one_or_none() or ())


def _check_next(held: Held, to: ReturnStatus) -> None:
    if to not in NEXT[ReturnStatus(held.row.status)]:
        raise Rejected("NOT_ALLOWED", f"This return is {held.row.status}.", ["id"])


async def _move(tx: AsyncConnection, held: Held, to: ReturnStatus, **changes: Any) -> Outcome:
    _check_next(held, to)
    changed = update(_returns).where(_returns.c.id == held.row.id)
    await tx.execute(changed.values(status=to.value, version=_returns.c.version + 1, **changes))
    await _tell(tx, [held.row.id])
    return Outcome(changed={held.row.order_id})


async def lines_of(tx: AsyncConnection, return_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """The lines of each return, with the variants that they are of."""
    query = (
        select(_return_lines, _lines.c.variant_id, _lines.c.unit_price)
        .join(_lines, _lines.c.id == _return_lines.c.order_line_id)
        .where(_return_lines.c.return_id.in_(return_ids))
        .order_by(_return_lines.c.return_id, _lines.c.position)
    )
    found: dict[str, list[Row[Any]]] = {id: [] for id in return_ids}
    for row in await tx.execute(query):
        found[row.return_id].append(row)
    return found


async def _with_numbers(tx: AsyncConnection, return_ids: Sequence[str]) -> Sequence[Row[Any]]:
    query = select(_returns, _orders.c.number).join(_orders, _orders.c.id == _returns.c.order_id)
    return (await tx.execute(query.where(_returns.c.id.in_(return_ids)).order_by(_returns.c.id))).all()


async def _tell(tx: AsyncConnection, return_ids: Sequence[str]) -> None:
    lines = await lines_of(tx, return_ids)
    events: list[EventData] = [
        ReturnChanged(
            return_id=row.id,
            version=row.version,
            status=row.status,
            order_id=row.order_id,
            order_number=row.number,
            buyer_id=row.buyer_id,
            refund_amount=row.refund_amount,
            currency=row.currency,
            partner_id=row.partner_id,
            note=row.decision_note,
            lines=tuple(
                ReturnedLine(
                    order_line_id=line.order_line_id,
                    variant_id=line.variant_id,
                    quantity=line.quantity if line.received is None else line.received,
                    restock=bool(line.restock),
                )
                for line in lines[row.id]
            ),
        )
        for row in await _with_numbers(tx, return_ids)
    ]
    await outbox.record(tx, models.outbox, SOURCE, events)


async def ask_for_refunds(tx: AsyncConnection, return_ids: Sequence[str]) -> None:
    """Ask payments to give back what these returns are worth now."""
    lines = await lines_of(tx, return_ids)
    events: list[EventData] = [
        RefundRequested(
            return_id=row.id,
            order_id=row.order_id,
            amount=row.refund_amount,
            currency=row.currency,
            reason=f"반품 {row.number}",
            lines=_shares(row, lines[row.id]),
        )
        for row in await _with_numbers(tx, return_ids)
    ]
    await outbox.record(tx, models.outbox, SOURCE, events)


def _shares(row: Row[Any], lines: Sequence[Row[Any]]) -> tuple[RefundedLine, ...]:
    arrived = [Sent(line.order_line_id, line.received or 0, line.unit_price) for line in lines]
    amounts = rules.given_back(arrived, row.refund_amount, row.fee)
    return tuple(
        RefundedLine(order_line_id=sent.order_line_id, amount=amount)
        for sent, amount in zip(arrived, amounts, strict=True)
    )
