"""What payments adds to the graph, and to whom it shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

from messaging.events.users import PartnerChanged
from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims
from subgraphs.kit.ids import global_id, new_ulid
from tests.subgraphs.payments.conftest import PAYMENT, SECRET, World, request
from tests.support.statements import statements_of

ORDERS = """
query($r: [_Any!]!) { _entities(representations: $r) { ... on Order {
  paymentStatus amountDue { amount currencyCode }
  payments { id status attempts { outcome } refunds { id } }
} } }"""
LINES = "query($r: [_Any!]!) { _entities(representations: $r) { ... on OrderLine { commission { amount } } } }"
UPDATED = "subscription($id: ID!) { paymentUpdated(id: $id) { status } }"


def representation(order_id: str, total: str = "12000") -> dict[str, Any]:
    money = {"amount": total, "currencyCode": "KRW"}
    return {"__typename": "Order", "id": global_id("Order", order_id), "total": money}


async def entities(world: World, user: str | None, query: str, *given: dict[str, Any], **more: Any) -> list[Any]:
    answer = await world.ask(query, user, r=list(given), **more)
    assert "errors" not in answer, answer
    found: list[Any] = answer["data"]["_entities"]
    return found


async def test_an_order_shows_what_is_due_until_it_is_paid(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    (before,) = await entities(world, buyer, ORDERS, representation(wanted.order_id))
    assert (before["paymentStatus"], before["amountDue"]["amount"]) == ("READY", "12000")
    await world.work()
    (after,) = await entities(world, buyer, ORDERS, representation(wanted.order_id))
    assert after["paymentStatus"] == "DONE"
    assert after["amountDue"] == {"amount": "0", "currencyCode": "KRW"}
    assert len(after["payments"]) == 1


async def test_an_orders_payments_are_the_buyers_and_the_administrators(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    hidden = {"paymentStatus": None, "amountDue": None, "payments": None}
    assert await entities(world, new_ulid(), ORDERS, representation(wanted.order_id)) == [hidden]
    assert await entities(world, None, ORDERS, representation(wanted.order_id)) == [hidden]
    assert await entities(world, buyer, ORDERS, representation(new_ulid())) == [hidden]
    (shown,) = await entities(world, new_ulid(), ORDERS, representation(wanted.order_id), scopes=["orders:read"])
    assert len(shown["payments"]) == 1


async def test_anothers_payment_is_null(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    id = global_id("Payment", (await world.payment_of(wanted.order_id))["id"])
    assert (await world.ask(PAYMENT, new_ulid(), id=id))["data"] == {"payment": None}
    assert (await world.ask(PAYMENT, buyer, id="nonsense"))["data"] == {"payment": None}
    by_key = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Payment { status } } }"
    given = {"__typename": "Payment", "id": id}
    assert await entities(world, new_ulid(), by_key, given) == [None]
    assert await entities(world, buyer, by_key, given, {"__typename": "Payment", "id": "x"}) == [
        {"status": "READY"},
        None,
    ]


async def test_a_seller_sees_the_commission_on_his_own_lines_at_the_frozen_rate(world: World, buyer: str) -> None:
    member, partner = new_ulid(), new_ulid()
    wanted = request(buyer, None, 12_345, partner=partner)
    await world.tell(wanted)
    changed = PartnerChanged(partner_id=partner, version=2, slug="s", name="n", status="ACTIVE", member_ids=(member,))
    await world.tell(changed)
    await world.tell(PartnerChanged(partner_id=partner, version=1, slug="s", name="n", status="ACTIVE"))
    line = {
        "__typename": "OrderLine",
        "id": global_id("OrderLine", wanted.lines[0].order_line_id),
        "partnerId": global_id("Partner", partner),
        "total": {"amount": "12345", "currencyCode": "KRW"},
    }
    assert await entities(world, member, LINES, line, scopes=["partner:self"]) == [{"commission": {"amount": "1235"}}]
    assert await entities(world, new_ulid(), LINES, line, scopes=["partner:self"]) == [{"commission": None}]
    denied = await world.ask(LINES, member, r=[line])
    assert denied["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_banks_are_for_everybody(world: World) -> None:
    answer = await world.ask("{ banks { code name } }", None)
    assert {"code": "88", "name": "신한은행"} in answer["data"]["banks"]


async def test_twenty_orders_cost_as_many_statements_as_one(world: World, buyer: str) -> None:
    card = await world.card(buyer)
    wanted = [request(buyer, card) for _ in range(20)]
    await world.tell(*wanted)
    await world.work()
    with statements_of(world.database) as statements:
        await entities(world, buyer, ORDERS, representation(wanted[0].order_id))
        of_one = len(statements)
        found = await entities(world, buyer, ORDERS, *[representation(each.order_id) for each in wanted])
    assert [each["paymentStatus"] for each in found] == ["DONE"] * 20
    assert len(statements) - of_one == of_one > 0


def subscribe(world: World, user: str, id: str) -> AsyncGenerator[dict[str, Any], None]:
    headers = {CLAIMS_HEADER: sign_claims(SECRET, {"sub": user, "exp": 9e9})}
    stream = world.subgraph.endpoint.subscribe(UPDATED, {"id": id}, None, headers)
    return cast(AsyncGenerator[dict[str, Any], None], stream)


async def test_a_subscriber_sees_the_payment_change(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    id = global_id("Payment", (await world.payment_of(wanted.order_id))["id"])
    stream = subscribe(world, buyer, id)
    assert (await anext(stream))["data"] == {"paymentUpdated": {"status": "READY"}}
    change = asyncio.ensure_future(anext(stream))
    for _ in range(3):  # let it begin to listen
        await asyncio.sleep(0)
    await world.work()
    assert (await asyncio.wait_for(change, 5))["data"] == {"paymentUpdated": {"status": "DONE"}}
    await stream.aclose()


async def test_nobody_else_may_subscribe(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    id = global_id("Payment", (await world.payment_of(wanted.order_id))["id"])
    stream = subscribe(world, new_ulid(), id)
    answer = await anext(stream)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    await stream.aclose()
