"""Shipments: the saga's third step, sellers, carriers."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from messaging.events.delivery import DeliveryAccepted, DeliveryCanceled, DeliveryRejected, ShipmentChanged
from messaging.events.orders import DeliveryCancelRequested, DeliveryRequested, OrderLineFacts, OrderPaid, OrderPlaced
from messaging.events.users import PartnerChanged
from subgraphs.delivery.models import deliveries, shipment_lines, shipments
from subgraphs.kit.ids import global_id, local_id, new_ulid
from tests.subgraphs.delivery.conftest import World
from tests.subgraphs.delivery.test_addresses import create

ORDER = """
query($id: ID!, $address: ID) {
  _entities(representations: [{__typename: "Order", id: $id, shippingAddressId: $address}]) { ... on Order {
    fulfillmentStatus currentAddress { id }
    shipments { id status trackingNumber lines { quantity orderLine { id shippedQuantity } } events { status } }
  } }
}"""
READY = "mutation($id: ID!) { shipmentMarkReady(id: $id) { shipment { status } userErrors { code } } }"
DISPATCH = """
mutation($id: ID!, $carrier: String!, $number: String!) {
  shipmentDispatch(id: $id, carrierCode: $carrier, trackingNumber: $number) { shipment { status } userErrors { code } }
}"""
REPORT = """
mutation($id: ID!, $status: ShipmentStatus!, $at: DateTime!, $key: String!) {
  shipmentTrackingReport(id: $id, status: $status, occurredAt: $at, idempotencyKey: $key) {
    shipment { status deliveredAt } userErrors { code }
  }
}"""
SPLIT = """
mutation($order: ID!, $lines: [ShipmentLineInput!], $key: String!) {
  shipmentCreate(orderId: $order, lines: $lines, idempotencyKey: $key) { shipment { id } userErrors { code } }
}"""


class Sale:
    """An order of two sellers' goods, three units each, and the people around it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.buyer, self.seller, self.order = new_ulid(), new_ulid(), new_ulid()
        self.partners = [new_ulid(), new_ulid()]
        self.lines = tuple(
            OrderLineFacts(order_line_id=new_ulid(), variant_id=new_ulid(), quantity=3, total=9000, partner_id=partner)
            for partner in self.partners
        )
        self.address_id = ""

    async def begin(self) -> Sale:
        self.address_id = local_id("Address", (await create(self.world, self.buyer))["address"]["id"])
        await self.world.tell(
            PartnerChanged(
                partner_id=self.partners[0], version=1, slug="s", name="S", status="ACTIVE", member_ids=(self.seller,)
            )
        )
        return self

    @property
    def request(self) -> DeliveryRequested:
        return DeliveryRequested(order_id=self.order, buyer_id=self.buyer, address_id=self.address_id, lines=self.lines)

    @property
    def paid(self) -> OrderPaid:
        return OrderPaid(
            order_id=self.order, order_number="N", buyer_id=self.buyer, total=18000, currency="KRW", lines=self.lines
        )

    async def seen(self, user: str | None = None) -> dict[str, Any]:
        answer = await self.world.ask(
            ORDER, user or self.buyer, id=global_id("Order", self.order), address=global_id("Address", self.address_id)
        )
        (order,) = answer["data"]["_entities"]
        return dict(order)

    async def sell(self, query: str, **given: Any) -> dict[str, Any]:
        answer = await self.world.ask(query, self.seller, scopes=["shipments:write"], **given)
        (payload,) = answer["data"].values()
        return dict(payload)

    async def carry(self, shipment: str, status: str, minute: int, key: str | None = None) -> dict[str, Any]:
        answer = await self.world.ask(
            REPORT,
            new_ulid() if key is None else "0" * 26,
            scopes=["tracking:report"],
            id=shipment,
            status=status,
            at=f"2026-11-20T10:{minute:02}:00+09:00",
            key=key or new_ulid(),
        )
        return dict(answer["data"]["shipmentTrackingReport"])


@pytest.fixture
async def sale(world: World) -> Sale:
    return await Sale(world).begin()


