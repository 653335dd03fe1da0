"""Orders as clients see them. Values are attributes; what must be read is read by the request's loaders."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import ColumnElement, select

from subgraphs.kit.errors import Rejected
from subgraphs.kit.ids import global_id, parse_id
from subgraphs.kit.pagination import Page
from subgraphs.kit.types import Money, Node, PageInfo, money_of
from subgraphs.orders import models
from subgraphs.orders.domain import returns, states
from subgraphs.orders.loaders import AnyRow, Context, OrderList
from subgraphs.orders.service.saga import saga_of
from subgraphs.orders.types.enums import FulfillmentStatus, OrderSource, OrderStatus, StepName, StepStatus
from subgraphs.orders.types.optional import given
from subgraphs.orders.types.returns import Return

if TYPE_CHECKING:
    from subgraphs.orders.types.parties import Partner, User

Info = strawberry.Info[Context, None]


@strawberry.federation.type(keys=["id"])
class ProductVariant:
    id: strawberry.ID


@strawberry.type
class AddressSnapshot:
    recipient: str
    phone: str
    postal_code: str
    line1: str
    line2: str | None
    delivery_note: str | None


@strawberry.type
class OrderStep:
    name: StepName
    status: StepStatus
    attempts: int
    last_error: str | None
    updated_at: datetime


def user_of(user_id: str) -> Any:
    from subgraphs.orders.types.parties import User  # the two modules name each other's types

    return User(id=strawberry.ID(global_id("User", user_id)))


def _partner(partner_id: strawberry.ID) -> Any:
    from subgraphs.orders.types.parties import Partner

    return Partner(id=partner_id)


@strawberry.federation.type(keys=["id"], tags=["partner"])
class OrderLine(Node):
    variant: ProductVariant | None
    product_name: str
    sku: str
    quantity: int
    unit_price: Money
    total: Money
    partner: Annotated[Partner, strawberry.lazy("subgraphs.orders.types.parties")] | None
    partner_id: strawberry.ID | None = strawberry.federation.field(inaccessible=True)
    row: strawberry.Private[AnyRow]
    order: strawberry.Private[AnyRow]

    @strawberry.field(description="Units that may be sent back without giving a reason.")
    async def returnable_quantity(self, info: Info) -> int:
        taken = await info.context.loaders.returned_units.load(self.row.id)
        status, delivered_at = OrderStatus(self.order.status), self.order.delivered_at
        return returns.returnable(status, self.row.quantity, taken, delivered_at, info.context.now())

    @staticmethod
    def of(row: AnyRow, order: AnyRow) -> OrderLine:
        partner_id = strawberry.ID(global_id("Partner", row.partner_id)) if row.partner_id else None
        return OrderLine(
            row=row,
            order=order,
            id=strawberry.ID(global_id("OrderLine", row.id)),
            variant=ProductVariant(id=strawberry.ID(global_id("ProductVariant", row.variant_id))),
            product_name=row.product_name,
            sku=row.sku,
            quantity=row.quantity,
            unit_price=money_of(row.unit_price, row.currency),
            total=money_of(row.total, row.currency),
            partner=_partner(partner_id) if partner_id else None,
            partner_id=partner_id,
        )


@strawberry.federation.type(keys=["id", "number"], tags=["partner"])
class Order(Node):
    row: strawberry.Private[AnyRow]
    number: str
    status: OrderStatus
    buyer: Annotated[User, strawberry.lazy("subgraphs.orders.types.parties")] | None
    subtotal: Money
    discount: Money
    shipping: Money
    total: Money
    shipping_address_id: strawberry.ID | None = strawberry.federation.field(inaccessible=True)
    source: OrderSource
    placed_at: datetime
    confirmable_from: datetime | None
    confirmed_at: datetime | None
    canceled_at: datetime | None
    cancel_reason: str | None
    fulfillment_status: FulfillmentStatus | None = strawberry.federation.field(shareable=True)
    next_transitions: list[OrderStatus]

    @staticmethod
    def of(row: AnyRow) -> Order:
        status = OrderStatus(row.status)
        ending = OrderStatus(row.ending) if row.ending else None
        return Order(
            row=row,
            id=strawberry.ID(global_id("Order", row.id)),
            number=row.number,
            status=status,
            buyer=user_of(row.buyer_id),
            subtotal=money_of(row.subtotal, row.currency),
            discount=money_of(row.discount, row.currency),
            shipping=money_of(row.shipping, row.currency),
            total=money_of(row.total, row.currency),
            shipping_address_id=strawberry.ID(global_id("Address", row.address_id)),
            source=OrderSource(row.source),
            placed_at=row.placed_at,
            confirmable_from=row.delivered_at,
            confirmed_at=row.confirmed_at,
            canceled_at=row.canceled_at,
            cancel_reason=row.cancel_reason,
            fulfillment_status=FulfillmentStatus(row.fulfillment_status),
            next_transitions=list(states.next_transitions(status, ending)),
        )

    @strawberry.field
    def auto_confirm_at(self, info: Info) -> datetime | None:
        if self.status is not OrderStatus.DELIVERED or self.confirmable_from is None:
            return None
        return self.confirmable_from + info.context.auto_confirm_after

    @strawberry.field
    async def lines(self, info: Info) -> list[OrderLine]:
        return [OrderLine.of(row, self.row) for row in await info.context.visible_lines(self.row)]

    @strawberry.field
    async def returns(self, info: Info) -> list[Return]:
        return [Return.of(row) for row in await info.context.visible_returns(self.row)]

    @strawberry.field
    def shipping_address(self) -> AddressSnapshot:
        row = self.row
        return AddressSnapshot(
            recipient=row.recipient,
            phone=row.phone,
            postal_code=row.postal_code,
            line1=row.line1,
            line2=row.line2,
            delivery_note=row.delivery_note,
        )

    @strawberry.field
    def steps(self) -> list[OrderStep]:
        return [_step(self.row, name, phase) for name, phase in saga_of(self.row).phases.items()]


def _step(row: AnyRow, name: StepName, phase: states.Phase) -> OrderStep:
    column = name.value.lower()
    return OrderStep(
        name=name,
        status=states.STEP_STATUS[phase],
        attempts=getattr(row, f"{column}_attempts"),
        last_error=getattr(row, f"{column}_error"),
        updated_at=getattr(row, f"{column}_at"),
    )


@strawberry.type
class OrderEdge:
    cursor: str
    node: Order


@strawberry.type
class OrderConnection:
    orders: strawberry.Private[OrderList]
    edges: list[OrderEdge]
    page_info: PageInfo

    @strawberry.field
    async def total_count(self, info: Info) -> int | None:
        return await info.context.count(self.orders)

    @staticmethod
    def of(orders: OrderList, page: Page[AnyRow]) -> OrderConnection:
        edges = [
            OrderEdge(cursor=cursor, node=Order.of(row)) for row, cursor in zip(page.rows, page.cursors, strict=True)
        ]
        return OrderConnection(orders=orders, edges=edges, page_info=page.info)


@strawberry.input
class OrderFilter:
    status: list[OrderStatus] | None = strawberry.UNSET
    placed_from: datetime | None = strawberry.UNSET
    placed_to: datetime | None = strawberry.UNSET
    source: list[OrderSource] | None = strawberry.UNSET
    partner_id: strawberry.ID | None = strawberry.UNSET
    refund_refused: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Whether a return of it waits because its refund was refused."
    )

    def conditions(self) -> list[ColumnElement[bool]]:
        """All of them must hold; an empty list matches nothing. Raises Rejected for an instant without an offset."""
        orders = models.orders
        found: list[ColumnElement[bool]] = []
        if (status := given(self.status)) is not None:
            found.append(orders.c.status.in_([each.value for each in status]))
        if (source := given(self.source)) is not None:
            found.append(orders.c.source.in_([each.value for each in source]))
        if placed_from := given(self.placed_from):
            found.append(orders.c.placed_at >= _aware(placed_from, "placedFrom"))
        if placed_to := given(self.placed_to):
            found.append(orders.c.placed_at < _aware(placed_to, "placedTo"))
        if (partner_id := given(self.partner_id)) is not None:
            named = parse_id(partner_id)
            found.append(sold_by(named[1] if named and named[0] == "Partner" else ""))
        if (refused := given(self.refund_refused)) is not None:
            waiting = select(models.returns.c.order_id).where(models.returns.c.refund_error.is_not(None))
            found.append(orders.c.id.in_(waiting) if refused else orders.c.id.not_in(waiting))
        return found


def _aware(instant: datetime, name: str) -> datetime:
    if instant.tzinfo is None:
        raise Rejected("INVALID", f"{name} needs an offset, such as +09:00.", ["filter", name])
    return instant


def sold_by(partner_id: str) -> ColumnElement[bool]:
    """Orders with a line of this seller."""
    lines = models.order_lines
    return models.orders.c.id.in_(select(lines.c.order_id).where(lines.c.partner_id == partner_id))


async def connection_of(
    info: Info, orders: OrderList, filter: OrderFilter | None, first: int | None, after: str | None
) -> OrderConnection:
    """A page of ``orders``, narrowed by the filter."""
    narrowed = orders.where(*filter.conditions()) if filter else orders
    return OrderConnection.of(narrowed, await info.context.page(narrowed, first, after))
