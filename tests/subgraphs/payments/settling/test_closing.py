"""Closing: once for a period, and what is closed stays as it is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from messaging.events.payments import PayoutAccountRequested, SettlementClosed
from subgraphs.kit.ids import new_ulid
from subgraphs.payments.models import seller_entries, settlements
from subgraphs.payments.settling import closing
from subgraphs.payments.settling.rules import midnight
from tests.subgraphs.payments.settling.conftest import CLOSE, Market, amounts, ulid_of


async def test_two_closes_at_once_make_one(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """On every database, sale by sale, with refunds and the bookkeeper at the same moment; each is settled once."""
    monkeypatch.setattr(closing, "PART", 1)
    await market.sale((None, 5_000))
    await market.booked()
    seller = await market.seller()
    orders = [await market.sale((seller, 10_000)) for _ in range(3)]
    await market.back(orders[0], 2_000, (0, 2_000))
    end = market.tomorrow()
    answers = await asyncio.gather(
        *(market.close(seller, end) for _ in range(4)),
        market.world.service.bookkeeper.drain(),
        market.back(orders[1], 10_000, (0, 10_000)),
    )
    made = {answer["settlement"]["id"] for answer in answers[:4]}
    assert len(made) == 1
    assert [row["gross"] for row in await market.world.rows(settlements)] == [30_000]
    await market.booked()
    late = await market.close(seller, market.tomorrow())
    assert amounts(late["settlement"]) | {"carried": 0} == {
        "gross": 0,
        "refunds": 10_000,
        "commission": -1_000,
        "commissionTax": -100,
        "net": -8_900,
        "carried": 0,
        "payable": -8_900,
    }
    assert await market.world.audit() == []


class TestOnSqlite:
    @pytest.fixture
    def database_url(self, sqlite_database_url: str) -> str:
        return sqlite_database_url

    async def test_the_same_key_is_the_same_settlement(self, market: Market) -> None:
        seller = await market.seller()
        await market.sale((seller, 10_000))
        end = market.tomorrow()
        first = await market.close(seller, end, "k")
        assert await market.close(seller, end, "k") == first
        assert await market.close(seller, end, "other") == first
        again = await market.close(seller, end - timedelta(days=1), "k")
        assert again["userErrors"] == [{"code": "IDEMPOTENCY_CONFLICT", "field": ["idempotencyKey"]}]

    async def test_whoever_finds_one_open_goes_on_with_it(
        self, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The worker does, and the next period's close before it; until then all is pending and nothing is paid."""
        monkeypatch.setattr(closing, "PART", 1)
        one, other = await market.seller(), await market.seller()
        for seller in (one, one, other, other):
            await market.sale((seller, 10_000))
        end = market.tomorrow()
        with monkeypatch.context() as dying:
            dying.setattr(market.world.service.closing, "finish", nothing)
            begun = {seller.id: (await market.close(seller, end))["settlement"] for seller in (one, other)}
        assert {each["status"] for each in begun.values()} == {"OPEN"}
        for each in begun.values():
            await market.world.database.run(
                partial(market.world.service.closing._take, settlement_id=ulid_of(each["id"]))
            )
        assert await market.balance(one) == (17_800, 0, 0)
        assert (await market.pay(begun[one.id]["id"]))["userErrors"][0]["code"] == "NOT_ALLOWED"
        assert await market.audit() == []
        await market.sale((one, 5_000))
        following = (await market.close(one, market.tomorrow()))["settlement"]
        assert amounts(following)["gross"] == 5_000
        await market.world.service.closing.finish_all()
        assert await market.balance(one) == (0, 17_800 + 4_450, 0)
        assert await market.balance(other) == (0, 17_800, 0)
        assert len(await market.world.told(SettlementClosed)) == 3
        assert await market.audit() == []

    async def test_an_account_that_is_not_known_is_asked_for(self, market: Market) -> None:
        for account, asked in ((None, 1), ("110123456789", 0)):
            seller = await market.seller(account=account)
            await market.sale((seller, 10_000))
            await market.close(seller, market.tomorrow())
            assert len(await market.world.told(PayoutAccountRequested, seller.id)) == asked

    async def test_what_is_owed_is_carried_until_it_is_earned(self, market: Market) -> None:
        """A refund after the payout: the next settlements bear it, and only what is left is paid."""
        seller = await market.seller()
        order = await market.sale((seller, 10_000))
        paid = (await market.close(seller, market.tomorrow()))["settlement"]
        await market.pay(paid["id"])
        await market.paid_out()
        await market.back(order, 10_000, (0, 10_000))
        first = (await market.close(seller, market.tomorrow()))["settlement"]
        assert (first["status"], amounts(first)["payable"]) == ("HELD", -8_900)
        assert (await market.pay(first["id"]))["userErrors"] == [{"code": "NOT_ALLOWED", "field": ["settlementId"]}]
        assert await market.balance(seller) == (0, -8_900, 8_900)
        await market.sale((seller, 1_000))
        second = (await market.close(seller, market.tomorrow()))["settlement"]
        assert (amounts(second)["carried"], amounts(second)["payable"]) == (-8_900, -8_010)
        await market.sale((seller, 20_000))
        third = (await market.close(seller, market.tomorrow()))["settlement"]
        assert (third["status"], amounts(third)["carried"]) == ("CLOSED", -8_010)
        assert amounts(third)["payable"] == 17_800 - 8_010
        assert await market.balance(seller) == (0, 9_790, 8_900)
        assert await market.world.audit() == []

    async def test_a_sale_that_is_booked_late_goes_to_the_next_settlement(self, market: Market) -> None:
        """What is closed does not change, and what it missed is not lost. Periods follow each other without a gap."""
        seller = await market.seller()
        await market.sale((seller, 10_000))
        end = market.tomorrow()
        closed = (await market.close(seller, end))["settlement"]
        order = await market.sale((seller, 5_000))
        early = market.world.clock.now() - timedelta(days=1)
        await market.booked()
        async with market.world.database.transaction() as tx:
            mine = seller_entries.update().where(seller_entries.c.order_line_id == order.lines[0].order_line_id)
            await tx.execute(mine.values(occurred_at=early))
        assert (await market.close(seller, end))["settlement"] == closed
        following = (await market.close(seller, market.tomorrow()))["settlement"]
        assert following["periodStart"] == closed["periodEnd"]
        assert amounts(following)["gross"] == 5_000

    async def test_a_sale_at_midnight_is_the_next_days(self, market: Market) -> None:
        seller = await market.seller()
        await market.sale((seller, 10_000))
        await market.sale((seller, 500))
        await market.booked()
        today = market.today()
        first, second = await market.world.rows(seller_entries)
        async with market.world.database.transaction() as tx:
            for row, at in ((first, midnight(today) - timedelta(microseconds=1)), (second, midnight(today))):
                mine = seller_entries.update().where(seller_entries.c.booking_id == row["booking_id"])
                await tx.execute(mine.values(occurred_at=at))
        closed = (await market.close(seller, today))["settlement"]
        assert amounts(closed)["gross"] == first["gross"]
        assert closed["periodStart"] == (today - timedelta(days=1)).isoformat()

    @pytest.mark.parametrize(
        ("changes", "code", "field"),
        [
            ({"partner": "nonsense"}, "NOT_FOUND", "partnerId"),
            ({"end": timedelta(days=1)}, "INVALID", "periodEnd"),
            ({"end": timedelta(days=-30)}, "NOT_ALLOWED", "periodEnd"),
            ({"key": ""}, "INVALID", "idempotencyKey"),
        ],
    )
    async def test_what_cannot_be_closed_is_refused(
        self, market: Market, changes: dict[str, Any], code: str, field: str
    ) -> None:
        """An unknown seller, a period that is not over, one without sales, no key: and nothing is written."""
        seller = await market.seller()
        await market.sale((seller, 10_000))
        end = market.tomorrow() + changes.get("end", timedelta())
        given = {"partner": seller.global_id, "end": end.isoformat(), "key": new_ulid()}
        payload = await market.do(CLOSE, **given | {name: v for name, v in changes.items() if name != "end"})
        assert payload == {"settlement": None, "userErrors": [{"code": code, "field": [field]}]}
        assert await market.world.rows(settlements) == []

    async def test_an_earlier_period_is_not_closed_after_a_later_one(self, market: Market) -> None:
        seller = await market.seller()
        await market.sale((seller, 10_000))
        end = market.tomorrow()
        assert (await market.close(seller, end))["userErrors"] == []
        earlier = await market.close(seller, end - timedelta(days=1))
        assert earlier["userErrors"] == [{"code": "NOT_ALLOWED", "field": ["periodEnd"]}]

    async def test_lines_are_what_the_settlement_is_the_sum_of(self, market: Market) -> None:
        """Page by page, each once, at its own rate."""
        query = """query($r: [_Any!]!, $first: Int, $after: String) { _entities(representations: $r) {
          ... on Settlement { lines(first: $first, after: $after) { pageInfo { hasNextPage endCursor } edges { node {
            orderLine { id } gross { amount } commissionRate commission { amount } commissionTax { amount }
            net { amount } } } } } } }"""
        seller = await market.seller()
        orders = [await market.sale((seller, 1_001 * n)) for n in range(1, 4)]
        await market.back(orders[0], 1_001, (0, 1_001))
        closed = (await market.close(seller, market.tomorrow()))["settlement"]
        given, found, after = [{"__typename": "Settlement", "id": closed["id"]}], [], None
        for _ in range(2):
            answer = await market.ask(query, r=given, first=2, after=after)
            (shown,) = answer["data"]["_entities"]
            found += [edge["node"] for edge in shown["lines"]["edges"]]
            after = shown["lines"]["pageInfo"]["endCursor"]
        assert not shown["lines"]["pageInfo"]["hasNextPage"]
        assert {line["commissionRate"] for line in found} == {"0.1"}
        assert {ulid_of(line["orderLine"]["id"]) for line in found} == {
            order.lines[0].order_line_id for order in orders
        }
        sums = {name: sum(amounts(line)[name] for line in found) for name in ("commission", "commissionTax", "net")}
        assert sums == {name: amounts(closed)[name] for name in sums}
        assert sorted(amounts(line)["gross"] for line in found) == [-1_001, 1_001, 2_002, 3_003]


async def nothing(_settlement_id: str) -> None:
    """As if the process had died."""
