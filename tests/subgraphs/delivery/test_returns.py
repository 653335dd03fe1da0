"""Parcels of returns: one each, from where the order was delivered, whatever the order of the news."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from messaging.events.delivery import ReturnShipmentChanged, ShipmentChanged
from messaging.events.orders import ReturnChanged, ReturnedLine
from subgraphs.delivery.models import shipments
from subgraphs.kit.ids import global_id, new_ulid
from tests.subgraphs.delivery.conftest import World
from tests.subgraphs.delivery.test_shipments import DISPATCH, Sale

RETURN = """query($id: ID!) { _entities(representations: [{__typename: "Return", id: $id}]) { ... on Return {
  shipment { id status direction lines { quantity orderLine { id } } order { id } } } } }"""
TO_DISPATCH = """query($id: ID!) { _entities(representations: [{__typename: "Partner", id: $id}]) { ... on Partner {
  shipmentsToDispatch { id } } } }"""


def changed(sale: Sale, status: str, return_id: str, version: int = 2) -> ReturnChanged:
    line = sale.lines[0]
    return ReturnChanged(
        return_id=return_id,
        version=version,
        status=status,
        order_id=sale.order,
        order_number="D-1",
        buyer_id=sale.buyer,
        refund_amount=3000,
        currency="KRW",
        partner_id=sale.partners[0],
        lines=(ReturnedLine(order_line_id=line.order_line_id, variant_id=line.variant_id, quantity=1),),
    )


async def shown(sale: Sale, return_id: str, user: str) -> Any:
    answer = await sale.world.ask(RETURN, user, id=global_id("Return", return_id))
    return answer["data"]["_entities"][0]["shipment"]


async def delivered(world: World) -> Sale:
    sale = await Sale(world).begin()
    await world.tell(sale.request)
    await world.tell(sale.paid)
    return sale


async def test_an_approved_return_gets_one_parcel(world: World) -> None:
    """Told twice, it is one; its buyer and its seller see it, nobody else; the order's own parcels stay apart."""
    sale, id = await delivered(world), new_ulid()
    await world.tell(changed(sale, "APPROVED", id), changed(sale, "APPROVED", id))
    await world.tell(changed(sale, "APPROVED", id))
    seen = await shown(sale, id, sale.buyer)
    assert (seen["status"], seen["direction"], seen["order"]) == ("REQUESTED", "RETURN", None)
    assert seen["lines"] == [{"quantity": 1, "orderLine": {"id": global_id("OrderLine", sale.lines[0].order_line_id)}}]
    assert await shown(sale, id, sale.seller) == seen
    assert await shown(sale, id, new_ulid()) is None
    async with world.database.read() as connection:
        rows = (await connection.execute(select(shipments).order_by(shipments.c.id))).all()
    assert [row.direction for row in rows] == ["OUTBOUND", "OUTBOUND", "RETURN"]
    assert rows[2].address == rows[0].address
    partner = global_id("Partner", sale.partners[0])
    waiting = await world.ask(TO_DISPATCH, sale.seller, scopes=["partner:self"], id=partner)
    assert seen["id"] not in [each["id"] for each in waiting["data"]["_entities"][0]["shipmentsToDispatch"]]
    assert await world.audit() == []


async def test_its_way_is_told_as_the_returns(world: World) -> None:
    """Dispatched by the seller's carrier, delivered when the seller has it; nothing is told of the order."""
    sale, id = await delivered(world), new_ulid()
    await world.tell(changed(sale, "APPROVED", id))
    parcel = (await shown(sale, id, sale.seller))["id"]
    before = len(await world.told(ShipmentChanged))
    sent = {"id": parcel, "carrier": "CJ", "number": "123456789012"}
    answer = await world.ask(DISPATCH, sale.seller, scopes=["shipments:write"], **sent)
    assert answer["data"]["shipmentDispatch"]["userErrors"] == []
    await world.tell(changed(sale, "RECEIVED", id, version=4))
    await world.tell(changed(sale, "RECEIVED", id, version=4))
    assert [each.status for each in await world.told(ReturnShipmentChanged)] == ["DISPATCHED", "DELIVERED"]
    assert len(await world.told(ShipmentChanged)) == before
    assert (await shown(sale, id, sale.buyer))["status"] == "DELIVERED"
    assert await world.audit() == []


async def test_a_cancellation_may_come_first(world: World) -> None:
    """The approval that it overtook makes no parcel that goes; one that has gone is not cancelled."""
    sale, early, late = await delivered(world), new_ulid(), new_ulid()
    await world.tell(changed(sale, "CANCELED", early, version=3))
    await world.tell(changed(sale, "APPROVED", early))
    assert (await shown(sale, early, sale.buyer))["status"] == "CANCELED"
    await world.tell(changed(sale, "APPROVED", late))
    await world.tell(changed(sale, "CANCELED", late, version=3))
    assert (await shown(sale, late, sale.buyer))["status"] == "CANCELED"
    assert await world.audit() == []


async def test_what_did_not_go_out_from_here_is_not_fetched(world: World) -> None:
    sale, id = await Sale(world).begin(), new_ulid()
    await world.tell(changed(sale, "APPROVED", id))
    assert await shown(sale, id, sale.buyer) is None