async def test_an_order_gets_one_shipment_a_seller(world: World, sale: Sale) -> None:
    await world.tell(sale.request)
    order = await sale.seen()
    assert [each["status"] for each in order["shipments"]] == ["REQUESTED", "REQUESTED"]
    assert order["fulfillmentStatus"] == "UNFULFILLED"
    assert order["currentAddress"] is not None
    (accepted,) = await world.told(DeliveryAccepted)
    assert len(accepted.shipment_ids) == 2
    assert await world.audit() == []


async def test_a_request_that_comes_again_is_answered_again_and_makes_nothing(world: World, sale: Sale) -> None:
    for _ in range(3):
        await world.tell(sale.request)
    answers = await world.told(DeliveryAccepted)
    assert len(answers) == 3
    assert len({answer.shipment_ids for answer in answers}) == 1
    assert len((await sale.seen())["shipments"]) == 2


async def test_another_users_address_is_rejected(world: World, sale: Sale) -> None:
    stranger = DeliveryRequested(order_id=sale.order, buyer_id=new_ulid(), address_id=sale.address_id, lines=sale.lines)
    await world.tell(stranger)
    await world.tell(stranger)
    assert [answer.reason for answer in await world.told(DeliveryRejected)] == ["address", "address"]
    assert await world.told(DeliveryAccepted) == []


async def test_a_cancellation_that_overtakes_its_request_wins(world: World, sale: Sale) -> None:
    await world.tell(DeliveryCancelRequested(order_id=sale.order))
    await world.tell(sale.request)
    assert len(await world.told(DeliveryCanceled)) == 1
    assert [answer.reason for answer in await world.told(DeliveryRejected)] == ["canceled"]
    assert await world.audit() == []


async def test_what_has_not_left_can_be_cancelled_again_and_again(world: World, sale: Sale) -> None:
    await world.tell(sale.request)
    await world.tell(DeliveryCancelRequested(order_id=sale.order))
    await world.tell(DeliveryCancelRequested(order_id=sale.order))
    assert len(await world.told(DeliveryCanceled)) == 2
    assert {each["status"] for each in (await sale.seen())["shipments"]} == {"CANCELED"}
    assert await world.audit() == []


async def test_what_has_left_cannot_be_cancelled(world: World, sale: Sale) -> None:
    await world.tell(sale.request)
    await dispatch_first(sale)
    await world.tell(DeliveryCancelRequested(order_id=sale.order))
    assert [answer.reason for answer in await world.told(DeliveryRejected)] == ["dispatched"]
    assert {each["status"] for each in (await sale.seen())["shipments"]} == {"DISPATCHED", "REQUESTED"}


async def test_what_is_leaving_at_that_moment_cannot_be_cancelled(world: World, sale: Sale) -> None:
    """The cancellation waits for the seller's transaction: goods that leave are not given back the money for."""
    await world.tell(sale.request)
    await world.tell(sale.paid)
    leaves = update(shipments).where(shipments.c.seller_id == sale.partners[0]).values(status="DISPATCHED")
    async with world.database.transaction() as tx:
        await tx.execute(leaves)
        canceling = asyncio.create_task(world.tell(DeliveryCancelRequested(order_id=sale.order)))
        await asyncio.wait([canceling], timeout=0.2)
        assert not canceling.done()
    await canceling
    assert [answer.reason for answer in await world.told(DeliveryRejected)] == ["dispatched"]
    assert {each["status"] for each in (await sale.seen())["shipments"]} == {"DISPATCHED", "REQUESTED"}


@pytest.mark.parametrize(
    ("now", "expected"), [("2026-11-22T14:59Z", "2026-11-24"), ("2026-11-22T15:00Z", "2026-11-25")]
)
async def test_parcels_arrive_by_the_calendar_of_seoul(world: World, sale: Sale, now: str, expected: str) -> None:
    """Where Monday begins while it is Sunday afternoon in Greenwich."""
    await world.tell(sale.request, now=lambda: datetime.fromisoformat(now))
    async with world.database.read() as connection:
        days = (await connection.execute(select(shipments.c.estimated_delivery_on))).scalars().all()
    assert {str(day) for day in days} == {expected}


