"""GraphQL types of delivery."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import strawberry
from sqlalchemy import Row

from subgraphs.delivery.domain import (
    CARRIERS,
    FulfillmentStatus,
    ShipmentDirection,
    ShipmentStatus,
    delivery_window,
    fulfillment,
    is_postal_code,
    is_remote,
    seoul_day,
    shipping_fee,
)
from subgraphs.delivery.domain import ShippingProfile as Profile
from subgraphs.delivery.loaders import Context
from subgraphs.kit.caching import INHERITED
from subgraphs.kit.errors import Rejected, RejectedTogether, reasons
from subgraphs.kit.ids import global_id, parse_id
from subgraphs.kit.types import Money, Node, money_of

Info = strawberry.Info[Context, None]

strawberry.enum(ShipmentStatus)
strawberry.enum(ShipmentDirection)
strawberry.enum(FulfillmentStatus)


@strawberry.enum
class UserErrorCode(enum.Enum):
    INVALID = "INVALID"
    REQUIRED = "REQUIRED"
    NOT_FOUND = "NOT_FOUND"
    NOT_ALLOWED = "NOT_ALLOWED"
    ADDRESS_IN_USE = "ADDRESS_IN_USE"
    ADDRESS_LIMIT_REACHED = "ADDRESS_LIMIT_REACHED"
    INVALID_POSTAL_CODE = "INVALID_POSTAL_CODE"
    INVALID_TRACKING_NUMBER = "INVALID_TRACKING_NUMBER"
    SHIPMENT_ALREADY_DISPATCHED = "SHIPMENT_ALREADY_DISPATCHED"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"


@strawberry.interface
class UserError:
    code: UserErrorCode
    message: str
    field: list[str] | None


@strawberry.federation.type(shareable=True)
class InputError(UserError):
    pass


def errors_of(error: Rejected | RejectedTogether) -> list[UserError]:
    return [
        InputError(code=UserErrorCode(each.code), message=each.message, field=each.field) for each in reasons(error)
    ]


@strawberry.federation.type(keys=["id"])
class Address(Node):
    id: strawberry.ID
    label: str | None
    recipient: str
    phone: str
    postal_code: str
    line1: str
    line2: str | None
    delivery_note: str | None
    is_default: bool
    remote_area: bool

    @staticmethod
    def of(row: Row[Any]) -> Address:
        return Address(
            id=strawberry.ID(global_id("Address", row.id)),
            label=row.label,
            recipient=row.recipient,
            phone=row.phone,
            postal_code=row.postal_code,
            line1=row.line1,
            line2=row.line2,
            delivery_note=row.delivery_note,
            is_default=row.is_default,
            remote_area=is_remote(row.postal_code),
        )


@strawberry.type
class Carrier:
    code: str
    name: str
    tracking_url_template: str | None

    @staticmethod
    def of(code: str) -> Carrier:
        carrier = CARRIERS[code]
        return Carrier(code=carrier.code, name=carrier.name, tracking_url_template=carrier.url)


@strawberry.type(directives=[INHERITED])
class ShippingEstimate:
    fee: Money
    free_over: Money | None
    deliver_from: date
    deliver_to: date


@strawberry.type
class TrackingEvent:
    status: ShipmentStatus
    location: str | None
    description: str | None
    occurred_at: datetime
    received_at: datetime


@strawberry.type
class ShipmentLine:
    order_line: OrderLine | None
    quantity: int


@strawberry.federation.type(keys=["id"], tags=["partner"])
class Shipment(Node):
    id: strawberry.ID
    row: strawberry.Private[Row[Any]]
    direction: ShipmentDirection
    status: ShipmentStatus
    tracking_number: str | None
    ready_at: datetime | None
    dispatched_at: datetime | None
    delivered_at: datetime | None
    estimated_delivery_on: date | None

    @strawberry.field
    def carrier(self) -> Carrier | None:
        return Carrier.of(self.row.carrier_code) if self.row.carrier_code else None

    @strawberry.field
    def tracking_url(self) -> str | None:
        if not self.row.carrier_code:
            return None
        return CARRIERS[self.row.carrier_code].url.replace("{number}", self.row.tracking_number)

    @strawberry.field
    def order(self) -> Order | None:
        return Order(id=_id("Order", self.row.order_id)) if self.row.order_id else None

    @strawberry.field
    def pledge(self) -> Pledge | None:
        return Pledge(id=_id("Pledge", self.row.pledge_id)) if self.row.pledge_id else None

    @strawberry.field
    def partner(self) -> Partner | None:
        return Partner(id=_id("Partner", self.row.seller_id)) if self.row.seller_id else None

    @strawberry.field
    async def lines(self, info: Info) -> list[ShipmentLine]:
        rows = await info.context.loaders.lines.load(self.row.id)
        return [ShipmentLine(order_line=OrderLine.of(row.order_line_id), quantity=row.quantity) for row in rows]

    @strawberry.field
    async def events(self, info: Info) -> list[TrackingEvent]:
        return [
            TrackingEvent(
                status=ShipmentStatus(row.status),
                location=row.location,
                description=row.description,
                occurred_at=row.occurred_at,
                received_at=row.received_at,
            )
            for row in await info.context.loaders.events.load(self.row.id)
        ]

    @staticmethod
    def of(row: Row[Any]) -> Shipment:
        return Shipment(
            id=_id("Shipment", row.id),
            row=row,
            direction=ShipmentDirection(row.direction),
            status=ShipmentStatus(row.status),
            tracking_number=row.tracking_number,
            ready_at=row.ready_at,
            dispatched_at=row.dispatched_at,
            delivered_at=row.delivered_at,
            estimated_delivery_on=row.estimated_delivery_on,
        )


async def shipments_seen(info: Info, rows: Sequence[Row[Any]]) -> list[Shipment]:
    """Those of the rows that the caller may see."""
    return [Shipment.of(row) for row in rows if await info.context.sees_shipment(row)]


@strawberry.federation.type(keys=["id"])
class User:
    id: strawberry.ID

    @strawberry.federation.field(authenticated=True)
    async def addresses(self, info: Info) -> list[Address] | None:
        rows = await self._own(info)
        return None if rows is None else [Address.of(row) for row in rows]

    @strawberry.federation.field(authenticated=True)
    async def default_address(self, info: Info) -> Address | None:
        return next((Address.of(row) for row in await self._own(info) or () if row.is_default), None)

    async def _own(self, info: Info) -> list[Row[Any]] | None:
        """The user's addresses, which nobody else sees."""
        user_id = _local("User", self.id)
        if user_id is None or user_id != info.context.identity.user_id:
            return None
        return await info.context.loaders.addresses_of_user.load(user_id)


