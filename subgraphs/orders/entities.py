"""Finds what a caller names, if he may see it; and the entities that other subgraphs name, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import strawberry

from subgraphs.kit.entities import Representation, Resolve
from subgraphs.kit.ids import parse_id
from subgraphs.orders.loaders import Context
from subgraphs.orders.types.cart import Cart
from subgraphs.orders.types.order import Order, OrderLine, ProductVariant
from subgraphs.orders.types.parties import Partner, User
from subgraphs.orders.types.returns import Return


async def cart_of(context: Context, id: Any) -> Cart | None:
    """The cart, if it is the caller's or nobody's."""
    ulid = _ulid("Cart", id)
    row = await context.loaders.cart.load(ulid) if ulid else None
    return Cart.of(row) if row and row.buyer_id in (None, context.identity.user_id) else None


async def order_of(context: Context, id: Any = None, number: Any = None) -> Order | None:
    """The order, if the caller may see it."""
    ulid = _ulid("Order", id)
    if ulid:
        row = await context.loaders.order.load(ulid)
    else:
        row = await context.loaders.order_by_number.load(number) if isinstance(number, str) else None
    return Order.of(row) if row is not None and await context.sees(row) else None


async def _line_of(context: Context, id: Any) -> OrderLine | None:
    ulid = _ulid("OrderLine", id)
    row = await context.loaders.order_line.load(ulid) if ulid else None
    if row is None:
        return None
    order = await context.loaders.order.load(row.order_id)
    if row.id not in {line.id for line in await context.visible_lines(order)}:
        return None
    return OrderLine.of(row, order)


async def return_of(context: Context, id: Any) -> Return | None:
    """The return, if the caller may see it."""
    ulid = _ulid("Return", id)
    row = await context.loaders.return_.load(ulid) if ulid else None
    return Return.of(row) if row is not None and await context.sees_return(row) else None


def _each(find: Callable[[Context, Representation], Awaitable[Any]]) -> Resolve:
    """All at once, so that the loaders see them together; a failure is that one's only."""

    async def resolve(representations: Sequence[Representation], context: Any) -> Sequence[Any]:
        return await asyncio.gather(*(find(context, each) for each in representations), return_exceptions=True)

    return resolve


def _stub(type_name: str, made: Callable[..., Any]) -> Resolve:
    """Entities that live elsewhere: an id of the right type is one."""

    async def resolve(representations: Sequence[Representation], _context: Any) -> Sequence[Any]:
        ids = [str(each.get("id")) for each in representations]
        return [made(id=strawberry.ID(id)) if _ulid(type_name, id) else None for id in ids]

    return resolve


def _ulid(type_name: str, id: Any) -> str | None:
    named = parse_id(id) if isinstance(id, str) else None
    return named[1] if named and named[0] == type_name else None


ENTITIES: Mapping[str, Resolve] = {
    "Cart": _each(lambda context, each: cart_of(context, each.get("id"))),
    "Order": _each(lambda context, each: order_of(context, each.get("id"), each.get("number"))),
    "OrderLine": _each(lambda context, each: _line_of(context, each.get("id"))),
    "Return": _each(lambda context, each: return_of(context, each.get("id"))),
    "User": _stub("User", User),
    "Partner": _stub("Partner", Partner),
    "ProductVariant": _stub("ProductVariant", ProductVariant),
}
