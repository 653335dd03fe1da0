"""Closing a settlement: what a seller earned before a day and was not settled yet, once and for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from sqlalchemy import case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from db.session import Database
from messaging.events.payments import SettlementClosed
from messaging.outbox import record
from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.idempotency import Request
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.payments import models
from subgraphs.payments.effects import SOURCE, Row
from subgraphs.payments.intake import CURRENCY
from subgraphs.payments.models import outbox, partners, seller_entries, settlements
from subgraphs.payments.settling.bookkeeper import Bookkeeper
from subgraphs.payments.settling.rules import SettlementStatus, midnight, seoul_day

SCOPE = "settlements:write"


class Closing:
    """``wake`` is called after a commit: it wakes the relay."""

    def __init__(
        self, database: Database, bookkeeper: Bookkeeper, now: Callable[[], datetime], wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._bookkeeper = bookkeeper
        self._now = now
        self._wake = wake

    async def close(self, identity: Identity, partner_id: str, period_end: date, key: str) -> str:
        """Close what the seller earned before ``period_end``; the settlement's id, also of one closed before.

        Raises AccessDenied; Rejected INVALID (the period is not over), NOT_FOUND (no such seller), NOT_ALLOWED (a
        later period is closed, or there is nothing to settle).
        """
        identity.require_scope(SCOPE)
        idempotency.check_key(key)
        if period_end > seoul_day(self._now()):
            raise Rejected("INVALID", "The period is not over.", ["periodEnd"])
        body = {"partnerId": partner_id, "periodEnd": period_end.isoformat()}
        request = Request(f"{identity.user_id}:settlementClose", key, body, new_ulid())
        await self._bookkeeper.drain()

        async def work(tx: AsyncConnection) -> str:
            (earlier,) = await idempotency.claim(tx, models.idempotency, [request])
            if isinstance(earlier, Rejected):
                raise earlier
            if earlier is not None:
                return str(earlier)
            settlement_id = await self._close(tx, partner_id, period_end)
            await idempotency.answer(tx, models.idempotency, [(request, settlement_id)])
            failpoint("payments.settlement.before_commit")
            return settlement_id

        settlement_id = await self._database.run(work)
        failpoint("payments.settlement.after_commit")
        self._wake()
        return settlement_id

    async def _close(self, tx: AsyncConnection, partner_id: str, period_end: date) -> str:
        # The seller's row is the lock: of two at once the second finds what the first has closed.
        held = select(partners.c.partner_id).where(partners.c.partner_id == partner_id).with_for_update()
        if (await tx.execute(held)).first() is None:
            raise Rejected("NOT_FOUND", "No seller has this id.", ["partnerId"])
        last = await _last(tx, partner_id)
        if last is not None and last["period_end"] >= period_end:
            if last["period_end"] == period_end:
                return str(last["id"])
            raise Rejected("NOT_ALLOWED", f"Closed up to {last['period_end']} already.", ["periodEnd"])
        mine = (
            seller_entries.c.partner_id == partner_id,
            seller_entries.c.settlement_id.is_(None),
            seller_entries.c.currency == CURRENCY,
            seller_entries.c.occurred_at < midnight(period_end),
        )
        first = (await tx.execute(select(func.min(seller_entries.c.occurred_at)).where(*mine))).scalar_one()
        if first is None:
            raise Rejected("NOT_ALLOWED", "There is nothing to settle.", ["periodEnd"])
        row = _opened(partner_id, seoul_day(first) if last is None else last["period_end"], period_end, self._now())
        await tx.execute(insert(settlements).values(**row))
        # What is summed is what was taken: the bookkeeper may be adding more at this moment.
        await tx.execute(update(seller_entries).where(*mine).values(settlement_id=row["id"]))
        row |= await _sums(tx, row["id"])
        row["carried"] = min(0, last["payable"]) if last is not None else 0
        row["payable"] = row["net"] + row["carried"]
        to_pay = row["payable"] > 0
        row["status"] = (SettlementStatus.CLOSED if to_pay else SettlementStatus.HELD).value
        await tx.execute(update(settlements).where(settlements.c.id == row["id"]).values(**row))
        await record(tx, outbox, SOURCE, [_closed(row)])
        return str(row["id"])


async def _last(tx: AsyncConnection, partner_id: str) -> Row | None:
    """The seller's latest settlement."""
    mine = select(settlements).where(settlements.c.partner_id == partner_id, settlements.c.currency == CURRENCY)
    row = (await tx.execute(mine.order_by(settlements.c.period_end.desc()).limit(1))).mappings().one_or_none()
    return None if row is None else dict(row)


def _opened(partner_id: str, start: date, end: date, now: datetime) -> Row:
    amounts = dict.fromkeys(("gross", "refunds", "commission", "tax", "net", "carried", "payable"), 0)
    return {
        "id": new_ulid(),
        "partner_id": partner_id,
        "period_start": start,
        "period_end": end,
        "currency": CURRENCY,
        "status": SettlementStatus.OPEN.value,
        "closed_at": now,
        **amounts,
    }


async def _sums(tx: AsyncConnection, settlement_id: str) -> dict[str, int]:
    entry = seller_entries.c
    query = select(
        func.sum(case((entry.gross > 0, entry.gross), else_=0)),
        func.sum(case((entry.gross < 0, -entry.gross), else_=0)),
        func.sum(entry.commission),
        func.sum(entry.tax),
    ).where(entry.settlement_id == settlement_id)
    gross, refunds, commission, tax = (int(each) for each in (await tx.execute(query)).one())
    net = gross - refunds - commission - tax
    return {"gross": gross, "refunds": refunds, "commission": commission, "tax": tax, "net": net}


def _closed(row: Row) -> SettlementClosed:
    names = ("partner_id", "period_start", "period_end", "net", "payable", "currency")
    return SettlementClosed(settlement_id=row["id"], **{name: row[name] for name in names})
