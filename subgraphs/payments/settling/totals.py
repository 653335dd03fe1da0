"""Totals the books by day: a trial balance then reads some rows a day, and of the entries only the newest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Integer, Table, bindparam, func, literal, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from db.ids import first_ulid_at
from db.session import Database
from db.statements import upsert
from subgraphs.kit.workers import repeat
from subgraphs.payments.models import bookkeeping, ledger, ledger_days, transfers
from subgraphs.payments.settings import Settings
from subgraphs.payments.settling.positions import held_position, move_position
from subgraphs.payments.settling.rules import seoul_day

BATCH = 1000
_Key = tuple[date, str, str]


class Totals:
    """The worker."""

    def __init__(self, database: Database, settings: Settings, now: Callable[[], datetime]) -> None:
        self._database = database
        self._settings = settings
        self._now = now

    async def run(self) -> None:
        """Total what is new, until cancelled."""
        await repeat("payments.totals", self.drain, every=self._settings.bookkeeping_seconds)

    async def drain(self) -> None:
        """Total all that is old enough: as with the bookkeeper, what has an older id is committed by then."""
        for table in (ledger, transfers):
            while await self._database.run(lambda tx, table=table: self._add(tx, table)):  # type: ignore[misc]
                pass

    async def _add(self, tx: AsyncConnection, table: Table) -> bool:
        """One batch; whether there may be more."""
        name = reader_of(table)
        position = await held_position(tx, name)
        horizon = first_ulid_at(self._now() - timedelta(seconds=self._settings.bookkeeping_delay_seconds))
        new = (
            select(table)
            .where(table.c.id > bindparam("after"), table.c.id < bindparam("before"))
            .order_by(table.c.id)
            .limit(bindparam("batch", type_=Integer()))
        )
        found = await tx.execute(new, {"after": position, "before": horizon, "batch": BATCH})
        rows = found.mappings().all()
        if not rows:
            return False
        sums: dict[_Key, list[int]] = defaultdict(lambda: [0, 0])
        for row in rows:
            for account, debit, credit in _sides(table, row):
                both = sums[seoul_day(row["booked_at"]), account, row["currency"]]
                both[0] += debit
                both[1] += credit
        await _keep(tx, sums)
        await move_position(tx, name, rows[-1]["id"])
        return len(rows) == BATCH


def reader_of(table: Table) -> str:
    """The name of who totals this table."""
    return f"totals of {'entries' if table is ledger else 'transfers'}"


def sides(end: datetime, last: date) -> Any:
    """Everything booked before ``end`` as rows of account, currency, debit and credit: the totals up to the day
    ``last``, and one by one what is not totalled yet."""
    days = ledger_days.c
    nothing = literal(0)
    moved = transfers.c
    totalled = select(days.account, days.currency, days.debit, days.credit).where(days.day <= last)
    entries = select(ledger.c.account, ledger.c.currency, ledger.c.debit, ledger.c.credit)
    debits = select(moved.debit_account, moved.currency, moved.amount, nothing.label("credit"))
    credits = select(moved.credit_account, moved.currency, nothing.label("debit"), moved.amount)
    new_entries = (ledger.c.id > position_of(ledger), ledger.c.booked_at < end)
    new_transfers = (moved.id > position_of(transfers), moved.booked_at < end)
    return union_all(
        totalled, entries.where(*new_entries), debits.where(*new_transfers), credits.where(*new_transfers)
    ).subquery()


def position_of(table: Table) -> Any:
    """How far the table is totalled."""
    own = select(bookkeeping.c.position).where(bookkeeping.c.name == reader_of(table))
    return func.coalesce(own.scalar_subquery(), "")


def _sides(table: Table, row: Any) -> Sequence[tuple[str, int, int]]:
    if table is ledger:
        return ((row["account"], row["debit"], row["credit"]),)
    return ((row["debit_account"], row["amount"], 0), (row["credit_account"], 0, row["amount"]))


async def _keep(tx: AsyncConnection, sums: dict[_Key, list[int]]) -> None:
    """Add to what is totalled. Nobody else does: the position is held."""
    key = (ledger_days.c.day, ledger_days.c.account, ledger_days.c.currency)
    known = select(*key, ledger_days.c.debit, ledger_days.c.credit).where(tuple_(*key).in_(list(sums)))
    for day, account, currency, debit, credit in (await tx.execute(known)).all():
        sums[day, account, currency][0] += debit
        sums[day, account, currency][1] += credit
    rows = [
        {"day": day, "account": account, "currency": currency, "debit": debit, "credit": credit}
        for (day, account, currency), (debit, credit) in sorted(sums.items())
    ]
    await upsert(tx, ledger_days, rows)
