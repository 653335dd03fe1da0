"""Stock in the order saga: all or nothing, the same answer again, nothing lost and nothing sold twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, update

from messaging.events.delivery import ShipmentChanged
from messaging.events.orders import StockCommitRequested, StockLine, StockReleaseRequested, StockReservationRequested
from messaging.events.products import (
    Shortage,
    StockCommitRejected,
    StockCommitted,
    StockRejected,
    StockReleased,
    StockReserved,
)
from subgraphs.kit.ids import new_ulid
from subgraphs.products import models, stock
from subgraphs.products.app import sweep
from subgraphs.products.stock_ledger import open_levels
from tests.subgraphs.products.conftest import World, order_of

TTL = timedelta(minutes=10)


def ask_commit(request: StockReservationRequested) -> StockCommitRequested:
    return StockCommitRequested(order_id=request.order_id)


def ask_release(request: StockReservationRequested) -> StockReleaseRequested:
    return StockReleaseRequested(order_id=request.order_id)


async def test_units_are_held_then_sold_then_sent(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1")).ulids
    request = order_of(**{variant: 3})
    await world.tell(request)
    assert await world.told(StockReserved) == [StockReserved(order_id=request.order_id, expires_at=world.clock() + TTL)]
    assert await world.level(variant) == (10, 3, 0)
    await world.tell(ask_commit(request))
    assert await world.told(StockCommitted) == [StockCommitted(order_id=request.order_id)]
    assert await world.level(variant) == (10, 0, 3)
    await world.tell(shipment(request.order_id))
    assert await world.level(variant) == (7, 0, 0)
    assert await world.violations() == []


def shipment(order_id: str, *, delivered: bool = False, fulfillment: str = "FULFILLED") -> ShipmentChanged:
    return ShipmentChanged(
        shipment_id=new_ulid(),
        version=2,
        status="IN_TRANSIT",
        occurred_at=world_time(),
        order_id=order_id,
        order_fulfillment=fulfillment,
        order_delivered=delivered,
    )


def world_time() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


async def test_an_order_is_served_whole_or_not_at_all(world: World) -> None:
    product = await world.publish("Vitamin C", "C-1", "C-2", units=4)
    one, two = product.ulids
    request = order_of(**{one: 2, two: 5})
    await world.tell(request)
    assert await world.told(StockRejected) == [
        StockRejected(order_id=request.order_id, shortages=(Shortage(variant_id=two, available=4),))
    ]
    assert await world.level(one) == (4, 0, 0)
    assert await world.told(StockReserved) == []


async def test_the_same_variant_on_two_lines_is_one_demand(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=5)).ulids
    lines = (StockLine(variant_id=variant, quantity=3), StockLine(variant_id=variant, quantity=3))
    await world.tell(StockReservationRequested(order_id=new_ulid(), buyer_id=new_ulid(), lines=lines))
    assert len(await world.told(StockRejected)) == 1
    assert await world.level(variant) == (5, 0, 0)


@pytest.mark.parametrize("quantity", [0, -1, 2**31])
async def test_a_quantity_that_is_none_is_refused(world: World, quantity: int) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=5)).ulids
    await world.tell(order_of(**{variant: quantity}))
    assert len(await world.told(StockRejected)) == 1
    assert await world.level(variant) == (5, 0, 0)


async def test_unknown_variants_and_those_not_on_sale_are_short(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=5)).ulids
    table = models.Product.__table__
    async with world.database.transaction() as tx:
        await tx.execute(update(table).values(status="SUSPENDED"))
    await world.tell(order_of(**{new_ulid(): 1}), order_of(**{variant: 1}))
    assert [answer.shortages[0].available for answer in await world.told(StockRejected)] == [0, 0]
    assert await world.level(variant) == (5, 0, 0)


async def test_orders_of_one_batch_are_served_until_the_units_are_gone(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=5)).ulids
    requests = [order_of(**{variant: 2}) for _ in range(4)]
    await world.tell(*requests)
    assert [each.order_id for each in await world.told(StockReserved)] == [each.order_id for each in requests[:2]]
    assert [each.shortages[0].available for each in await world.told(StockRejected)] == [1, 1]
    assert await world.level(variant) == (5, 4, 0)
    assert await world.violations() == []


async def test_a_repeated_request_gets_the_same_answer_and_takes_nothing(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=5)).ulids
    held, short = order_of(**{variant: 4}), order_of(**{variant: 4})
    for _ in range(3):
        await world.tell(held, short)
        world.clock.move(timedelta(minutes=1))
    assert len({answer.expires_at for answer in await world.told(StockReserved)}) == 1
    assert len(await world.told(StockReserved)) == 3
    assert [answer.shortages[0].available for answer in await world.told(StockRejected)] == [1, 1, 1]
    assert await world.level(variant) == (5, 4, 0)
    for _ in range(2):
        await world.tell(ask_commit(held))
    assert len(await world.told(StockCommitted)) == 2
    assert await world.level(variant) == (5, 0, 4)
    for _ in range(2):
        await world.tell(ask_release(held))
    assert len(await world.told(StockReleased)) == 2
    assert await world.level(variant) == (5, 0, 0)
    assert await world.violations() == []


async def test_a_request_twice_in_one_batch_takes_units_once(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=5)).ulids
    request = order_of(**{variant: 2})
    await world.tell(request, request)
    assert len(await world.told(StockReserved)) == 2
    assert await world.level(variant) == (5, 2, 0)


async def test_a_release_that_overtakes_its_request_refuses_it(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1")).ulids
    request = order_of(**{variant: 1})
    await world.tell(ask_release(request))
    assert await world.told(StockReleased) == [StockReleased(order_id=request.order_id, reason="requested")]
    await world.tell(request)
    assert await world.told(StockRejected) == [StockRejected(order_id=request.order_id, shortages=())]
    assert await world.level(variant) == (10, 0, 0)


async def test_a_commit_of_an_order_that_holds_nothing_is_rejected(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=1)).ulids
    unknown, released, short = (order_of(**{variant: units}) for units in (1, 1, 9))
    await world.tell(released, short)
    await world.tell(ask_release(released))
    await world.tell(ask_commit(unknown), ask_commit(released), ask_commit(short))
    assert [each.reason for each in await world.told(StockCommitRejected)] == ["released"] * 3
    await world.tell(unknown)
    assert await world.level(variant) == (1, 0, 0), "after the refusal nothing may be held for it"


async def test_a_batch_of_commits_may_name_orders_that_are_not_known(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1")).ulids
    known, early = order_of(**{variant: 2}), order_of(**{variant: 3})
    await world.tell(known)
    await world.tell(ask_commit(early), ask_commit(known))
    assert await world.told(StockCommitRejected) == [StockCommitRejected(order_id=early.order_id, reason="released")]
    assert await world.told(StockCommitted) == [StockCommitted(order_id=known.order_id)]
    await world.tell(early)
    assert await world.told(StockRejected) == [StockRejected(order_id=early.order_id, shortages=())]
    assert await world.level(variant) == (10, 0, 2)
    assert await world.violations() == []


async def test_holds_end_and_are_released_once(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=5)).ulids
    request = order_of(**{variant: 2})
    await world.tell(request)
    assert await sweep(world.shop) == 0, "not before its time"
    world.clock.move(TTL)
    assert await sweep(world.shop) == 1
    assert await sweep(world.shop) == 0
    assert await world.told(StockReleased) == [StockReleased(order_id=request.order_id, reason="expired")]
    assert await world.level(variant) == (5, 0, 0)
    await world.tell(request)
    assert [each.reason for each in await world.told(StockReleased)] == ["expired", "expired"]
    assert await world.violations() == []


async def test_what_is_sold_is_never_swept(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=5)).ulids
    request = order_of(**{variant: 2})
    await world.tell(request)
    world.clock.move(TTL * 2)
    await world.tell(ask_commit(request))
    assert await sweep(world.shop) == 0
    assert await world.level(variant) == (5, 0, 2)


async def test_a_commit_after_the_hold_has_ended_takes_the_units_anew_or_is_rejected_for_good(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=3)).ulids
    lucky, late = order_of(**{variant: 2}), order_of(**{variant: 1})
    await world.tell(lucky, late)
    world.clock.move(TTL)
    await sweep(world.shop)
    await world.tell(ask_commit(lucky))
    assert await world.level(variant) == (3, 0, 2)
    other = order_of(**{variant: 1})
    await world.tell(other)
    await world.tell(ask_commit(late))
    assert await world.told(StockCommitRejected) == [StockCommitRejected(order_id=late.order_id, reason="expired")]
    await world.tell(ask_release(other))
    await world.tell(ask_commit(late))
    assert len(await world.told(StockCommitRejected)) == 2, "the answer stays, even if there are units again"
    assert await world.level(variant) == (3, 0, 2)
    assert await world.violations() == []


async def test_a_release_gives_back_what_was_sold_and_not_yet_sent(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=3)).ulids
    sold, sent = order_of(**{variant: 1}), order_of(**{variant: 1})
    await world.tell(sold, sent)
    await world.tell(ask_commit(sold), ask_commit(sent))
    await world.tell(shipment(sent.order_id))
    await world.tell(ask_release(sold), ask_release(sent))
    assert await world.level(variant) == (2, 0, 0)
    assert [each.order_id for each in await world.told(StockReleased)] == [sold.order_id], "sent goods are not free"
    assert await world.violations() == []


async def test_a_shipment_told_twice_or_in_part_sends_once(world: World) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1", units=3)).ulids
    request = order_of(**{variant: 2})
    await world.tell(request)
    await world.tell(shipment(request.order_id, fulfillment="PARTIALLY_FULFILLED"))
    assert await world.level(variant) == (3, 2, 0)
    await world.tell(shipment(request.order_id), shipment(request.order_id))
    await world.tell(shipment(request.order_id))
    assert await world.level(variant) == (1, 0, 0), "even before it was told that they are sold"
    await world.tell(ask_commit(request))
    assert len(await world.told(StockCommitted)) == 1
    assert await world.violations() == []


async def test_a_thousand_orders_in_a_batch_cost_few_statements(world: World) -> None:
    product = await world.publish("Vitamin C", "C-1")
    rows = await many_variants(world, product.ulids[0], 1000)
    requests = [order_of(**{variant: 1}) for variant in rows]
    statements: list[str] = []
    engine = world.database._writer.sync_engine

    def note(_c: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _many: Any) -> None:
        statements.append(statement)

    async with world.database.transaction() as tx:
        event.listen(engine, "before_cursor_execute", note)
        outcome = await stock.reserve(tx, requests, world.clock(), TTL)
        event.remove(engine, "before_cursor_execute", note)
    assert all(isinstance(answer, StockReserved) for answer in outcome.answers)
    assert len(statements) <= 12, "set-based: the number does not grow with every order"
    assert await world.violations() == []


async def many_variants(world: World, like: str, number: int) -> Sequence[str]:
    table = models.ProductVariant.__table__
    async with world.database.transaction() as tx:
        row = (await tx.execute(table.select().where(table.c.id == like))).one()
        ids = [new_ulid() for _ in range(number)]
        rows = [{**row._mapping, "id": each, "sku": each} for each in ids]
        await tx.execute(table.insert(), rows)
        await open_levels(tx, dict.fromkeys(ids, 5), world.clock())
    return ids
