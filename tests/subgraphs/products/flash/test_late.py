"""An order that is paid after its hold ended gets a unit of the sale again, or its money back, never another's unit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from messaging.events.orders import OrderPaid, StockCommitRequested, StockReservationRequested
from messaging.events.products import StockCommitRejected, StockCommitted
from subgraphs.products.app import sweep
from subgraphs.products.flash.models import claims, items
from tests.subgraphs.products.conftest import World, order_of
from tests.subgraphs.products.flash.test_claims import Sale, open_sale, request


@dataclass
class Late:
    """A customer whose order's hold has ended: his unit is in the sale again."""

    sale: Sale
    user: str
    ticket: str
    claim: str
    order: StockReservationRequested

    @classmethod
    async def make(cls, world: World, units: int = 1, limit: int = 1) -> Late:
        sale = await open_sale(world, units=units, limit=limit)
        user, ticket = await sale.buyer()
        claim = await sale.claim(user, ticket)
        order = request(claim, user, sale.variant)
        await world.tell(order)
        world.clock.move(timedelta(seconds=world.shop.settings.reservation_ttl_seconds))
        await sweep(world.shop)
        assert (await sale.row(claims, claim)).state == "RETURNED"
        assert (await sale.row(items, sale.item)).remaining == units
        assert await world.violations() == []
        return cls(sale, user, ticket, claim, order)

    async def commit(self, times: int = 2) -> None:
        for _ in range(times):
            await self.sale.world.tell(StockCommitRequested(order_id=self.order.order_id))


async def test_the_unit_is_still_there(world: World) -> None:
    """It is taken again, once, however often the commit is asked for."""
    late = await Late.make(world)
    await late.commit()
    assert [each.order_id for each in await world.told(StockCommitted)] == [late.order.order_id] * 2
    assert (await late.sale.row(items, late.sale.item)).remaining == 0
    row = await late.sale.row(claims, late.claim)
    assert (row.state, row.slot) == ("ORDERED", 1)
    assert await world.level(late.sale.variant) == (6, 0, 1)
    assert await world.violations() == []
    assert await late.sale.claim(*await late.sale.buyer()) == "SOLD_OUT"


async def test_a_unit_that_is_taken_again_is_nobody_elses_on_the_way(world: World) -> None:
    """An order that is late, too, and lacks a unit of the shop's stock does not get the sale's."""
    sale = await open_sale(world, units=1)
    other = order_of(**{sale.variant: 5})
    await world.tell(other)
    user, ticket = await sale.buyer()
    order = request(await sale.claim(user, ticket), user, sale.variant)
    await world.tell(order)
    world.clock.move(timedelta(seconds=world.shop.settings.reservation_ttl_seconds))
    await sweep(world.shop)
    await world.tell(order_of(**{sale.variant: 1}))
    await world.tell(*(StockCommitRequested(order_id=each.order_id) for each in (other, order)))
    assert [each.order_id for each in await world.told(StockCommitted)] == [order.order_id]
    assert [each.order_id for each in await world.told(StockCommitRejected)] == [other.order_id]
    assert await world.level(sale.variant) == (6, 1, 1)
    assert await world.violations() == []


async def test_the_unit_is_anothers_by_now(world: World) -> None:
    """The shop's own stock is not touched for it, although there is some."""
    late = await Late.make(world)
    other = await late.sale.buyer()
    assert len(await late.sale.claim(*other)) == 26
    await late.commit()
    assert {each.order_id for each in await world.told(StockCommitRejected)} == {late.order.order_id}
    assert await world.told(StockCommitted) == []
    assert await world.level(late.sale.variant) == (6, 1, 0)
    assert await world.violations() == []


async def test_he_has_claimed_another_meanwhile(world: World) -> None:
    """With both he would be over his limit, and units are left: the limit decides."""
    late = await Late.make(world, units=3)
    assert len(await late.sale.claim(late.user, late.ticket)) == 26
    await late.commit()
    assert await world.told(StockCommitted) == []
    assert (await late.sale.row(items, late.sale.item)).remaining == 2
    assert await world.violations() == []


async def test_within_his_limit_he_gets_a_slot_that_is_free(world: World) -> None:
    late = await Late.make(world, units=3, limit=2)
    assert len(await late.sale.claim(late.user, late.ticket)) == 26
    await late.commit()
    assert len(await world.told(StockCommitted)) == 2
    assert (await late.sale.row(claims, late.claim)).slot == 2
    assert await world.violations() == []


@pytest.mark.parametrize("swept", [True, False])
async def test_the_sale_is_over(world: World, swept: bool) -> None:
    """Once the units went back to the shop nothing is taken at the sale's price; until then it may be."""
    late = await Late.make(world)
    world.clock.move(timedelta(hours=2))
    if swept:
        await late.sale.flash.tick()
    await late.commit()
    assert len(await world.told(StockCommitRejected if swept else StockCommitted)) == 2
    await late.sale.flash.tick()
    assert await world.level(late.sale.variant) == ((6, 0, 0) if swept else (6, 0, 1))
    assert await world.violations() == []


async def test_a_payment_is_noted_for_the_rate(world: World) -> None:
    """OrderPaid of an order on a claim sets when it was paid; others are none of the sale's business."""
    late = await Late.make(world)
    await late.commit(times=1)
    for order in (late.order.order_id, late.claim):
        facts = {"order_number": "1", "buyer_id": late.user, "total": 5000, "currency": "KRW", "lines": ()}
        await world.tell(OrderPaid(order_id=order, **facts))  # type: ignore[arg-type]
    assert (await late.sale.row(claims, late.claim)).paid_at == world.clock()
