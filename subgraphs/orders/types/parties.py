"""What orders adds to users and partners, who live in another subgraph."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import strawberry
from strawberry.federation.schema_directives import Authenticated, RequiresScopes, Tag

from subgraphs.kit.ids import parse_id
from subgraphs.kit.types import Money, money_of
from subgraphs.orders import models
from subgraphs.orders.loaders import Context, OrderList
from subgraphs.orders.service.sales import SalesGroup, sales_of
from subgraphs.orders.types.cart import Cart
from subgraphs.orders.types.optional import given
from subgraphs.orders.types.order import OrderConnection, OrderFilter, connection_of, sold_by

Info = strawberry.Info[Context, None]


@strawberry.federation.type(keys=["id"])
class User:
    id: strawberry.ID

    @strawberry.field(directives=[Authenticated()])
    async def cart(self, info: Info) -> Cart | None:
        own = _own_id(self.id, info)
        row = await info.context.loaders.cart_of.load(own) if own else None
        return Cart.of(row) if row else None

    @strawberry.field(directives=[Authenticated()])
    async def orders(
        self,
        info: Info,
        filter: OrderFilter | None = strawberry.UNSET,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
    ) -> OrderConnection | None:
        own = _own_id(self.id, info)
        if own is None:
            return None
        return await connection_of(
            info, OrderList((models.orders.c.buyer_id == own,)), given(filter), first, given(after)
        )


def _own_id(id: str, info: Info) -> str | None:
    """The user's ULID, if it is the caller."""
    named = parse_id(id)
    return named[1] if named and named == ("User", info.context.identity.user_id) else None


@strawberry.type
class SalesBucket:
    key: str
    orders: int
    quantity: int
    revenue: Money


@strawberry.federation.type(keys=["id"])
class Partner:
    id: strawberry.ID

    @strawberry.field(directives=[RequiresScopes(scopes=[["partner:self"]]), Tag(name="partner")])
    async def orders(
        self,
        info: Info,
        filter: OrderFilter | None = strawberry.UNSET,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
    ) -> OrderConnection | None:
        partner_id = await _own_partner(self.id, info)
        if partner_id is None:
            return None
        return await connection_of(info, OrderList((sold_by(partner_id),)), given(filter), first, given(after))

    @strawberry.field(directives=[RequiresScopes(scopes=[["partner:self"]]), Tag(name="partner")])
    async def sales_summary(
        self,
        info: Info,
        from_: Annotated[date, strawberry.argument(name="from")],
        to: date,
        group_by: SalesGroup = SalesGroup.DAY,
    ) -> list[SalesBucket] | None:
        partner_id = await _own_partner(self.id, info)
        if partner_id is None:
            return None
        async with info.context.database.read(stale_ok=True) as connection:
            found = await sales_of(connection, partner_id, from_, to, group_by)
        return [
            SalesBucket(
                key=sales.key,
                orders=sales.orders,
                quantity=sales.quantity,
                revenue=money_of(sales.revenue, sales.currency),
            )
            for sales in found
        ]


async def _own_partner(id: str, info: Info) -> str | None:
    """The partner's ULID, if the caller works for it."""
    info.context.identity.require_scope("partner:self")
    named = parse_id(id)
    if named is None or named[0] != "Partner" or not await info.context.is_member(named[1]):
        return None
    return named[1]
