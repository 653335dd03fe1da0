"""Carts as clients see them, at today's prices."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from subgraphs.kit.errors import Rejected
from subgraphs.kit.ids import global_id
from subgraphs.kit.types import Money, Node, money_of
from subgraphs.orders.domain.placing import PricedLine, Variant, shipping_fee
from subgraphs.orders.loaders import AnyRow, CartContent, Context
from subgraphs.orders.service.copies import Facts
from subgraphs.orders.types.enums import CartWarningCode
from subgraphs.orders.types.order import ProductVariant, user_of

if TYPE_CHECKING:
    from subgraphs.orders.types.parties import User

Info = strawberry.Info[Context, None]
EMPTY_CART_CURRENCY = "KRW"


@strawberry.type
class CartLine:
    id: strawberry.ID
    variant: ProductVariant | None
    quantity: int
    unit_price: Money
    unit_price_change: Money | None
    subtotal: Money


@strawberry.type
class CartCost:
    subtotal: Money
    discount: Money
    shipping: Money | None
    total: Money
    estimated: bool


@strawberry.type
class CartWarning:
    code: CartWarningCode
    message: str
    line_id: strawberry.ID | None


@strawberry.federation.type(keys=["id"])
class Cart(Node):
    row: strawberry.Private[AnyRow]
    buyer: Annotated[User, strawberry.lazy("subgraphs.orders.types.parties")] | None
    checkout_token: str
    version: int
    updated_at: datetime

    @staticmethod
    def of(row: AnyRow) -> Cart:
        return Cart(
            row=row,
            id=strawberry.ID(global_id("Cart", row.id)),
            buyer=user_of(row.buyer_id) if row.buyer_id else None,
            checkout_token=row.checkout_token,
            version=row.version,
            updated_at=row.updated_at,
        )

    @strawberry.field
    async def lines(self, info: Info) -> list[CartLine]:
        content = await self._content(info)
        return [_line(row, content.facts.variants[row.variant_id]) for row in content.lines]

    @strawberry.field
    async def cost(self, info: Info) -> CartCost:
        content = await self._content(info)
        return _cost([_priced(row, content.facts) for row in _for_sale(content)], content.facts)

    @strawberry.field
    async def warnings(self, info: Info) -> list[CartWarning]:
        content = await self._content(info)
        return [warning for row in content.lines for warning in _warnings(row, content.facts)]

    async def _content(self, info: Info) -> CartContent:
        content: CartContent = await info.context.loaders.cart_content.load(self.row.id)
        return content


def _line(row: AnyRow, variant: Variant) -> CartLine:
    change = variant.price - row.seen_price
    return CartLine(
        id=strawberry.ID(global_id("CartLine", row.id)),
        variant=ProductVariant(id=strawberry.ID(global_id("ProductVariant", row.variant_id))),
        quantity=row.quantity,
        unit_price=money_of(variant.price, variant.currency),
        unit_price_change=money_of(change, variant.currency) if change else None,
        subtotal=money_of(variant.price * row.quantity, variant.currency),
    )


def _is_for_sale(variant: Variant, facts: Facts) -> bool:
    return variant.purchasable and variant.partner_id not in facts.closed_partners


def _for_sale(content: CartContent) -> Iterable[AnyRow]:
    return (row for row in content.lines if _is_for_sale(content.facts.variants[row.variant_id], content.facts))


def _priced(row: AnyRow, facts: Facts) -> PricedLine:
    return PricedLine(facts.variants[row.variant_id], row.quantity)


def _cost(lines: list[PricedLine], facts: Facts) -> CartCost:
    """What can be bought of the cart costs; an estimate, for remote areas cost more and the address is not known."""
    currency = lines[0].variant.currency if lines else EMPTY_CART_CURRENCY
    subtotal = sum(line.total for line in lines)
    try:
        shipping: int | None = shipping_fee(lines, facts.profiles, remote=False, field=[])
    except Rejected:
        shipping = None
    return CartCost(
        subtotal=money_of(subtotal, currency),
        discount=money_of(0, currency),
        shipping=None if shipping is None else money_of(shipping, currency),
        total=money_of(subtotal + (shipping or 0), currency),
        estimated=True,
    )


def _warnings(row: AnyRow, facts: Facts) -> Iterable[CartWarning]:
    variant = facts.variants[row.variant_id]
    line_id = strawberry.ID(global_id("CartLine", row.id))
    if not _is_for_sale(variant, facts):
        message = f"{variant.name} is not for sale at the moment."
        yield CartWarning(code=CartWarningCode.PRODUCT_UNAVAILABLE, message=message, line_id=line_id)
    elif variant.price != row.seen_price:
        message = f"The price of {variant.name} has changed since you put it here."
        yield CartWarning(code=CartWarningCode.PRICE_CHANGED, message=message, line_id=line_id)
