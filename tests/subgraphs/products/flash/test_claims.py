"""Claims in the ledger: exactly the units that are there, nobody more than he may, and every unit comes back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from messaging.events.orders import StockCommitRequested, StockLine, StockReleaseRequested, StockReservationRequested
from messaging.events.products import StockClaimed, StockClaimReleased, StockRejected, StockReserved
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.products.flash.models import claims, items, sales, tickets
from subgraphs.products.flash.service import FlashSales, ItemDraft
from subgraphs.products.flash.tokens import AdmissionTokens
from tests.subgraphs.products.conftest import SELLER_SCOPES, World

MINUTE = timedelta(minutes=1)


@dataclass
class Sale:
    """A sale of one item, opened."""

    world: World
    flash: FlashSales
    id: str
    item: str
    variant: str

    async def buyer(self) -> tuple[str, str]:
        """A customer in the line."""
        user = new_ulid()
        return user, await self.flash.enter(self.id, user)

    def token(self, user: str, ticket: str) -> str:
        return self.flash.tokens.issue(ticket, self.id, user, self.world.clock() + MINUTE)

    async def claim(self, user: str, ticket: str, quantity: int = 1, key: str | None = None) -> str:
        """The claim, or the code of the refusal."""
        try:
            return await self.flash.claim(self.item, user, quantity, self.token(user, ticket), key or new_ulid())
        except Rejected as rejected:
            return rejected.code

    async def row(self, table: Any, id: str) -> Any:
        async with self.world.database.read() as connection:
            return (await connection.execute(select(table).where(table.c.id == id))).one()


async def open_sale(world: World, units: int, limit: int = 1) -> Sale:
    (variant,) = (await world.publish("Flash", "F-1", units=units + 5)).ulids
    flash = FlashSales(world.shop, AdmissionTokens("secret"))
    start = world.clock() + MINUTE
    who = Identity(user_id=world.seller, scopes=frozenset(SELLER_SCOPES))
    draft = ItemDraft(variant, Decimal(5000), units, limit)
    sale_id = await flash.create(who, "Opening", start, start + 60 * MINUTE, [draft])
    async with world.database.read() as connection:
        item = (await connection.execute(select(items.c.id).where(items.c.sale_id == sale_id))).scalar_one()
    world.clock.move(MINUTE)
    await flash.tick()
    return Sale(world, flash, sale_id, item, variant)


def request(claim: str, user: str, variant: str, quantity: int = 1) -> StockReservationRequested:
    lines = (StockLine(variant_id=variant, quantity=quantity),)
    return StockReservationRequested(order_id=new_ulid(), buyer_id=user, lines=lines, claim_id=claim)


async def test_exactly_the_units_are_claimed_by_as_many_customers(world: World) -> None:
    sale = await open_sale(world, units=5)
    buyers = [await sale.buyer() for _ in range(20)]
    results = await asyncio.gather(*(sale.claim(*buyer) for buyer in buyers for _ in range(2)))
    won = [each for each in results if len(each) == 26]
    assert len(won) == len(set(won)) == 5
    assert {claimed.sale_id for claimed in await world.told(StockClaimed)} == {sale.id}
    assert len({claimed.user_id for claimed in await world.told(StockClaimed)}) == 5
    assert await world.level(sale.variant) == (10, 5, 0), "five are kept for the sale's customers, five are the shop's"
    assert await world.violations() == []


async def test_the_same_key_is_the_same_claim_and_another_is_over_the_limit(world: World) -> None:
    sale = await open_sale(world, units=5, limit=2)
    user, ticket = await sale.buyer()
    first = await sale.claim(user, ticket, key="one")
    assert await sale.claim(user, ticket, key="one") == first
    assert len(await sale.claim(user, ticket)) == 26
    assert await sale.claim(user, ticket) == "PER_CUSTOMER_LIMIT_EXCEEDED"
    assert (await sale.row(items, sale.item)).remaining == 3
    assert await world.violations() == []


async def test_a_claim_that_is_not_ordered_returns_to_the_sale_and_frees_its_place(world: World) -> None:
    sale = await open_sale(world, units=1)
    first, second = await sale.buyer(), await sale.buyer()
    assert len(await sale.claim(*first)) == 26
    assert await sale.claim(*second) == "SOLD_OUT"
    world.clock.move(timedelta(seconds=world.shop.settings.flash_hold_seconds))
    await sale.flash.tick()
    assert [each.reason for each in await world.told(StockClaimReleased)] == ["expired"]
    assert await world.violations() == []
    assert len(await sale.claim(*second)) == 26
    assert await sale.claim(*first) == "SOLD_OUT"
    assert await world.violations() == []


async def test_an_order_takes_over_its_claims_units_once(world: World) -> None:
    sale = await open_sale(world, units=2)
    user, ticket = await sale.buyer()
    claim = await sale.claim(user, ticket)
    order, other = request(claim, user, sale.variant), request(claim, user, sale.variant)
    await world.tell(order, other)
    await world.tell(order)
    assert [each.order_id for each in await world.told(StockReserved)] == [order.order_id] * 2
    assert [each.order_id for each in await world.told(StockRejected)] == [other.order_id]
    await world.tell(StockCommitRequested(order_id=order.order_id))
    assert await world.level(sale.variant) == (7, 1, 1)
    assert await world.violations() == []


@pytest.mark.parametrize("wrong", ["user", "quantity", "claim"])
async def test_an_order_that_does_not_match_its_claim_gets_nothing(world: World, wrong: str) -> None:
    sale = await open_sale(world, units=3)
    user, ticket = await sale.buyer()
    claim = await sale.claim(user, ticket)
    await world.tell(
        request(
            new_ulid() if wrong == "claim" else claim,
            new_ulid() if wrong == "user" else user,
            sale.variant,
            2 if wrong == "quantity" else 1,
        )
    )
    assert len(await world.told(StockRejected)) == 1
    assert (await sale.row(claims, claim)).state == "HELD"
    assert await world.violations() == []


async def test_a_failed_order_gives_the_unit_back_to_the_sale(world: World) -> None:
    sale = await open_sale(world, units=1)
    user, ticket = await sale.buyer()
    order = request(await sale.claim(user, ticket), user, sale.variant)
    await world.tell(order)
    await world.tell(StockReleaseRequested(order_id=order.order_id))
    await world.tell(StockReleaseRequested(order_id=order.order_id))
    assert (await sale.row(items, sale.item)).remaining == 1
    assert await world.violations() == []
    assert len(await sale.claim(user, ticket)) == 26, "his place is free again, too"


async def test_what_is_left_at_the_end_goes_back_to_the_shop(world: World) -> None:
    sale = await open_sale(world, units=3)
    user, ticket = await sale.buyer()
    await sale.claim(user, ticket)
    world.clock.move(61 * MINUTE)
    await sale.flash.tick()
    await sale.flash.tick()
    assert await world.level(sale.variant) == (8, 0, 0)
    assert await world.violations() == []
    assert (await sale.row(sales, sale.id)).closed


async def test_admission_follows_the_line_and_ends(world: World) -> None:
    sale = await open_sale(world, units=2)
    line = [await sale.buyer() for _ in range(5)]
    world.clock.move(timedelta(seconds=1))
    await sale.flash.tick()
    status = [(await sale.row(tickets, ticket)).status for _, ticket in line]
    assert status == ["ADMITTED"] * 3 + ["WAITING"] * 2, "120 % of two units"
    assert await sale.flash.enter(sale.id, line[3][0]) == line[3][1], "one ticket a customer"
    world.clock.move(timedelta(seconds=world.shop.settings.flash_admission_seconds))
    await sale.flash.tick()
    status = [(await sale.row(tickets, ticket)).status for _, ticket in line]
    assert status == ["EXPIRED"] * 3 + ["ADMITTED"] * 2


async def test_the_rate_is_kept_however_often_the_worker_looks(world: World) -> None:
    """600 a minute are 30 in three seconds, although 0.55 seconds are for five and a half."""
    sale = await open_sale(world, units=100)
    line = [await sale.buyer() for _ in range(50)]
    for _ in range(6):
        world.clock.move(timedelta(seconds=0.55))
        await sale.flash.tick()
    status = [(await sale.row(tickets, ticket)).status for _, ticket in line]
    assert status == ["ADMITTED"] * 33 + ["WAITING"] * 17


@pytest.mark.parametrize("token", ["forged", "other", "late"])
async def test_without_a_good_admission_nothing_is_claimed(world: World, token: str) -> None:
    sale = await open_sale(world, units=2)
    user, ticket = await sale.buyer()
    given = {
        "forged": AdmissionTokens("else").issue(ticket, sale.id, user, world.clock() + MINUTE),
        "other": sale.token(new_ulid(), ticket),
        "late": sale.flash.tokens.issue(ticket, sale.id, user, world.clock()),
    }[token]
    with pytest.raises(Rejected) as refused:
        await sale.flash.claim(sale.item, user, 1, given, "key")
    assert refused.value.code == ("QUEUE_TICKET_EXPIRED" if token == "late" else "QUEUE_TICKET_REQUIRED")


async def test_the_audit_sees_a_unit_too_many(world: World) -> None:
    """The negative control of the invariants."""
    sale = await open_sale(world, units=2)
    async with world.database.transaction() as tx:
        await tx.execute(update(items).where(items.c.id == sale.item).values(remaining=1))
    found = {each.invariant for each in await world.violations()}
    assert found == {"stock.reserved_is_held", "flash.units_are_conserved", "flash.ledger_explains_items"}
