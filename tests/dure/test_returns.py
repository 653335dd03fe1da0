"""A return through the whole shop: every subgraph does its part once, and the books agree afterwards."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import UTC, datetime
from typing import Any

from dure.demo.client import Shop
from tests.dure.rest import Rest, demo_password, people
from tests.dure.shop import Buyer, ShopProcess, choose, settled, visiting, wish

DISPATCH = """mutation($id: ID!) { shipmentDispatch(id: $id, carrierCode: "CJ", trackingNumber: "123456789012") {
  shipment { status } userErrors { code message } } }"""
REPORT = """mutation($id: ID!, $at: DateTime!, $key: String!) {
  shipmentTrackingReport(id: $id, status: DELIVERED, occurredAt: $at, idempotencyKey: $key) { userErrors { code } } }"""
REQUEST = """mutation($order: ID!, $lines: [ReturnLineInput!]!, $key: String!) {
  returnRequest(orderId: $order, lines: $lines, reason: DEFECTIVE, idempotencyKey: $key) {
    return { id } userErrors { code message } } }"""
DECIDE = "mutation($id: ID!) { returnDecide(id: $id, approve: true) { return { status } userErrors { code } } }"
RECEIVE = """mutation($id: ID!, $lines: [ReturnLineInput!]!) {
  returnReceive(id: $id, lines: $lines) { return { status } userErrors { code } } }"""
ORDER = """query($id: ID!) { order(id: $id) { status paymentStatus
  lines { id quantity variant { id availableQuantity } }
  shipments { id status direction }
  returns { status refundError refundAmount { amount } shipment { id status direction lines { quantity } } }
  payments { id refundedAmount { amount } refunds { status amount { amount } } } } }"""
REFUND = """mutation($id: ID!, $key: String!) {
  refundCreate(paymentId: $id, reason: "goodwill", idempotencyKey: $key) { refund { id } userErrors { code } } }"""
SETTLE = """mutation($id: ID!, $amount: Decimal!) {
  returnSettle(id: $id, amount: $amount, alreadyRefunded: true, note: "refunded before it came back") {
    return { status } userErrors { code } } }"""
REFUSED = "{ orders(filter: {refundRefused: true}) { edges { node { id } } } }"
INBOX = "{ me { notifications(first: 50) { edges { node { type } } } } }"


async def ask(person: Rest, query: str, **variables: Any) -> Any:
    """The only field of the answer."""
    status, answer = await person.send("POST", "/graphql", {"query": query, "variables": variables})
    assert status == 200, answer
    assert "errors" not in answer, answer
    (value,) = answer["data"].values()
    assert not (isinstance(value, dict) and value.get("userErrors")), answer
    return value


async def until(person: Rest, order_id: str, reached: Any) -> Any:
    deadline = time.monotonic() + 60
    while True:
        order = await ask(person, ORDER, id=order_id)
        if reached(order):
            return order
        assert time.monotonic() < deadline, order
        await asyncio.sleep(0.05)


async def test_what_comes_back_is_refunded_restocked_and_told(copied: tuple[ShopProcess, Buyer]) -> None:
    """From the parcel that arrived to the money: the order is returned, the unit is for sale again, once."""
    shop, someone = copied
    await shop.start()
    async with visiting(shop.url, someone) as visitor:
        variant = await choose(visitor)
        order_id, other = [await buy(visitor, wish(someone, variant, units)) for units in (2, 1)]
    async with people(shop, 2) as (buyer, operator):
        buyer.token = someone.token
        await operator.log_in("operator@dure.example", demo_password(shop))
        (line,) = (await arrived(buyer, operator, order_id))["lines"]
        first = await bring_back(buyer, operator, order_id, line["id"])
        assert (first["status"], first["payments"][0]["refundedAmount"]) == ("DELIVERED", first["refund"])
        audit = await asyncio.to_thread(shop.dure, "audit")
        assert audit.returncode == 0, audit.stdout + audit.stderr
        rest = await bring_back(buyer, operator, order_id, line["id"])
        assert rest["status"] == "RETURNED"
        assert [each["status"] for each in rest["payments"][0]["refunds"]] == ["COMPLETED"] * 2
        assert [each["direction"] for each in rest["shipments"]] == ["OUTBOUND"]
        told = [edge["node"]["type"] for edge in (await ask(buyer, INBOX))["notifications"]["edges"]]
        assert (told.count("RETURN_APPROVED"), told.count("REFUND_COMPLETED")) == (2, 2)
        await settle_what_was_refused(buyer, operator, other)
    await shop.stop()
    audit = await asyncio.to_thread(shop.dure, "audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


async def buy(visitor: Shop, order: dict[str, Any]) -> str:
    """The id of the order, once it is paid."""
    placed = await visitor.ask("place_order", input=order, key=secrets.token_hex(8))
    order_id: str = placed.data["orderCreate"]["order"]["id"]
    assert (await settled(visitor, order_id))["status"] == "PAID"
    return order_id


async def arrived(buyer: Rest, operator: Rest, order_id: str) -> Any:
    """The order, once its only parcel is delivered."""
    (parcel,) = (await until(buyer, order_id, lambda each: each["shipments"]))["shipments"]
    await ask(operator, DISPATCH, id=parcel["id"])
    await ask(operator, REPORT, id=parcel["id"], at=datetime.now(UTC).isoformat(), key=secrets.token_hex(8))
    return await until(buyer, order_id, lambda each: each["status"] == "DELIVERED")


async def settle_what_was_refused(buyer: Rest, operator: Rest, order_id: str) -> None:
    """Somebody gave all of the money back before the goods came: nothing is left for the return, which ends all the
    same when an operator says so."""
    order = await arrived(buyer, operator, order_id)
    await ask(operator, REFUND, id=order["payments"][0]["id"], key=secrets.token_hex(8))
    lines = [{"orderLineId": order["lines"][0]["id"], "quantity": 1}]
    wanted = {"order": order_id, "lines": lines, "key": secrets.token_hex(8)}
    return_id = (await ask(buyer, REQUEST, **wanted))["return"]["id"]
    await ask(operator, DECIDE, id=return_id)
    await ask(operator, RECEIVE, id=return_id, lines=lines)
    order = await until(buyer, order_id, lambda each: each["returns"][0]["refundError"])
    assert (order["status"], order["returns"][0]["status"]) == ("DELIVERED", "RECEIVED")
    assert [edge["node"]["id"] for edge in (await ask(operator, REFUSED))["edges"]] == [order_id]
    amount = order["returns"][0]["refundAmount"]["amount"]
    assert (await ask(operator, SETTLE, id=return_id, amount=amount))["return"]["status"] == "REFUNDED"
    assert (await until(buyer, order_id, lambda each: each["status"] == "RETURNED"))["returns"][0][
        "refundError"
    ] is None
    assert (await ask(operator, REFUSED))["edges"] == []


async def bring_back(buyer: Rest, operator: Rest, order_id: str, line_id: str) -> Any:
    """Return one unit, to its refund; the order then, with the amount of this ``refund``."""
    lines = [{"orderLineId": line_id, "quantity": 1}]
    request = {"order": order_id, "lines": lines, "key": secrets.token_hex(8)}
    ids = [(await ask(buyer, REQUEST, **request))["return"]["id"] for _ in range(2)]
    assert ids[0] == ids[1]
    await ask(operator, DECIDE, id=ids[0])
    order = await until(buyer, order_id, lambda each: each["returns"][-1]["shipment"])
    back = order["returns"][-1]["shipment"]
    assert (back["direction"], back["lines"]) == ("RETURN", [{"quantity": 1}])
    await ask(operator, DISPATCH, id=back["id"])
    order = await until(buyer, order_id, lambda each: each["returns"][-1]["status"] == "IN_TRANSIT")
    before = order["lines"][0]["variant"]["availableQuantity"]
    await ask(operator, RECEIVE, id=ids[0], lines=lines)
    await until(buyer, order_id, lambda each: each["returns"][-1]["status"] == "REFUNDED")
    await until(buyer, order_id, lambda each: each["returns"][-1]["shipment"]["status"] == "DELIVERED")
    order = await until(buyer, order_id, lambda each: each["lines"][0]["variant"]["availableQuantity"] == before + 1)
    return order | {"refund": order["returns"][-1]["refundAmount"]}