@strawberry.federation.type(keys=["id"])
class Order:
    id: strawberry.ID
    shipping_address_id: strawberry.ID | None = strawberry.federation.field(external=True, default=None)

    @strawberry.field
    async def shipments(self, info: Info) -> list[Shipment] | None:
        order_id = _local("Order", self.id)
        if order_id is None:
            return None
        return await shipments_seen(info, await info.context.loaders.shipments_of_order.load(order_id))

    @strawberry.federation.field(override="orders")
    async def fulfillment_status(self, info: Info) -> FulfillmentStatus | None:
        order_id = _local("Order", self.id)
        if order_id is None:
            return None
        rows = await info.context.loaders.shipments_of_order.load(order_id)
        return fulfillment([ShipmentStatus(row.status) for row in rows if row.direction == "OUTBOUND"])

    @strawberry.federation.field(requires=["shippingAddressId"], authenticated=True)
    async def current_address(self, info: Info) -> Address | None:
        return await _own_address(info, self.shipping_address_id)


@strawberry.federation.type(keys=["id"])
class OrderLine:
    id: strawberry.ID

    @strawberry.field
    async def shipped_quantity(self, info: Info) -> int | None:
        line_id = _local("OrderLine", self.id)
        if line_id is None:
            return None
        return sum(int(row.quantity) for row in await info.context.loaders.shipped.load(line_id))

    @staticmethod
    def of(ulid: str) -> OrderLine:
        return OrderLine(id=_id("OrderLine", ulid))


