"""The GraphQL schema of delivery: thin resolvers over the use cases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import strawberry
from strawberry.federation.schema_directives import Authenticated

from subgraphs.delivery.addresses import NewAddress
from subgraphs.delivery.domain import CARRIERS, ShipmentStatus
from subgraphs.delivery.loaders import Context
from subgraphs.delivery.service import Split
from subgraphs.delivery.types import (
    Address,
    AddressInput,
    AddressPayload,
    Carrier,
    Info,
    InputError,
    Order,
    OrderLine,
    Partner,
    Pledge,
    ProductVariant,
    Return,
    Shipment,
    ShipmentLineInput,
    ShipmentPayload,
    User,
    entity,
    errors_of,
)
from subgraphs.kit.entities import resolve_entities
from subgraphs.kit.errors import AccessDenied, Rejected, RejectedTogether
from subgraphs.kit.idempotency import Request, check_key
from subgraphs.kit.ids import local_id, named_id, new_ulid


@strawberry.type
class Query:
    @strawberry.federation.field(authenticated=True)
    async def address(self, info: Info, id: strawberry.ID) -> Address | None:
        user_id, address_id = info.context.identity.require_user(), named_id("Address", id)
        row = await info.context.loaders.address.load(address_id) if address_id is not None else None
        return Address.of(row) if row is not None and row.user_id == user_id else None

    @strawberry.federation.field(authenticated=True, tags=["partner"])
    async def shipment(self, info: Info, id: strawberry.ID) -> Shipment | None:
        shipment_id = named_id("Shipment", id)
        row = await info.context.loaders.shipment.load(shipment_id) if shipment_id is not None else None
        return Shipment.of(row) if row is not None and await info.context.sees_shipment(row) else None

    @strawberry.field
    def carriers(self) -> list[Carrier] | None:
        return [Carrier.of(code) for code in CARRIERS]


@strawberry.type
class Mutation:
    @strawberry.federation.field(authenticated=True)
    async def address_create(self, info: Info, input: AddressInput) -> AddressPayload:
        user_id = info.context.identity.require_user()
        try:
            address_id = await info.context.addresses.create(user_id, _new_address(input))
        except (Rejected, RejectedTogether) as error:
            return AddressPayload(address=None, user_errors=errors_of(error))
        return await _address_payload(info, address_id)

    @strawberry.federation.field(authenticated=True)
    async def address_update(self, info: Info, id: strawberry.ID, input: AddressInput) -> AddressPayload:
        user_id = info.context.identity.require_user()
        try:
            address_id = local_id("Address", id, field=["id"])
            await info.context.addresses.update(user_id, address_id, _new_address(input))
        except (Rejected, RejectedTogether) as error:
            return AddressPayload(address=None, user_errors=errors_of(error))
        return await _address_payload(info, address_id)

    @strawberry.federation.field(authenticated=True)
    async def address_delete(self, info: Info, id: strawberry.ID) -> AddressPayload:
        user_id = info.context.identity.require_user()
        try:
            address_id = local_id("Address", id, field=["id"])
            payload = await _address_payload(info, address_id)
            await info.context.addresses.delete(user_id, address_id)
        except (Rejected, RejectedTogether) as error:
            return AddressPayload(address=None, user_errors=errors_of(error))
        return payload

    @strawberry.federation.field(requires_scopes=[["shipments:write"]], tags=["partner"])
    async def shipment_create(
        self,
        info: Info,
        order_id: strawberry.ID,
        idempotency_key: str,
        lines: list[ShipmentLineInput] | None = strawberry.UNSET,
    ) -> ShipmentPayload:
        who = info.context.identity
        who.require_scope("shipments:write")
        try:
            order = local_id("Order", order_id, field=["orderId"])
            splits = [_split(line) for line in lines] if lines else None
            body = [order, [(each.order_line_id, each.quantity) for each in splits or ()]]
            request = _request(info, "shipmentCreate", idempotency_key, body)
            shipment_id = await info.context.shipments.split(who, order, splits, request)
        except (Rejected, RejectedTogether) as error:
            return ShipmentPayload(shipment=None, user_errors=errors_of(error))
        return await _shipment_payload(info, shipment_id)

    @strawberry.federation.field(requires_scopes=[["shipments:write"]], tags=["partner"])
    async def shipment_mark_ready(self, info: Info, id: strawberry.ID) -> ShipmentPayload:
        who = info.context.identity
        who.require_scope("shipments:write")
        try:
            shipment_id = local_id("Shipment", id, field=["id"])
            await info.context.shipments.mark_ready(who, shipment_id)
        except (Rejected, RejectedTogether) as error:
            return ShipmentPayload(shipment=None, user_errors=errors_of(error))
        return await _shipment_payload(info, shipment_id)

    @strawberry.federation.field(requires_scopes=[["shipments:write"]], tags=["partner"])
    async def shipment_dispatch(
        self, info: Info, id: strawberry.ID, carrier_code: str, tracking_number: str
    ) -> ShipmentPayload:
        who = info.context.identity
        who.require_scope("shipments:write")
        try:
            shipment_id = local_id("Shipment", id, field=["id"])
            await info.context.shipments.dispatch(who, shipment_id, carrier_code, tracking_number)
        except (Rejected, RejectedTogether) as error:
            return ShipmentPayload(shipment=None, user_errors=errors_of(error))
        return await _shipment_payload(info, shipment_id)

    @strawberry.federation.field(requires_scopes=[["tracking:report"]])
    async def shipment_tracking_report(
        self,
        info: Info,
        id: strawberry.ID,
        status: ShipmentStatus,
        occurred_at: datetime,
        idempotency_key: str,
        location: str | None = strawberry.UNSET,
    ) -> ShipmentPayload:
        info.context.identity.require_scope("tracking:report")
        try:
            shipment_id = local_id("Shipment", id, field=["id"])
            if occurred_at.tzinfo is None:
                raise Rejected("INVALID", "Give the time with its offset.", ["occurredAt"])
            place = location or None
            body = [shipment_id, status.value, place, occurred_at.isoformat()]
            request = _request(info, "shipmentTrackingReport", idempotency_key, body)
            await info.context.shipments.report(shipment_id, status, place, occurred_at, request)
        except (Rejected, RejectedTogether) as error:
            return ShipmentPayload(shipment=None, user_errors=errors_of(error))
        return await _shipment_payload(info, shipment_id)


@strawberry.type
class Subscription:
    @strawberry.subscription(directives=[Authenticated()])
    async def shipment_updated(self, info: Info, order_id: strawberry.ID) -> AsyncIterator[Shipment]:
        """The order's shipments as they are now, then each one that changes."""
        order = local_id("Order", order_id)
        if not await info.context.sees_order(order):
            raise AccessDenied
        seen: dict[str, int] = {}
        async for _ in info.context.changes.listen(f"shipments:{order}", at_once=True):
            info.context.loaders.shipments_of_order.clear(order)
            for row in await info.context.loaders.shipments_of_order.load(order):
                if seen.get(row.id) != row.version:
                    seen[row.id] = row.version
                    yield Shipment.of(row)


