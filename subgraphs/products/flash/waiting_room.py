"""The waiting room: one ticket a customer, a line drawn at the opening, and admission in its order.

Nobody's position is written anywhere: it is his number less the number up to which people were let in, so that a step
of the line is one row, however many wait.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, exists, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import skip_locked
from subgraphs.kit.errors import Rejected
from subgraphs.kit.ids import new_ulid
from subgraphs.products.flash.domain import (
    ClaimState,
    QueueTicketStatus,
    RateLimits,
    admit_count,
    drawn,
    next_rate,
    percentile,
)
from subgraphs.products.flash.models import claims, items, sales, tickets
from subgraphs.products.settings import Settings

WAITING, ADMITTED, EXPIRED, LEFT = (status.value for status in QueueTicketStatus)
IDLE_SECONDS = 2.0
"""A longer pause between two admissions counts as this: nobody is let in for time in which nothing could be sold."""
RATE_EVERY = timedelta(seconds=1)
MEASURED = timedelta(seconds=10)
Entry = tuple[str, str]


async def enter(tx: AsyncConnection, entries: Sequence[Entry], now: datetime) -> list[str | Rejected]:
    """For each (sale, customer) the ticket: the one that he has, or a new one at the end of the line."""
    ids = sorted({sale_id for sale_id, _ in entries})
    locked = await tx.execute(select(sales).where(sales.c.id.in_(ids)).order_by(sales.c.id).with_for_update())
    open_sales = {row.id: row for row in locked}
    query = select(tickets).where(tuple_(tickets.c.sale_id, tickets.c.user_id).in_(sorted(set(entries))))
    known = {(row.sale_id, row.user_id): row for row in await tx.execute(query)}
    last = {sale_id: sale.last_number for sale_id, sale in open_sales.items()}
    results: dict[Entry, str | Rejected] = {}
    new, again = [], []
    for entry in dict.fromkeys(entries):
        sale, ticket = open_sales.get(entry[0]), known.get(entry)
        if sale is None:
            results[entry] = Rejected("NOT_FOUND", "No FlashSale has this id.", ["id"])
        elif now >= sale.ends_at:
            results[entry] = Rejected("SALE_NOT_OPEN", "The sale is over.", ["id"])
        elif ticket is not None and _is_good(ticket, now):
            results[entry] = ticket.id
        else:
            number = None
            if sale.drawn_at is not None:
                last[sale.id] += 1
                number = last[sale.id]
            results[entry] = ticket.id if ticket is not None else new_ulid()
            row = {"number": number, "status": WAITING, "entered_at": now}
            if ticket is None:
                new.append({"id": results[entry], "sale_id": sale.id, "user_id": entry[1], **row})
            else:
                again.append({"b_id": ticket.id, **row, "admitted_at": None, "admission_expires_at": None})
    if new:
        await tx.execute(insert(tickets), new)
    if again:
        await tx.execute(update(tickets).where(tickets.c.id == bindparam("b_id")), again)
    for sale_id, number in last.items():
        if number != open_sales[sale_id].last_number:
            await tx.execute(update(sales).where(sales.c.id == sale_id).values(last_number=number))
    return [results[entry] for entry in entries]


def _is_good(ticket: Row[Any], now: datetime) -> bool:
    if ticket.status == ADMITTED:
        return bool(ticket.admission_expires_at > now)
    return bool(ticket.status == WAITING)


async def running(tx: AsyncConnection, now: datetime) -> list[str]:
    """The sales that time has opened and not ended."""
    query = select(sales.c.id).where(sales.c.starts_at <= now, sales.c.ends_at > now).order_by(sales.c.id)
    return list((await tx.execute(query)).scalars())


async def advance(tx: AsyncConnection, sale_id: str, now: datetime, settings: Settings) -> bool:
    """A step of one waiting room: draw the line, end admissions, let people in. Whether anything moved.

    Only one process at a time: another that looks meanwhile does nothing.
    """
    sale = (await tx.execute(skip_locked(select(sales).where(sales.c.id == sale_id)))).one_or_none()
    if sale is None or sale.ends_at <= now:
        return False
    if sale.drawn_at is None:
        await _draw(tx, sale, now)
        return True
    ended = await _expire(tx, sale, now)
    rate = await _rate(tx, sale, now, settings)
    let_in = await _admit(tx, sale, rate, now, settings)
    return bool(ended or let_in)


async def leave(tx: AsyncConnection, sale_ids: Sequence[str]) -> None:
    """The sales are over: whoever still waits need not."""
    waiting = update(tickets).where(tickets.c.sale_id.in_(sale_ids), tickets.c.status == WAITING)
    await tx.execute(waiting.values(status=LEFT))


async def _draw(tx: AsyncConnection, sale: Row[Any], now: datetime) -> None:
    """Number those who came before the opening by lot, then those who came since in the order of their coming."""
    query = select(tickets.c.id, tickets.c.entered_at).where(tickets.c.sale_id == sale.id, tickets.c.status == WAITING)
    rows = list(await tx.execute(query.order_by(tickets.c.entered_at, tickets.c.id)))
    seed = secrets.token_hex(32)
    line = drawn((row.id for row in rows if row.entered_at < sale.starts_at), seed)
    line += [row.id for row in rows if row.entered_at >= sale.starts_at]
    if line:
        numbered = update(tickets).where(tickets.c.id == bindparam("b_id")).values(number=bindparam("b_number"))
        await tx.execute(numbered, [{"b_id": ticket, "b_number": n} for n, ticket in enumerate(line, start=1)])
    opened = {"drawn_at": now, "draw_seed": seed, "last_number": len(line)}
    await tx.execute(update(sales).where(sales.c.id == sale.id).values(**opened, last_admission_at=now))


def _unused() -> ColumnElement[bool]:
    return ~exists().where(claims.c.ticket_id == tickets.c.id)


async def _expire(tx: AsyncConnection, sale: Row[Any], now: datetime) -> int:
    over = (tickets.c.sale_id == sale.id, tickets.c.status == ADMITTED, tickets.c.admission_expires_at <= now)
    done = await tx.execute(update(tickets).where(*over, _unused()).values(status=EXPIRED))
    return done.rowcount


async def _admit(tx: AsyncConnection, sale: Row[Any], rate: int, now: datetime, settings: Settings) -> int:
    remaining = (await tx.execute(select(func.sum(items.c.remaining)).where(items.c.sale_id == sale.id))).scalar() or 0
    inside = (tickets.c.sale_id == sale.id, tickets.c.status == ADMITTED, tickets.c.admission_expires_at > now)
    outstanding = (await tx.execute(select(func.count()).select_from(tickets).where(*inside, _unused()))).scalar_one()
    since = min((now - (sale.last_admission_at or now)).total_seconds(), IDLE_SECONDS)
    waiting = sale.last_number - sale.admitted_through
    wanted = admit_count(
        rate,
        since,
        waiting,
        int(remaining),
        outstanding,
        settings.flash_overbooking_percent,
    )
    if not wanted:
        return 0
    line = (tickets.c.sale_id == sale.id, tickets.c.status == WAITING, tickets.c.number > sale.admitted_through)
    query = select(tickets.c.id, tickets.c.number).where(*line).order_by(tickets.c.number).limit(wanted)
    let_in = list(await tx.execute(query))
    through = let_in[-1].number if let_in else sale.last_number
    until = now + timedelta(seconds=settings.flash_admission_seconds)
    admitted = {"status": ADMITTED, "admitted_at": now, "admission_expires_at": until}
    await tx.execute(update(tickets).where(tickets.c.id.in_([row.id for row in let_in])).values(admitted))
    # What is left of the time counts for the next ones: a fraction of a person is let in then.
    left = timedelta(seconds=max(since - wanted * 60 / rate, 0.0))
    moved = {"admitted_through": through, "last_admission_at": now - left}
    await tx.execute(update(sales).where(sales.c.id == sale.id).values(moved))
    return len(let_in)


async def _rate(tx: AsyncConnection, sale: Row[Any], now: datetime, settings: Settings) -> int:
    """People a minute, adapted once a second to how long recent checkouts took."""
    if sale.rate_changed_at is not None and now - sale.rate_changed_at < RATE_EVERY:
        return int(sale.admission_rate)
    limits = RateLimits(settings.flash_rate_least, settings.flash_rate_most, settings.flash_target_seconds)
    rate = next_rate(sale.admission_rate, await _checkout_seconds(tx, sale.id, now), limits)
    await tx.execute(update(sales).where(sales.c.id == sale.id).values(admission_rate=rate, rate_changed_at=now))
    return rate


async def _checkout_seconds(tx: AsyncConnection, sale_id: str, now: datetime) -> float | None:
    """From order to payment, 95 % of the recent ones; those that still wait count with the time so far."""
    query = select(claims.c.ordered_at, claims.c.paid_at).join(items, items.c.id == claims.c.item_id)
    recent = claims.c.paid_at > now - MEASURED
    pending = (
        (claims.c.state == ClaimState.ORDERED.value)
        & claims.c.paid_at.is_(None)
        & (claims.c.ordered_at > now - 6 * MEASURED)
    )
    rows = await tx.execute(query.where(items.c.sale_id == sale_id, recent | pending))
    taken = [((row.paid_at or now) - row.ordered_at).total_seconds() for row in rows]
    return percentile(taken, 95)
