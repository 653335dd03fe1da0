"""Inputs and payloads of mutations."""

from __future__ import annotations

from decimal import Decimal

import strawberry

from subgraphs.orders.types.cart import Cart
from subgraphs.orders.types.errors import UserError
from subgraphs.orders.types.order import Order


@strawberry.input
class CartLineInput:
    variant_id: strawberry.ID
    quantity: int


@strawberry.input
class CheckoutInput:
    cart_id: strawberry.ID
    cart_version: int
    address_id: strawberry.ID
    payment_method_id: strawberry.ID | None = strawberry.UNSET
    expected_total: Decimal


@strawberry.input
class OrderCreateInput:
    lines: list[CartLineInput]
    address_id: strawberry.ID
    payment_method_id: strawberry.ID | None = strawberry.UNSET
    claim_id: strawberry.ID | None = strawberry.UNSET
    expected_total: Decimal


@strawberry.type
class CartPayload:
    cart: Cart | None
    user_errors: list[UserError]


@strawberry.type
class OrderPayload:
    order: Order | None
    user_errors: list[UserError]