@strawberry.federation.type(keys=["id"])
class Pledge:
    id: strawberry.ID
    shipping_address_id: strawberry.ID | None = strawberry.federation.field(external=True, default=None)

    @strawberry.field
    async def shipments(self, info: Info) -> list[Shipment] | None:
        pledge_id = _local("Pledge", self.id)
        if pledge_id is None:
            return None
        return await shipments_seen(info, await info.context.loaders.shipments_of_pledge.load(pledge_id))

    @strawberry.federation.field(requires=["shippingAddressId"], authenticated=True)
    async def shipping_address(self, info: Info) -> Address | None:
        return await _own_address(info, self.shipping_address_id)


@strawberry.federation.type(keys=["id"])
class Return:
    id: strawberry.ID

    @strawberry.field
    async def shipment(self, info: Info) -> Shipment | None:
        return_id = _local("Return", self.id)
        row = await info.context.loaders.shipment_of_return.load(return_id) if return_id else None
        return Shipment.of(row) if row is not None and await info.context.sees_shipment(row) else None


@strawberry.federation.type(keys=["id"])
class ProductVariant:
    id: strawberry.ID
    weight_grams: int = strawberry.federation.field(external=True, default=0)
    shipping_profile_id: strawberry.ID = strawberry.federation.field(external=True, default=strawberry.ID(""))

    @strawberry.federation.field(requires=["weightGrams shippingProfileId"])
    async def shipping_estimate(
        self, info: Info, postal_code: str, quantity: int | None = 1
    ) -> ShippingEstimate | None:
        units = 1 if quantity is None else quantity
        profile_id = _local("ShippingProfile", self.shipping_profile_id)
        if not is_postal_code(postal_code) or not 1 <= units <= 999 or profile_id is None:
            return None
        profile = await info.context.loaders.profile.load(profile_id)
        if profile is None:
            return None
        remote = is_remote(postal_code)
        rule = Profile(profile.base_fee, profile.free_over, profile.remote_surcharge)
        first, last = delivery_window(seoul_day(info.context.now()), remote, self.weight_grams * units)
        return ShippingEstimate(
            fee=money_of(shipping_fee(rule, 0, remote), profile.currency),
            free_over=None if profile.free_over is None else money_of(profile.free_over, profile.currency),
            deliver_from=first,
            deliver_to=last,
        )


@strawberry.federation.type(keys=["id"])
class Partner:
    id: strawberry.ID

    @strawberry.federation.field(requires_scopes=[["partner:self"]], tags=["partner"])
    async def shipments_to_dispatch(self, info: Info) -> list[Shipment] | None:
        info.context.identity.require_scope("partner:self")
        partner_id = _local("Partner", self.id)
        if partner_id is None or not await info.context.acts_for(partner_id):
            return None
        return [Shipment.of(row) for row in await info.context.loaders.waiting_of_seller.load(partner_id)]


async def _own_address(info: Info, given: str | None) -> Address | None:
    address_id = _local("Address", given)
    row = await info.context.loaders.address.load(address_id) if address_id else None
    return Address.of(row) if row is not None and row.user_id == info.context.identity.user_id else None


def _id(type_name: str, ulid: str) -> strawberry.ID:
    return strawberry.ID(global_id(type_name, ulid))


def _local(type_name: str, given: str | None) -> str | None:
    """The ULID in an id of this type; None if it is not one."""
    found = parse_id(given) if given else None
    return found[1] if found and found[0] == type_name else None


def entity(cls: type[Any], fields: Mapping[str, str]) -> Any:
    """A resolver of ``_entities`` for a type that other subgraphs own: all that is known is what is represented.

    ``fields`` maps representation keys to attributes.
    """

    async def resolve(representations: Sequence[Mapping[str, Any]], _context: Context) -> list[Any]:
        made = []
        for each in representations:
            known = isinstance(each.get("id"), str)
            values = {name: each[key] for key, name in fields.items() if key in each}
            made.append(cls(**values) if known else None)
        return made

    return resolve


@strawberry.input
class AddressInput:
    label: str | None = strawberry.UNSET
    recipient: str
    phone: str
    postal_code: str
    line1: str
    line2: str | None = strawberry.UNSET
    delivery_note: str | None = strawberry.UNSET
    set_as_default: bool | None = False


@strawberry.input
class ShipmentLineInput:
    order_line_id: strawberry.ID
    quantity: int


@strawberry.type
class AddressPayload:
    address: Address | None
    user_errors: list[UserError]


@strawberry.type
class ShipmentPayload:
    shipment: Shipment | None
    user_errors: list[UserError]
