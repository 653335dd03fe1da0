"""What can be seen of settlements: the trial balance, lists, lines, and how a seller stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import ColumnElement, Select, String, and_, case, cast, func, select

from db.session import Database
from db.statements import after
from subgraphs.kit.pagination import Cursors, Page, page_size
from subgraphs.payments.effects import Row
from subgraphs.payments.intake import CURRENCY
from subgraphs.payments.models import partners, payouts, seller_entries, settlements
from subgraphs.payments.settling.rules import SettlementStatus, midnight
from subgraphs.payments.settling.totals import sides as booked

_LINES = "settlement_lines"
_LIST = "settlements"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a seller stands, in minor units: not settled yet, settled and not paid out yet (negative: what he owes),
    and paid out. The three sum to all that he ever earned."""

    pending: int = 0
    available: int = 0
    paid_out: int = 0
    currency: str = CURRENCY


class Reading:
    """Reads of the primary database: money is not shown from a replica."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trial_balance(self, as_of: date) -> list[Row]:
        """What was booked on each account up to the end of a day in Seoul, on either side."""
        sides = booked(midnight(as_of + timedelta(days=1)), as_of)
        about = (sides.c.account, sides.c.currency)
        query = select(*about, func.sum(sides.c.debit), func.sum(sides.c.credit)).group_by(*about).order_by(*about)
        async with self._database.read() as connection:
            return [
                {"account": account, "currency": currency, "debit": int(debit), "credit": int(credit)}
                for account, currency, debit, credit in await connection.execute(query)
            ]

    async def settlements_by_id(self, ids: Sequence[str]) -> list[Row | None]:
        async with self._database.read() as connection:
            rows = (await connection.execute(select(settlements).where(settlements.c.id.in_(ids)))).mappings()
            found = {row["id"]: dict(row) for row in rows}
        return [found.get(id) for id in ids]

    async def partners_by_id(self, ids: Sequence[str]) -> list[Row | None]:
        """The copies of sellers, with their members."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(partners).where(partners.c.partner_id.in_(ids)))).mappings()
            found = {row["partner_id"]: dict(row) for row in rows}
        return [found.get(id) for id in ids]

    async def payouts_of(self, settlement_ids: Sequence[str]) -> list[Row | None]:
        """The latest payout of each settlement."""
        query = select(payouts).where(payouts.c.settlement_id.in_(settlement_ids)).order_by(payouts.c.id)
        async with self._database.read() as connection:
            found = {row["settlement_id"]: dict(row) for row in (await connection.execute(query)).mappings()}
        return [found.get(id) for id in settlement_ids]

    async def standings(self, partner_ids: Sequence[str]) -> list[Standing]:
        """How sellers stand, each as one moment shows it."""
        async with self._database.read() as connection:
            found = {
                row.partner_id: Standing(int(row.pending), int(row.available), int(row.paid_out))
                for row in await connection.execute(_standings(partner_ids))
            }
        return [found.get(id, Standing()) for id in partner_ids]

    async def settlements_between(
        self,
        start: date,
        end: date,
        seen: Sequence[ColumnElement[bool]],
        first: int | None,
        cursor: str | None,
        cursors: Cursors,
    ) -> Page[Row]:
        """Settlements of periods that have a day between the two (both included), the latest first; ``seen`` narrows
        them to what the caller may see. Raises InvalidPage."""
        size = page_size(first)
        order = (settlements.c.period_end, settlements.c.id)
        overlap = (settlements.c.period_start <= end, settlements.c.period_end > start)
        query = select(settlements).where(*overlap, *seen)
        if cursor is not None:
            day, id = cursors.decode(_LIST, cursor)
            query = query.where(after(order, (date.fromisoformat(day), id), descending=True))
        rows = await self._rows(query.order_by(*(each.desc() for each in order)).limit(size + 1))
        return cursors.page(_LIST, rows, size, cursor, lambda row: [row["period_end"].isoformat(), row["id"]])

    async def lines(self, settlement_id: str, first: int | None, cursor: str | None, cursors: Cursors) -> Page[Row]:
        """What a settlement is the sum of, the oldest first. Raises InvalidPage."""
        size = page_size(first, default=50)
        order = (seller_entries.c.booking_id, seller_entries.c.order_line_id)
        query = select(seller_entries).where(seller_entries.c.settlement_id == settlement_id)
        if cursor is not None:
            query = query.where(after(order, cursors.decode(_LINES, cursor)))
        rows = await self._rows(query.order_by(*order).limit(size + 1))
        return cursors.page(_LINES, rows, size, cursor, lambda row: [row["booking_id"], row["order_line_id"]])

    async def _rows(self, query: Select[tuple[object, ...]]) -> list[Row]:
        async with self._database.read() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]


def of_partner(partner_id: str) -> ColumnElement[bool]:
    """Settlements of this seller."""
    return settlements.c.partner_id == partner_id


def of_member(user_id: str) -> ColumnElement[bool]:
    """Settlements of the sellers that the user works for."""
    # A list of ULIDs as text: the quotes keep one from being a part of another.
    mine = cast(partners.c.member_ids, String).contains(f'"{user_id}"', autoescape=True)
    return settlements.c.partner_id.in_(select(partners.c.partner_id).where(mine))


def _standings(partner_ids: Sequence[str]) -> Select[tuple[str, int, int, int]]:
    entry, row = seller_entries.c, settlements.c
    mine, open_ = row.partner_id == partners.c.partner_id, row.status == SettlementStatus.OPEN.value
    net = select(func.sum(entry.gross - entry.commission - entry.tax))
    # Two sums, each by its own index: together they would go through all that was ever settled.
    unsettled = net.where(entry.partner_id == partners.c.partner_id, entry.settlement_id.is_(None))
    being_closed = select(row.id).where(mine, open_).correlate(partners)
    settling = net.where(entry.settlement_id.in_(being_closed))
    paid = case((row.status == SettlementStatus.PAID.value, row.payable), else_=0)
    waits = case((and_(row.status != SettlementStatus.PAID.value, ~open_, row.payable > 0), row.payable), else_=0)
    last = select(row.payable).where(mine, ~open_).order_by(row.period_end.desc()).limit(1).scalar_subquery()
    return select(
        partners.c.partner_id,
        (_or_zero(unsettled) + _or_zero(settling)).label("pending"),
        (_or_zero(select(func.sum(waits)).where(mine)) + func.coalesce(case((last < 0, last), else_=0), 0)).label(
            "available"
        ),
        _or_zero(select(func.sum(paid)).where(mine)).label("paid_out"),
    ).where(partners.c.partner_id.in_(partner_ids))


def _or_zero(query: Select[tuple[int]]) -> ColumnElement[int]:
    return func.coalesce(query.scalar_subquery(), 0)
