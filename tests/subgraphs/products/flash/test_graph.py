"""A flash sale as customers meet it: set up, entered, watched, claimed, through the door."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims
from subgraphs.kit.ids import new_ulid
from subgraphs.products.flash.service import FlashSales
from subgraphs.products.flash.tokens import AdmissionTokens
from tests.subgraphs.products.conftest import SECRET, World

CREATE = """mutation($variant: ID!, $from: DateTime!, $to: DateTime!, $units: Int! = 2) {
  flashSaleCreate(name: "Opening", startsAt: $from, endsAt: $to,
    items: [{variantId: $variant, salePrice: "5000", quantity: $units}]) {
      flashSale { id status serverTime items { id remainingQuantity variant { sku } salePrice { amount } }
        waitingRoom { waiting admittedPerMinute estimatedWaitSeconds } }
      userErrors { code field } } }"""
ENTER = """mutation($id: ID!) { flashSaleEnter(id: $id) {
  ticket { id status position admissionToken } userErrors { code } } }"""
CLAIM = """mutation($item: ID!, $token: String!, $key: String!) {
  flashSaleClaim(itemId: $item, admissionToken: $token, idempotencyKey: $key) {
    claim { id quantity sequence unitPrice { amount } variant { sku } } userErrors { code } } }"""
TICKET = "query($id: ID!) { queueTicket(id: $id) { status position estimatedWaitSeconds admissionToken } }"
SALE = "query($id: ID!) { flashSale(id: $id) { status items { remainingQuantity } waitingRoom { waiting } } }"
WATCH = "subscription($id: ID!) { queueTicketUpdated(id: $id) { status position admissionToken } }"


async def create(world: World, **more: Any) -> Any:
    product = await world.publish("Flash", "F-1", units=10)
    start = world.clock() + timedelta(minutes=1)
    times = {"from": start.isoformat(), "to": (start + timedelta(hours=1)).isoformat()}
    return (await world.data(CREATE, world.seller, variant=product.variants[0], **(times | more)))["flashSaleCreate"]


async def tick(world: World, seconds: float) -> None:
    """The waiting room's worker looks, after some time."""
    world.clock.move(timedelta(seconds=seconds))
    await FlashSales(world.shop, AdmissionTokens(SECRET)).tick()


async def test_from_the_line_to_the_claim(world: World) -> None:
    sale = (await create(world))["flashSale"]
    assert (sale["status"], sale["items"][0]["remainingQuantity"]) == ("SCHEDULED", 2)
    users = [new_ulid() for _ in range(4)]
    entered = [(await world.data(ENTER, user, id=sale["id"]))["flashSaleEnter"]["ticket"] for user in users]
    assert {(each["status"], each["position"]) for each in entered} == {("WAITING", None)}, "the line is not drawn yet"
    again = (await world.data(ENTER, users[0], id=sale["id"]))["flashSaleEnter"]["ticket"]
    assert again["id"] == entered[0]["id"]
    await tick(world, 60)
    seen = [await ticket(world, user, each) for user, each in zip(users, entered, strict=True)]
    assert sorted(each["position"] for each in seen) == [1, 2, 3, 4]
    await tick(world, 1)
    seen = [await ticket(world, user, each) for user, each in zip(users, entered, strict=True)]
    inside = [(user, each["admissionToken"]) for user, each in zip(users, seen, strict=True) if each["admissionToken"]]
    assert len(inside) == 3
    results = [await claim(world, user, sale, token) for user, token in inside]
    assert [each["claim"] and each["claim"]["sequence"] for each in results] == [1, 2, None]
    assert results[2]["userErrors"] == [{"code": "SOLD_OUT"}]
    assert results[0]["claim"]["unitPrice"]["amount"] == "5000"
    now = (await world.data(SALE, id=sale["id"]))["flashSale"]
    assert (now["status"], now["items"][0]["remainingQuantity"]) == ("SOLD_OUT", 0)
    assert await world.violations() == []


async def ticket(world: World, user: str, of: Any) -> Any:
    return (await world.data(TICKET, user, id=of["id"]))["queueTicket"]


async def claim(world: World, user: str, sale: Any, token: str) -> Any:
    given = {"item": sale["items"][0]["id"], "token": token, "key": new_ulid()}
    return (await world.data(CLAIM, user, **given))["flashSaleClaim"]


async def test_a_ticket_is_its_customers_only(world: World) -> None:
    sale = (await create(world))["flashSale"]
    mine = (await world.data(ENTER, new_ulid(), id=sale["id"]))["flashSaleEnter"]["ticket"]
    assert (await world.data(TICKET, new_ulid(), id=mine["id"])) == {"queueTicket": None}
    assert (await world.ask(ENTER, id=sale["id"]))["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_customer_watches_his_place(world: World) -> None:
    sale, user = (await create(world))["flashSale"], new_ulid()
    mine = (await world.data(ENTER, user, id=sale["id"]))["flashSaleEnter"]["ticket"]
    headers = {CLAIMS_HEADER: sign_claims(SECRET, {"sub": user, "scopes": [], "exp": time.time() + 60})}
    news = world.subgraph.endpoint.subscribe(WATCH, {"id": mine["id"]}, None, headers)
    async with asyncio.timeout(20):
        seen = [(await anext(news))["data"]["queueTicketUpdated"]]
        for seconds in (60, 1):
            await tick(world, seconds)
            seen.append((await anext(news))["data"]["queueTicketUpdated"])
    await news.aclose()  # type: ignore[attr-defined]
    assert [each["status"] for each in seen] == ["WAITING", "WAITING", "ADMITTED"]
    assert seen[1]["position"] == 1
    assert seen[2]["admissionToken"]


async def test_a_sale_that_cannot_be_is_refused(world: World) -> None:
    refused = await create(world, units=11)
    assert refused["userErrors"] == [{"code": "INSUFFICIENT_STOCK", "field": ["items"]}]
    assert await world.violations() == []