async def own_shipment(sale: Sale) -> str:
    """The shipment of the seller who acts in these tests."""
    line = global_id("OrderLine", sale.lines[0].order_line_id)
    parcels = (await sale.seen())["shipments"]
    return next(each["id"] for each in parcels if each["lines"][0]["orderLine"]["id"] == line)


async def dispatch_first(sale: Sale) -> str:
    await sale.world.tell(sale.paid)
    shipment = await own_shipment(sale)
    payload = await sale.sell(DISPATCH, id=shipment, carrier="CJ", number="1234-5678-90")
    assert payload == {"shipment": {"status": "DISPATCHED"}, "userErrors": []}
    return shipment


async def test_a_parcel_goes_from_ready_to_delivered_and_says_so(world: World, sale: Sale) -> None:
    await world.tell(sale.request)
    shipment = await own_shipment(sale)
    assert (await sale.sell(READY, id=shipment))["shipment"] == {"status": "READY"}
    await dispatch_first(sale)
    order = await sale.seen()
    assert order["fulfillmentStatus"] == "PARTIALLY_FULFILLED"
    shipped = {line["orderLine"]["shippedQuantity"] for each in order["shipments"] for line in each["lines"]}
    assert shipped == {3, 0}
    assert (await sale.carry(shipment, "DELIVERED", 30))["shipment"]["status"] == "DELIVERED"
    assert [event.status for event in await world.told(ShipmentChanged)] == ["READY", "DISPATCHED", "DELIVERED"]
    assert not (await world.told(ShipmentChanged))[-1].order_delivered, "the other seller's parcel is still there"


async def test_what_is_not_paid_does_not_leave(world: World, sale: Sale) -> None:
    await world.tell(sale.request)
    shipment = await own_shipment(sale)
    refused = await sale.sell(DISPATCH, id=shipment, carrier="CJ", number="1234567890")
    assert refused == {"shipment": None, "userErrors": [{"code": "NOT_ALLOWED"}]}
    await dispatch_first(sale)


async def test_reports_in_any_order_are_kept_and_never_set_it_back(world: World, sale: Sale) -> None:
    await world.tell(sale.request)
    shipment = await dispatch_first(sale)
    await sale.carry(shipment, "OUT_FOR_DELIVERY", 20)
    late = await sale.carry(shipment, "IN_TRANSIT", 10)
    assert late["shipment"]["status"] == "OUT_FOR_DELIVERY"
    parcel = next(each for each in (await sale.seen())["shipments"] if each["id"] == shipment)
    assert [event["status"] for event in parcel["events"]] == ["IN_TRANSIT", "OUT_FOR_DELIVERY"]


async def test_the_same_report_twice_is_one_and_another_under_its_key_is_refused(world: World, sale: Sale) -> None:
    await world.tell(sale.request)
    shipment = await dispatch_first(sale)
    for _ in range(2):
        assert (await sale.carry(shipment, "IN_TRANSIT", 10, key="k"))["userErrors"] == []
    other = await sale.carry(shipment, "DELIVERED", 10, key="k")
    assert other["userErrors"] == [{"code": "IDEMPOTENCY_CONFLICT"}]
    parcel = next(each for each in (await sale.seen())["shipments"] if each["id"] == shipment)
    assert len(parcel["events"]) == 1


@pytest.mark.parametrize(
    ("carrier", "number", "code"), [("NONE", "1234567890", "NOT_FOUND"), ("CJ", "12", "INVALID_TRACKING_NUMBER")]
)
async def test_a_carrier_and_its_number_must_be_real(
    world: World, sale: Sale, carrier: str, number: str, code: str
) -> None:
    await world.tell(sale.request)
    payload = await sale.sell(DISPATCH, id=await own_shipment(sale), carrier=carrier, number=number)
    assert payload == {"shipment": None, "userErrors": [{"code": code}]}


async def test_a_seller_handles_only_his_own_parcels(world: World, sale: Sale) -> None:
    await world.tell(sale.request)
    mine = await own_shipment(sale)
    theirs = next(each["id"] for each in (await sale.seen())["shipments"] if each["id"] != mine)
    assert (await sale.sell(READY, id=theirs))["userErrors"] == [{"code": "NOT_FOUND"}]
    seen = await world.ask("query($id: ID!) { shipment(id: $id) { id } }", new_ulid(), id=mine)
    assert seen["data"] == {"shipment": None}


