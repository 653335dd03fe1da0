"""Closing a settlement: what a seller earned before a day and was not settled yet, once and for ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from db.session import Database
from messaging.events.payments import PayoutAccountRequested, SettlementClosed
from messaging.outbox import record
from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.idempotency import Request
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.workers import repeat
from subgraphs.payments import models
from subgraphs.payments.effects import SOURCE, Row
from subgraphs.payments.intake import CURRENCY
from subgraphs.payments.models import outbox, partners, payout_accounts, seller_entries, settlements
from subgraphs.payments.settings import Settings
from subgraphs.payments.settling.bookkeeper import NAME, Bookkeeper
from subgraphs.payments.settling.positions import held_position
from subgraphs.payments.settling.rules import SettlementStatus, midnight, seoul_day

SCOPE = "settlements:write"
PART = 2000
"""Entries that are taken at once: more would hold a database too long."""


class _Unfinished(Exception):
    """An earlier settlement of the seller is still being closed."""

    def __init__(self, settlement_id: str) -> None:
        super().__init__(settlement_id)
        self.settlement_id = settlement_id


class Closing:
    """A settlement is opened, takes the entries part by part (a seller may have hundreds of thousands), and is closed
    with the last. Whoever finds one open goes on with it. ``wake`` is called after closing: it wakes the relay."""

    def __init__(
        self,
        database: Database,
        bookkeeper: Bookkeeper,
        settings: Settings,
        now: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._bookkeeper = bookkeeper
        self._settings = settings
        self._now = now
        self._wake = wake

    async def run(self) -> None:
        """Go on with what a process that died has begun, until cancelled."""
        await repeat("payments.closing", self.finish_all, every=self._settings.bookkeeping_seconds)

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
        settlement_id = await self._opened(request, partner_id, period_end)
        failpoint("payments.settlement.after_open")
        await self.finish(settlement_id)
        return settlement_id

    async def finish_all(self) -> None:
        """Close every settlement that is open, the oldest first."""
        query = select(settlements.c.id).where(settlements.c.status == SettlementStatus.OPEN.value)
        async with self._database.read() as connection:
            found = (await connection.execute(query.order_by(settlements.c.id))).scalars().all()
        for settlement_id in found:
            await self.finish(settlement_id)

    async def finish(self, settlement_id: str) -> None:
        """Close it, if it is open."""
        while not await self._database.run(lambda tx: self._take(tx, settlement_id)):
            failpoint("payments.settlement.after_part")
        self._wake()

    async def _opened(self, request: Request, partner_id: str, period_end: date) -> str:
        async def work(tx: AsyncConnection) -> str:
            earlier = await idempotency.claim_one(tx, models.idempotency, request)
            if earlier is not None:
                return str(earlier)
            settlement_id = await self._open(tx, partner_id, period_end)
            await idempotency.answer(tx, models.idempotency, [(request, settlement_id)])
            return settlement_id

        while True:
            try:
                return await self._database.run(work)
            except _Unfinished as earlier:
                await self.finish(earlier.settlement_id)

    async def _open(self, tx: AsyncConnection, partner_id: str, period_end: date) -> str:
        # The seller's row is the lock: of two at once the second finds what the first has opened.
        held = select(partners.c.partner_id).where(partners.c.partner_id == partner_id).with_for_update()
        if (await tx.execute(held)).first() is None:
            raise Rejected("NOT_FOUND", "No seller has this id.", ["partnerId"])
        last = await _last(tx, partner_id)
        if last is not None and last["period_end"] == period_end:
            return str(last["id"])
        if last is not None and last["period_end"] > period_end:
            raise Rejected("NOT_ALLOWED", f"Closed up to {last['period_end']} already.", ["periodEnd"])
        if last is not None and last["status"] == SettlementStatus.OPEN.value:
            raise _Unfinished(last["id"])
        first = select(func.min(seller_entries.c.occurred_at)).where(*_unsettled(partner_id, period_end))
        began = (await tx.execute(first)).scalar_one()
        if began is None:
            raise Rejected("NOT_ALLOWED", "There is nothing to settle.", ["periodEnd"])
        row = _new(partner_id, seoul_day(began) if last is None else last["period_end"], period_end, self._now())
        await tx.execute(insert(settlements).values(**row))
        known = select(payout_accounts.c.version).where(payout_accounts.c.partner_id == partner_id)
        if (await tx.execute(known)).first() is None:
            await record(tx, outbox, SOURCE, [PayoutAccountRequested(partner_id=partner_id)])
        return str(row["id"])

    async def _take(self, tx: AsyncConnection, settlement_id: str) -> bool:
        """Take the next part of the entries, and close with the last one; whether it is closed."""
        held = select(settlements).where(settlements.c.id == settlement_id).with_for_update()
        row = dict((await tx.execute(held)).mappings().one())
        if row["status"] != SettlementStatus.OPEN.value:
            return True
        await held_position(tx, NAME)  # what is summed is what is taken: the bookkeeper adds nothing meanwhile
        mine = _unsettled(row["partner_id"], row["period_end"])
        when = seller_entries.c.occurred_at
        bound = (await tx.execute(select(when).where(*mine).order_by(when).offset(PART - 1).limit(1))).scalar()
        part = mine if bound is None else (*mine, when <= bound)
        row |= await _sums(tx, row, part)
        await tx.execute(update(seller_entries).where(*part).values(settlement_id=settlement_id))
        if bound is not None:
            row["payable"] = row["net"]
            await tx.execute(update(settlements).where(settlements.c.id == settlement_id).values(**row))
            return False
        last = await _last(tx, row["partner_id"], before=row["period_end"])
        row["carried"] = min(0, last["payable"]) if last is not None else 0
        row["payable"] = row["net"] + row["carried"]
        to_pay = row["payable"] > 0
        row["status"] = (SettlementStatus.CLOSED if to_pay else SettlementStatus.HELD).value
        row["closed_at"] = self._now()
        await tx.execute(update(settlements).where(settlements.c.id == settlement_id).values(**row))
        await record(tx, outbox, SOURCE, [_closed(row)])
        failpoint("payments.settlement.before_commit")
        return True


def _unsettled(partner_id: str, period_end: date) -> tuple[ColumnElement[bool], ...]:
    """What the seller earned before a day, and no settlement has taken."""
    return (
        seller_entries.c.partner_id == partner_id,
        seller_entries.c.settlement_id.is_(None),
        seller_entries.c.currency == CURRENCY,
        seller_entries.c.occurred_at < midnight(period_end),
    )


async def _last(tx: AsyncConnection, partner_id: str, before: date | None = None) -> Row | None:
    """The seller's latest settlement, or the latest one whose period ended earlier."""
    mine = select(settlements).where(settlements.c.partner_id == partner_id, settlements.c.currency == CURRENCY)
    mine = mine if before is None else mine.where(settlements.c.period_end < before)
    row = (await tx.execute(mine.order_by(settlements.c.period_end.desc()).limit(1))).mappings().one_or_none()
    return None if row is None else dict(row)


def _new(partner_id: str, start: date, end: date, now: datetime) -> Row:
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


async def _sums(tx: AsyncConnection, before: Row, part: Sequence[ColumnElement[bool]]) -> dict[str, int]:
    """What the settlement comes to with these entries, too."""
    entry = seller_entries.c
    sums = (
        func.sum(case((entry.gross > 0, entry.gross), else_=0)),
        func.sum(case((entry.gross < 0, -entry.gross), else_=0)),
        func.sum(entry.commission),
        func.sum(entry.tax),
    )
    added = (await tx.execute(select(*sums).where(*part))).one()
    names = ("gross", "refunds", "commission", "tax")
    after = {name: before[name] + int(more or 0) for name, more in zip(names, added, strict=True)}
    return after | {"net": after["gross"] - after["refunds"] - after["commission"] - after["tax"]}


def _closed(row: Row) -> SettlementClosed:
    names = ("partner_id", "period_start", "period_end", "net", "payable", "currency")
    return SettlementClosed(settlement_id=row["id"], **{name: row[name] for name in names})