def _new_address(given: AddressInput) -> NewAddress:
    return NewAddress(
        recipient=given.recipient,
        phone=given.phone,
        postal_code=given.postal_code,
        line1=given.line1,
        label=given.label or None,
        line2=given.line2 or None,
        delivery_note=given.delivery_note or None,
        as_default=bool(given.set_as_default),
    )


def _split(line: ShipmentLineInput) -> Split:
    return Split(local_id("OrderLine", line.order_line_id, field=["lines"]), line.quantity)


def _request(info: Info, operation: str, key: str, body: Any) -> Request:
    user_id = info.context.identity.require_user()
    return Request(scope=f"{user_id}:{operation}", key=check_key(key), body=body, claim=new_ulid())


async def _address_payload(info: Info, address_id: str) -> AddressPayload:
    info.context.loaders.address.clear(address_id)
    row = await info.context.loaders.address.load(address_id)
    return AddressPayload(address=Address.of(row) if row is not None else None, user_errors=[])


async def _shipment_payload(info: Info, shipment_id: str) -> ShipmentPayload:
    info.context.loaders.shipment.clear(shipment_id)
    row = await info.context.loaders.shipment.load(shipment_id)
    shown = row is not None and (
        "tracking:report" in info.context.identity.scopes or await info.context.sees_shipment(row)
    )
    return ShipmentPayload(shipment=Shipment.of(row) if row is not None and shown else None, user_errors=[])


async def _addresses(representations: Sequence[Mapping[str, Any]], context: Context) -> list[Address | None]:
    rows = await _load(context.loaders.address, "Address", representations)
    return [Address.of(row) if row and row.user_id == context.identity.user_id else None for row in rows]


async def _shipments(representations: Sequence[Mapping[str, Any]], context: Context) -> list[Shipment | None]:
    rows = await _load(context.loaders.shipment, "Shipment", representations)
    return [Shipment.of(row) if row and await context.sees_shipment(row) else None for row in rows]


async def _load(loader: Any, type_name: str, representations: Sequence[Mapping[str, Any]]) -> list[Any]:
    found: list[Any] = []
    for each in representations:
        try:
            found.append(loader.load(local_id(type_name, str(each.get("id")))))
        except Rejected:
            found.append(None)
    return [None if future is None else await future for future in found]


schema = strawberry.federation.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[User, Order, OrderLine, Pledge, Return, ProductVariant, Partner, InputError],
    federation_version="2.9",
)
resolve_entities(
    schema,
    {
        "Address": _addresses,
        "Shipment": _shipments,
        "User": entity(User, {"id": "id"}),
        "Order": entity(Order, {"id": "id", "shippingAddressId": "shipping_address_id"}),
        "OrderLine": entity(OrderLine, {"id": "id"}),
        "Pledge": entity(Pledge, {"id": "id", "shippingAddressId": "shipping_address_id"}),
        "Return": entity(Return, {"id": "id"}),
        "ProductVariant": entity(
            ProductVariant,
            {"id": "id", "weightGrams": "weight_grams", "shippingProfileId": "shipping_profile_id"},
        ),
        "Partner": entity(Partner, {"id": "id"}),
    },
)
