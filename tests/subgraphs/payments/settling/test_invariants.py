"""What must be true of settlements, broken on purpose, is reported; and the database refuses some of it by itself."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import IntegrityError

from subgraphs.kit.ids import new_ulid
from subgraphs.payments.models import ledger, ledger_days, payouts, seller_entries, settlements, transfers
from tests.subgraphs.payments.settling.conftest import Market

SALES = "payments.sales_are_booked"
EARNED = "payments.earned_within_sales"
ACCOUNT = "payments.seller_account_equals_entries"
SUMS = "payments.settlements_equal_their_entries"
DAYS = "payments.days_equal_the_ledger"
PAID = "payments.settlements_are_paid_once"
OPEN = "payments.settlements_are_closed"


class Undone(Exception):
    """Nothing of it is kept."""


@pytest.fixture
def database_url(sqlite_database_url: str) -> str:
    return sqlite_database_url


@pytest.fixture
async def market(market: Market) -> Market:
    """A settlement that is paid out, and one that is closed."""
    seller = await market.seller()
    for pay in (True, False):
        await market.sale((seller, 10_000))
        closed = await market.close(seller, market.tomorrow())
        if pay:
            await market.pay(closed["settlement"]["id"])
            await market.paid_out()
    assert await market.audit() == []
    return market


async def broken(market: Market, statement: Any) -> set[str]:
    """What the audit says after the statement, which is taken back."""
    found: set[str] = set()
    with contextlib.suppress(Undone):
        async with market.world.database.transaction() as tx:
            assert (await tx.execute(statement)).rowcount
            found |= {each.invariant for each in await market.world.subgraph.audit(tx)}
            raise Undone
    return found


async def test_sales_and_entries_that_disagree_are_reported(market: Market) -> None:
    """A sale nobody earned by, a line that earned more than it sold for or less than nothing, commission of nothing."""
    gone = delete(seller_entries).where(seller_entries.c.settlement_id.is_not(None))
    assert {SALES, ACCOUNT, SUMS} <= await broken(market, gone)
    for name, value in {"gross": 10_001, "commission": -1, "tax": -1}.items():
        assert EARNED in await broken(market, update(seller_entries).values({name: value})), name
    for value in (-1, 0):
        assert EARNED in await broken(market, update(seller_entries).values(gross=value)), value


async def test_books_that_say_otherwise_are_reported(market: Market) -> None:
    for account in ("seller_payable", "commission_income", "commission_tax_payable"):
        added = {
            "id": new_ulid(),
            "reference": "x",
            "debit_account": "buyer_funds",
            "credit_account": account,
            "amount": 1,
            "currency": "KRW",
            "booked_at": market.world.clock.now(),
        }
        assert await broken(market, insert(transfers).values(added)) == {ACCOUNT}, account


async def test_days_that_are_not_the_sum_of_what_was_booked_are_reported(market: Market) -> None:
    """One that says more, one that is gone, entries that changed after they were totalled."""
    market.world.clock.advance(31)
    await market.world.service.totals.drain()
    assert await market.audit() == []
    for statement in (
        update(ledger_days).values(debit=ledger_days.c.debit + 1),
        delete(ledger_days).where(ledger_days.c.account == "commission_income"),
        update(transfers).values(amount=transfers.c.amount + 1),
        update(ledger).values(credit=ledger.c.credit + 1),
    ):
        assert DAYS in await broken(market, statement)


async def test_settlements_that_are_not_the_sum_of_their_entries_are_reported(market: Market) -> None:
    """One that says more, one that an entry left, one with a debt that nobody left."""
    of = settlements.c
    assert await broken(market, update(settlements).values(gross=of.gross + 1, refunds=of.refunds + 1)) == {SUMS}
    assert SUMS in await broken(market, update(seller_entries).values(settlement_id=None))
    assert SUMS in await broken(market, update(settlements).values(carried=-1, payable=of.net - 1))


async def test_settlements_left_open_are_reported(market: Market) -> None:
    """Long ago, or before a later one."""
    paid = settlements.c.status == "PAID"
    assert OPEN in await broken(market, update(settlements).where(paid).values(status="OPEN"))
    began = {"status": "OPEN", "closed_at": market.world.clock.now() - timedelta(days=30)}
    assert OPEN in await broken(market, update(settlements).where(~paid).values(**began))


async def test_settlements_that_were_not_paid_as_they_say_are_reported(market: Market) -> None:
    for table, status, to in (
        (settlements, "CLOSED", "PAID"),
        (settlements, "CLOSED", "PAYOUT_REQUESTED"),
        (settlements, "PAID", "CLOSED"),
        (settlements, "PAID", "PAYOUT_REQUESTED"),
        (payouts, "COMPLETED", "PROCESSING"),
        (payouts, "COMPLETED", "FAILED"),
    ):
        changed = update(table).where(table.c.status == status).values(status=to)
        assert PAID in await broken(market, changed), (table.name, status, to)
    assert PAID in await broken(market, update(payouts).values(amount=payouts.c.amount - 1))


async def test_the_database_refuses_what_can_never_be(market: Market) -> None:
    """A transfer of nothing or to the same account, sums that are none, a payout of nothing, a second payout."""
    of = settlements.c
    (paid,) = await market.world.rows(payouts)
    for statement in (
        update(transfers).values(amount=0),
        update(transfers).values(debit_account=transfers.c.credit_account),
        update(settlements).values(net=of.net + 1, payable=of.payable + 1),
        update(settlements).values(payable=of.payable + 1),
        update(settlements).values(carried=1, payable=of.net + 1),
        update(settlements).values(period_end=of.period_start),
        update(payouts).values(amount=0),
        insert(payouts).values(paid | {"id": new_ulid()}),
    ):
        with pytest.raises(IntegrityError):
            async with market.world.database.transaction() as tx:
                await tx.execute(statement)
