"""Works out from the ledger's captures and refunds what each seller earned, behind the purchases and not among them.

It reads the ledger once, in the order of its ids, up to a moment ago: whatever has an older id is committed by then or
never will be. A batch's seller entries, the transfers that are their sum, and how far it has read are one transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Integer, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_rows
from db.failpoints import failpoint
from db.ids import first_ulid_at
from db.prepared import Prepared
from db.session import Database
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.workers import repeat
from subgraphs.payments.domain import Booking
from subgraphs.payments.effects import BUYERS, Row
from subgraphs.payments.models import (
    commissions,
    ledger,
    payments,
    refund_lines,
    seller_entries,
    transfers,
)
from subgraphs.payments.settings import Settings
from subgraphs.payments.settling.positions import held_position, move_position
from subgraphs.payments.settling.rules import Earning, Terms, earning, given_back, seoul_day, shares

SELLERS, COMMISSION, TAX, SHOP = "seller_payable", "commission_income", "commission_tax_payable", "shop_income"
NAME = "seller_entries"
BATCH = 200
_ORDER = "Order"


class Bookkeeper:
    """The worker, also asked to catch up before a settlement is closed."""

    def __init__(self, database: Database, settings: Settings, now: Callable[[], datetime]) -> None:
        self._database = database
        self._settings = settings
        self._now = now

    async def run(self) -> None:
        """Keep the books, until cancelled."""
        await repeat("payments.bookkeeper", self.drain, every=self._settings.bookkeeping_seconds)

    async def drain(self) -> None:
        """Account for all that is old enough."""
        while await self._database.run(self._book):
            pass

    async def _book(self, tx: AsyncConnection) -> bool:
        """One batch; whether there may be more."""
        position = await held_position(tx, NAME)
        horizon = first_ulid_at(self._now() - timedelta(seconds=self._settings.bookkeeping_delay_seconds))
        new = await _NEW.dicts(tx, after=position, before=horizon, batch=BATCH)
        if not new:
            return False
        last = new[-1]["id"]
        books = await _Books.of(tx, new, self._settings.commission_tax_basis_points)
        entries = [entry for booking in sorted(new, key=_in_order) for entry in books.entries(booking)]
        await insert_rows(tx, seller_entries, entries)
        await insert_rows(tx, transfers, books.transfers(last))
        await move_position(tx, NAME, last)
        failpoint("payments.books.before_commit")
        return len(new) == BATCH


class _Books:
    """What is left of the payments of a batch, line by line, as its bookings are gone through in order."""

    def __init__(self, tax_basis_points: int) -> None:
        self._tax = tax_basis_points
        self._lines: dict[str, list[Row]] = defaultdict(list)
        self._held: dict[str, Earning] = {}
        self._terms: dict[str, Terms] = {}
        self._balance: dict[str, int] = defaultdict(int)
        self._orders: dict[str, str] = {}
        self._named: dict[str, dict[str, int]] = defaultdict(dict)
        self._moved: dict[tuple[str, str, str, date], int] = defaultdict(int)
        self._booked_at: dict[date, datetime] = {}

    @classmethod
    async def of(cls, tx: AsyncConnection, new: Sequence[Row], tax_basis_points: int) -> _Books:
        """With what is known of the payments before these bookings."""
        books = cls(tax_basis_points)
        paid = sorted({row["payment_id"] for row in new})
        books._orders = {id: order for id, type, order in await _PAID.rows(tx, ids=paid) if type == _ORDER}
        for row in await _LINES.dicts(tx, ids=sorted(set(books._orders.values()))):
            books._lines[row["order_id"]].append(row)
        lines = [row["order_line_id"] for rows in books._lines.values() for row in rows]
        for id, rate, tax, gross, fee, fee_tax in await _HELD.rows(tx, ids=lines):
            books._held[id] = Earning(int(gross), int(fee), int(fee_tax))
            books._terms[id] = Terms(rate, tax)
        ids = {row["id"] for row in new}
        for id, payment_id, amount in await _BALANCES.rows(tx, ids=paid, last=new[-1]["id"]):
            books._balance[payment_id] += 0 if id in ids else int(amount)
        named = [row["reference"] for row in new if row["booking"] == Booking.REFUND.value]
        for refund_id, line_id, amount in await _NAMED.rows(tx, ids=named) if named else ():
            books._named[refund_id][line_id] = amount
        return books

    def entries(self, booking: Row) -> Iterator[Row]:
        """What a booking did to sellers. Raises ValueError for a refund of more than is left."""
        amount, payment_id = booking["credit"] - booking["debit"], booking["payment_id"]
        order_id = self._orders.get(payment_id)
        if order_id is None:
            return  # a pledge's: it is no seller's yet
        lines = self._lines[order_id]
        if booking["booking"] == Booking.CAPTURE.value:
            changes = [self._sold(line) for line in lines]
        else:
            changes = self._taken_back(booking, lines, -amount)
        self._balance[payment_id] += amount
        day = seoul_day(booking["booked_at"])
        self._booked_at[day] = max(booking["booked_at"], self._booked_at.get(day, booking["booked_at"]))
        of_lines = sum(change.gross for change in changes)
        self._move(BUYERS, SHOP, amount - of_lines, booking["currency"], day)
        for line, change in zip(lines, changes, strict=True):
            if change == Earning():
                continue
            id = line["order_line_id"]
            self._held[id] = self._held.get(id, Earning()) + change
            self._move(BUYERS, SELLERS, change.gross, booking["currency"], day)
            self._move(SELLERS, COMMISSION, change.commission, booking["currency"], day)
            self._move(SELLERS, TAX, change.tax, booking["currency"], day)
            yield _entry(booking, line, self._terms[id], change)

    def transfers(self, reference: str) -> list[Row]:
        """The sums of all that was moved, a row for two accounts and a day."""
        return [
            {
                "id": new_ulid(),
                "reference": f"{reference}:{day}",
                "debit_account": debit,
                "credit_account": credit,
                "amount": amount,
                "currency": currency,
                "booked_at": self._booked_at[day],
            }
            for (debit, credit, currency, day), amount in sorted(self._moved.items())
        ]

    def _sold(self, line: Row) -> Earning:
        id = line["order_line_id"]
        self._terms.setdefault(id, Terms(line["basis_points"], self._tax))
        return earning(line["total"], self._terms[id])

    def _taken_back(self, booking: Row, lines: Sequence[Row], amount: int) -> list[Earning]:
        ids = [line["order_line_id"] for line in lines]
        left = [self._held.get(id, Earning()).gross for id in ids]
        named = self._named.get(booking["reference"])
        wanted = None if named is None else [named.get(id, 0) for id in ids]
        parts = shares(amount, left, self._balance[booking["payment_id"]] - sum(left), wanted)
        return [
            given_back(kept, part, self._terms[id]) if part else Earning()
            for id, kept, part in zip(ids, left, parts, strict=False)
        ]

    def _move(self, debit: str, credit: str, amount: int, currency: str, day: date) -> None:
        """From one account to the other; less than nothing goes the other way."""
        if amount < 0:
            debit, credit, amount = credit, debit, -amount
        if amount:
            self._moved[debit, credit, currency, day] += amount


def _entry(booking: Row, line: Row, terms: Terms, change: Earning) -> Row:
    return {
        "order_line_id": line["order_line_id"],
        "booking_id": booking["id"],
        "partner_id": line["partner_id"],
        "gross": change.gross,
        "basis_points": terms.basis_points,
        "tax_basis_points": terms.tax_basis_points,
        "commission": change.commission,
        "tax": change.tax,
        "currency": booking["currency"],
        "occurred_at": booking["booked_at"],
        "settlement_id": None,
    }


def _in_order(booking: Mapping[str, str]) -> tuple[int, int, str]:
    """Captures and their reversals by their number, then refunds: ids of two processes may be a little off."""
    if booking["booking"] == Booking.REFUND.value:
        return (1, 0, booking["id"])
    number = 2 * int(booking["reference"].rpartition(":")[2])
    return (0, number + (booking["booking"] == Booking.REVERSAL.value), booking["id"])


# By its ids alone: an index of bookings would be gone through from its beginning each time.
_NEW = Prepared(
    select(ledger)
    .where(ledger.c.id > bindparam("after"), ledger.c.id < bindparam("before"), ledger.c.account == BUYERS)
    .order_by(ledger.c.id)
    .limit(bindparam("batch", type_=Integer()))
)
_PAID = Prepared(
    select(payments.c.id, payments.c.payable_type, payments.c.payable_id).where(among(payments.c.id, "ids"))
)
_LINES = Prepared(select(commissions).where(among(commissions.c.order_id, "ids")).order_by(commissions.c.order_line_id))
_RATES = (seller_entries.c.order_line_id, seller_entries.c.basis_points, seller_entries.c.tax_basis_points)
_HELD = Prepared(
    select(
        *_RATES,
        *(func.sum(each) for each in (seller_entries.c.gross, seller_entries.c.commission, seller_entries.c.tax)),
    )
    .where(among(seller_entries.c.order_line_id, "ids"))
    .group_by(*_RATES)
)
_BALANCES = Prepared(
    select(ledger.c.id, ledger.c.payment_id, ledger.c.credit - ledger.c.debit).where(
        among(ledger.c.payment_id, "ids"), ledger.c.account == BUYERS, ledger.c.id <= bindparam("last")
    )
)
_NAMED = Prepared(
    select(refund_lines.c.refund_id, refund_lines.c.order_line_id, refund_lines.c.amount).where(
        among(refund_lines.c.refund_id, "ids")
    )
)
