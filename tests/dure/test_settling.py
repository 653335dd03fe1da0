"""A sale on its way to the seller's bank account, through the whole shop."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from db.driver import sqlite3
from dure.demo_data.people import SELLERS
from tests.dure.rest import demo_password, people
from tests.dure.shop import Buyer, ShopProcess, choose, settled, visiting, wish
from tests.dure.test_returns import ask

BALANCE = "{ me { partner { id balance { pending { amount } available { amount } paidOut { amount } } } } }"
CLOSE = """mutation($partner: ID!, $end: Date!) {
  settlementClose(partnerId: $partner, periodEnd: $end, idempotencyKey: "close") {
    settlement { id partner { name } net { amount } lines { edges { node { orderLine { productName } } } } }
    userErrors { code } } }"""
PAY = """mutation($id: ID!) { payoutRequest(settlementId: $id, idempotencyKey: "pay") {
  settlement { status } userErrors { code } } }"""
LIST = """query($from: Date!, $to: Date!) { settlements(from: $from, to: $to) {
  edges { node { id status partner { slug } payout { status amount { amount } } } } } }"""
TRIAL = "query($on: Date!) { ledgerTrialBalance(asOf: $on) { account debit { amount } credit { amount } } }"
INBOX = "{ me { notifications(first: 50) { edges { node { type body } } } } }"
IMPATIENT = {
    "DURE_PAYMENTS_BOOKKEEPING_DELAY_SECONDS": "0",
    "DURE_PAYMENTS_BOOKKEEPING_SECONDS": "0.2",
    "DURE_PAYMENTS_PAYOUT_LOOK_SECONDS": "0.1",
}


async def until(look: Any, reached: Any) -> Any:
    deadline = time.monotonic() + 30
    while not reached(found := await look()):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)
    return found


def sellers_of(shop: ShopProcess) -> list[str]:
    """Who has earned something by now."""
    with closing(sqlite3.connect(shop.folder / "payments.sqlite")) as books:
        return [id for (id,) in books.execute("SELECT DISTINCT partner_id FROM seller_entry")]


def sold_yesterday(shop: ShopProcess) -> str:
    """Let a day pass for what was sold; the seller."""
    with closing(sqlite3.connect(shop.folder / "payments.sqlite")) as books, books:
        books.execute("UPDATE seller_entry SET occurred_at = strftime('%Y-%m-%d %H:%M:%f000', occurred_at, '-1 day')")
    (partner,) = sellers_of(shop)
    return partner


async def test_a_sale_reaches_the_sellers_account(copied: tuple[ShopProcess, Buyer]) -> None:
    """Pending, settled, paid: shown to the seller's people only, told once, and the books agree."""
    shop, someone = copied
    await shop.start(**IMPATIENT)
    async with visiting(shop.url, someone) as visitor:
        variant = await choose(visitor)
        placed = await visitor.ask("place_order", input=wish(someone, variant), key=secrets.token_hex(8))
        order_id = placed.data["orderCreate"]["order"]["id"]
        assert (await settled(visitor, order_id))["status"] == "PAID"
    await until(lambda: asyncio.to_thread(sellers_of, shop), len)
    await shop.stop()
    partner = sold_yesterday(shop)
    seller = next(each for each in SELLERS if each.id == partner)
    await shop.start(**IMPATIENT)
    password, today = demo_password(shop), datetime.now(ZoneInfo("Asia/Seoul")).date()
    async with people(shop, 3) as (owner, stranger, operator):
        await owner.log_in(f"owner@{seller.slug}.example", password)
        other = next(each for each in SELLERS if each.id != partner)
        await stranger.log_in(f"owner@{other.slug}.example", password)
        await operator.log_in("operator@dure.example", password)
        mine = (await ask(owner, BALANCE))["partner"]
        earned = int(mine["balance"]["pending"]["amount"])
        assert earned > 0
        closed = (await ask(operator, CLOSE, partner=mine["id"], end=today.isoformat()))["settlement"]
        assert (closed["partner"]["name"], int(closed["net"]["amount"])) == (seller.name, earned)
        assert all(edge["node"]["orderLine"]["productName"] for edge in closed["lines"]["edges"])
        await ask(operator, PAY, id=closed["id"])
        days = {"from": (today - timedelta(days=7)).isoformat(), "to": today.isoformat()}
        shown = await until(lambda: ask(owner, LIST, **days), lambda each: each["edges"][0]["node"]["status"] == "PAID")
        (node,) = (edge["node"] for edge in shown["edges"])
        assert node["partner"]["slug"] == seller.slug
        assert node["payout"] == {"status": "COMPLETED", "amount": {"amount": str(earned)}}
        assert (await ask(stranger, LIST, **days))["edges"] == []
        balance = (await ask(owner, BALANCE))["partner"]["balance"]
        assert [int(each["amount"]) for each in balance.values()] == [0, 0, earned]
        told = await until(lambda: ask(owner, INBOX), lambda me: me["notifications"]["edges"])
        (news,) = (each["node"] for each in told["notifications"]["edges"])
        assert (news["type"], f"{earned:,} KRW" in news["body"]) == ("SETTLEMENT_PAID", True)
        trial = await ask(operator, TRIAL, on=today.isoformat())
        assert sum(int(row["debit"]["amount"]) - int(row["credit"]["amount"]) for row in trial) == 0
    await shop.stop()
    audit = await asyncio.to_thread(shop.dure, "audit")
    assert (audit.returncode, audit.stdout) == (0, ""), audit.stderr
