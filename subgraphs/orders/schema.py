"""Query, Mutation and Subscription of orders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import strawberry
from strawberry.federation.schema_directives import Authenticated, ListSize, RequiresScopes, Tag

from subgraphs.kit.entities import resolve_entities
from subgraphs.kit.errors import AccessDenied, Rejected
from subgraphs.kit.ids import local_id
from subgraphs.orders import models
from subgraphs.orders.entities import ENTITIES, cart_of, order_of
from subgraphs.orders.loaders import AnyRow, Context, OrderList
from subgraphs.orders.mutations import Mutation
from subgraphs.orders.service.live import now_and_at, order_topic, partner_topic
from subgraphs.orders.service.orders import order_rows
from subgraphs.orders.types.cart import Cart
from subgraphs.orders.types.errors import InputError
from subgraphs.orders.types.optional import given
from subgraphs.orders.types.order import (
    Order,
    OrderConnection,
    OrderFilter,
    OrderLine,
    ProductVariant,
    connection_of,
    sold_by,
)
from subgraphs.orders.types.parties import Partner, User
from subgraphs.orders.types.returns import Return

Info = strawberry.Info[Context, None]
OVERLAP = timedelta(seconds=10)
_PAGED = ListSize(
    slicing_arguments=["first"],
    sized_fields=["edges"],
    assumed_size=strawberry.UNSET,
    require_one_slicing_argument=strawberry.UNSET,
)


@strawberry.type
class Query:
    @strawberry.field
    async def cart(self, info: Info, id: strawberry.ID | None = strawberry.UNSET) -> Cart | None:
        context = info.context
        if given(id) is None:
            user_id = context.identity.user_id
            row = await context.loaders.cart_of.load(user_id) if user_id else None
            return Cart.of(row) if row else None
        return await cart_of(context, id)

    @strawberry.field(directives=[Authenticated()])
    async def order(
        self, info: Info, id: strawberry.ID | None = strawberry.UNSET, number: str | None = strawberry.UNSET
    ) -> Order | None:
        info.context.identity.require_user()
        if (given(id) is None) == (given(number) is None):
            raise Rejected("INVALID", "Give an id or a number.", ["id"])
        return await order_of(info.context, id, number)

    @strawberry.field(directives=[_PAGED, RequiresScopes(scopes=[["orders:read"]]), Tag(name="partner")])
    async def orders(
        self,
        info: Info,
        filter: OrderFilter | None = strawberry.UNSET,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
    ) -> OrderConnection | None:
        info.context.identity.require_scope("orders:read")
        return await connection_of(info, OrderList(()), given(filter), first, given(after))


@strawberry.type
class Subscription:
    @strawberry.subscription(directives=[Authenticated()])
    async def order_updated(self, info: Info, id: strawberry.ID) -> AsyncIterator[Order]:
        """The order as it is now, then at each change."""
        context = info.context
        context.identity.require_user()
        order_id, shown = local_id("Order", id), None
        async for _ in now_and_at(context.changes, order_topic(order_id)):
            context.loaders.order.clear(order_id)
            order = await order_of(context, id)
            if order is None:
                raise AccessDenied("FORBIDDEN", "You have no such order.")
            if order.row != shown:
                shown = order.row
                yield order

    @strawberry.subscription(directives=[RequiresScopes(scopes=[["partner:self"]])])
    async def partner_order_received(self, info: Info, partner_id: strawberry.ID) -> AsyncIterator[Order]:
        """Each order with this seller's goods, once it is paid."""
        context = info.context
        context.identity.require_scope("partner:self")
        partner = local_id("Partner", partner_id)
        if not await context.is_member(partner):
            raise AccessDenied("FORBIDDEN", "You do not work for this seller.")
        since, seen = context.now(), set[str]()
        async for _ in now_and_at(context.changes, partner_topic(partner)):
            rows = await _paid_since(context, partner, since)
            for row in rows:
                if row.id not in seen:
                    yield Order.of(row)
            # Commits may become visible a little out of order: the last seconds are looked at again.
            since = max([since, *(row.paid_at - OVERLAP for row in rows)])
            seen = {row.id for row in rows if row.paid_at >= since}


async def _paid_since(context: Context, partner_id: str, since: datetime) -> Sequence[AnyRow]:
    orders = models.orders
    query = order_rows().where(sold_by(partner_id), orders.c.paid_at >= since).order_by(orders.c.paid_at)
    async with context.database.read() as connection:
        return list(await connection.execute(query))


schema = strawberry.federation.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[InputError, Cart, Order, OrderLine, Return, User, Partner, ProductVariant],
    federation_version="2.9",
)
resolve_entities(schema, ENTITIES)
