"""The bookkeeper: once for each booking, whatever comes when, and never in the way of a purchase."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from messaging.events.orders import PaymentCancelRequested
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.payments.models import ledger, payments, seller_entries, transfers
from subgraphs.payments.settling import bookkeeper, reading, totals
from tests.subgraphs.payments.conftest import request
from tests.subgraphs.payments.settling.conftest import Market, Seller
from tests.subgraphs.payments.test_buyer_pays import issue


@pytest.fixture
def database_url(sqlite_database_url: str) -> str:
    """What differs between databases is tested where it does."""
    return sqlite_database_url


async def test_what_is_new_is_left_alone(market: Market) -> None:
    """A transaction that is older may not be committed yet."""
    seller = await market.seller()
    await market.sale((seller, 10_000))
    await market.world.service.bookkeeper.drain()
    assert await market.world.rows(seller_entries) == []
    assert await market.audit() == []
    await market.booked()
    assert len(await market.world.rows(seller_entries)) == 1
    assert await market.audit() == []


async def test_each_booking_is_counted_once(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches smaller than there are bookings, by several at once, and looked at again and again."""
    monkeypatch.setattr(bookkeeper, "BATCH", 2)
    seller = await market.seller()
    for _ in range(5):
        await market.sale((seller, 1_000))
    await market.booked()
    await asyncio.gather(*(market.world.service.bookkeeper.drain() for _ in range(3)))
    await market.booked()
    assert [row["gross"] for row in await market.world.rows(seller_entries)] == [1_000] * 5
    assert sum(row["amount"] for row in await market.world.rows(transfers)) == 5 * (1_000 + 100 + 10)
    assert await market.audit() == []


async def test_a_cancelled_order_earns_nothing(market: Market) -> None:
    """Not even commission, to the won."""
    one, other = await market.seller(), await market.seller()
    order = await market.sale((one, 3_333), (other, 6_667), shipping=2_500)
    await market.booked()
    await market.back(order, 1_111, (0, 1_111))
    await market.world.tell(PaymentCancelRequested(order_id=order.order_id, reason="변심"))
    await market.world.work()
    await market.booked()
    assert (await market.balance(one), await market.balance(other)) == ((0, 0, 0), (0, 0, 0))
    trial = await market.trial()
    assert {account for account, (debit, credit) in trial.items() if debit != credit} == set()
    assert await market.world.audit() == []


async def test_a_refund_that_names_no_goods_is_borne_by_all(market: Market) -> None:
    one, other = await market.seller(), await market.seller()
    order = await market.sale((one, 6_000), (other, 3_000), shipping=3_000)
    await market.back(order, 4_000)
    await market.booked()
    entries = await market.world.rows(seller_entries)
    assert sorted(row["gross"] for row in entries) == [-2_000, -1_000, 3_000, 6_000]
    assert (await market.trial())["shop_income"] == (1_000, 3_000)
    assert await market.audit() == []


async def test_an_operator_names_the_seller_who_bears_a_refund(market: Market) -> None:
    """As far as his goods go; one who sold nothing of it bears nothing, and nothing is refunded."""
    query = """mutation($payment: ID!, $partner: ID, $amount: Decimal, $key: String!) {
      refundCreate(paymentId: $payment, partnerId: $partner, amount: $amount, reason: "파손", idempotencyKey: $key) {
        refund { status } userErrors { code field } } }"""
    one, other, stranger = await market.seller(), await market.seller(), await market.seller()
    order = await market.sale((one, 6_000), (other, 6_000), shipping=3_000)
    payment = global_id("Payment", (await market.world.payment_of(order.order_id))["id"])

    async def refund(seller: Seller | None, amount: int, key: str) -> list[dict[str, Any]]:
        partner = seller.global_id if seller else "nonsense"
        given = {"payment": payment, "partner": partner, "amount": str(amount), "key": key}
        answer = await market.ask(query, scopes=["refunds:write"], **given)
        errors: list[dict[str, Any]] = answer["data"]["refundCreate"]["userErrors"]
        return errors

    for nobody in (stranger, None):
        assert await refund(nobody, 1_000, "nobody") == [{"code": "NOT_FOUND", "field": ["partnerId"]}]
    assert await refund(one, 2_000, "k") == await refund(one, 2_000, "k") == []
    assert (await refund(other, 2_000, "k"))[0]["code"] == "IDEMPOTENCY_CONFLICT"
    await market.booked()
    assert (await market.balance(one), await market.balance(other)) == ((3_560, 0, 0), (5_340, 0, 0))
    assert await refund(one, 5_000, "more") == []
    await market.booked()
    assert (await market.balance(one), await market.balance(other)) == ((0, 0, 0), (5_340, 0, 0))
    assert (await market.trial())["shop_income"] == (1_000, 3_000)
    assert await market.world.audit() == []