async def test_units_can_be_sent_apart_but_not_more_than_wait(world: World, sale: Sale) -> None:
    await world.tell(sale.request)
    order, line = global_id("Order", sale.order), global_id("OrderLine", sale.lines[0].order_line_id)
    too_many = await sale.sell(SPLIT, order=order, key="a", lines=[{"orderLineId": line, "quantity": 4}])
    assert too_many["userErrors"] == [{"code": "INVALID"}]
    made = await sale.sell(SPLIT, order=order, key="b", lines=[{"orderLineId": line, "quantity": 1}])
    again = await sale.sell(SPLIT, order=order, key="b", lines=[{"orderLineId": line, "quantity": 1}])
    assert again == made
    quantities = sorted(
        each["lines"][0]["quantity"]
        for each in (await sale.seen())["shipments"]
        if each["lines"][0]["orderLine"]["id"] == line
    )
    assert quantities == [1, 2]
    assert await world.audit() == []


ESTIMATE = """
query($r: _Any!, $code: String!, $n: Int) { _entities(representations: [$r]) { ... on ProductVariant {
  shippingEstimate(postalCode: $code, quantity: $n) { fee { amount currencyCode } freeOver { amount } }
} } }"""


@pytest.mark.parametrize(("code", "fee"), [("06236", "3000"), ("63122", "7000"), ("1", None)])
async def test_an_estimate_follows_the_profile_and_the_place(world: World, code: str, fee: str | None) -> None:
    variant = {
        "__typename": "ProductVariant",
        "id": global_id("ProductVariant", new_ulid()),
        "weightGrams": 500,
        "shippingProfileId": global_id("ShippingProfile", world.profile_id),
    }
    answer = await world.ask(ESTIMATE, None, r=variant, code=code, n=1)
    (found,) = answer["data"]["_entities"]
    expected = fee and {"fee": {"amount": fee, "currencyCode": "KRW"}, "freeOver": {"amount": "50000"}}
    assert found == {"shippingEstimate": expected}


@pytest.mark.parametrize(
    ("damage", "invariant"),
    [
        (update(deliveries).values(state="CANCELED"), "delivery.canceled_stays"),
        (shipment_lines.delete(), "delivery.shipment_has_lines"),
        (update(shipments).values(dispatched_at="now"), "delivery.dispatched_is_tracked"),
        (update(shipments).values(order_id=None), "delivery.accepted_has_shipment"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_audit_sees_each_broken_invariant(world: World, sale: Sale, damage: Any, invariant: str) -> None:
    await world.tell(sale.request)
    if invariant == "delivery.dispatched_is_tracked":
        damage = update(shipments).values(dispatched_at=shipments.c.created_at)
    async with world.database.transaction() as tx:
        await tx.execute(damage)
    assert invariant in {violation.invariant for violation in await world.audit()}


async def test_who_has_paid_is_known_whatever_is_heard_first(world: World, sale: Sale) -> None:
    """OrderPaid may be the first that is heard of an order, or come after the cancellation that left it nameless."""
    nameless, known, fresh = (replace(sale.paid, order_id=new_ulid()) for _ in range(3))
    await world.tell(DeliveryCancelRequested(order_id=nameless.order_id))
    placed = OrderPlaced(
        order_id=known.order_id,
        order_number="N",
        buyer_id=known.buyer_id,
        total=known.total,
        currency="KRW",
        lines=known.lines,
    )
    await world.tell(placed)
    await world.tell(nameless, known, fresh)
    query = select(deliveries.c.order_id, deliveries.c.buyer_id, deliveries.c.paid)
    asked = [nameless.order_id, known.order_id, fresh.order_id]
    async with world.database.read() as connection:
        rows = (await connection.execute(query.where(deliveries.c.order_id.in_(asked)))).all()
    assert {row.order_id: (row.buyer_id, row.paid) for row in rows} == dict.fromkeys(asked, (sale.buyer, True))