async def test_a_deposit_that_the_bank_took_back_earns_nothing_until_it_comes_again(market: Market) -> None:
    seller, world = await market.seller(), market.world
    wanted = request(market.buyer, None, 9_000, partner=seller.id)
    await world.tell(wanted)
    await issue(world, market.buyer, wanted.order_id)
    for act, net in (("deposits", 8_010), ("deposits/reversals", 0), ("deposits", 8_010)):
        await world.at_provider(act, orderId=wanted.order_number)
        await world.service.hint(wanted.order_number, None, is_deposit=False)
        await world.work()
        await market.booked()
        assert await market.balance(seller) == (net, 0, 0)
    assert await world.audit() == []


async def test_rates_are_those_of_the_sale(market: Market) -> None:
    """A refund after the rates have changed gives the commission back that was taken, tax and all."""
    seller = await market.seller()
    order = await market.sale((seller, 10_000))
    await market.booked()
    settings = market.world.service._settings
    settings.commission_basis_points, settings.commission_tax_basis_points = 5_000, 0
    await market.sale((seller, 1_000))
    await market.back(order, 10_000, (0, 10_000))
    await market.booked()
    assert await market.balance(seller) == (500, 0, 0)
    assert (await market.trial())["commission_tax_payable"] == (100, 100)


async def test_a_refund_with_an_id_before_its_captures_is_no_hindrance(market: Market) -> None:
    """Clocks of two machines may differ by less than the delay."""
    seller = await market.seller()
    order = await market.sale((seller, 10_000))
    await market.back(order, 10_000, (0, 10_000))
    rows = {row["booking"]: row for row in await market.world.rows(ledger) if row["account"] == bookkeeper.BUYERS}
    swapped = {"CAPTURE": rows["REFUND"]["id"], "REFUND": rows["CAPTURE"]["id"]}
    async with market.world.database.transaction() as tx:
        for booking in ("CAPTURE", "REFUND"):
            mine = ledger.update().where(ledger.c.id == rows[booking]["id"])
            await tx.execute(mine.values(id=f"x{booking}"))
        for booking, id in swapped.items():
            await tx.execute(ledger.update().where(ledger.c.id == f"x{booking}").values(id=id))
    await market.booked()
    assert await market.balance(seller) == (0, 0, 0)
    assert await market.audit() == []


async def test_a_pledge_is_no_sellers(market: Market) -> None:
    await market.sale((await market.seller(), 10_000))
    async with market.world.database.transaction() as tx:
        await tx.execute(payments.update().values(payable_type="Pledge", payable_id=new_ulid()))
    await market.booked()
    assert await market.world.rows(seller_entries) == []
    assert await market.world.rows(transfers) == []
    assert (await market.trial())["buyer_funds"] == (0, 10_000)


async def test_nothing_is_read_from_its_beginning_each_time(market: Market) -> None:
    """The plans of what runs every few seconds, or whenever a seller looks, go by an index to what is new."""
    from_when = [
        (bookkeeper._NEW._statement, "ledger_entry", "id>"),
        (reading._standings(["x"]), "seller_entry", "partner_id=? AND settlement_id=?"),
        (reading._standings(["x"]), "seller_entry", "settlement_id=?"),
    ]
    async with market.world.database.read() as connection:
        for statement, table, by in from_when:
            compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
            named = {name: None for name in re.findall(r":(\w+)", str(compiled)) if name not in compiled.params}
            sql = re.sub(r"\(__\[POSTCOMPILE_\w+\]\)", "('x')", str(compiled))
            given = {name: "1" if value is None else value for name, value in (compiled.params | named).items()}
            plan = [row[3] for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)]
            mine = [step for step in plan if table in step]
            assert all(step.startswith("SEARCH") for step in mine), plan
            assert any(by in step for step in mine), plan


async def test_the_trial_balance_is_of_a_day_in_seoul(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry by entry, and from the totals of days."""
    seller = await market.seller()
    await market.sale((seller, 10_000))
    sold_on = market.today()
    await market.booked()
    market.tomorrow()
    await market.sale((seller, 5_000))
    await market.booked()
    monkeypatch.setattr(totals, "BATCH", 3)
    for _ in range(2):
        then, now = await market.trial(sold_on), await market.trial()
        assert (then["seller_payable"][1], now["seller_payable"][1]) == (10_000, 15_000)
        for balance in (then, now):
            assert sum(debit for debit, _ in balance.values()) == sum(credit for _, credit in balance.values())
        await asyncio.gather(*(market.world.service.totals.drain() for _ in range(2)))
    assert await market.audit() == []
