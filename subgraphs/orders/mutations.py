"""What clients can do: read the input, hand a command to the service, show what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

import strawberry
from strawberry.federation.schema_directives import Authenticated

from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.kit.ids import global_id, local_id, new_ulid
from subgraphs.orders.domain.placing import Line, merge_lines
from subgraphs.orders.entities import cart_of
from subgraphs.orders.loaders import Context
from subgraphs.orders.return_mutations import ReturnMutation
from subgraphs.orders.service.orders import AnyOrder
from subgraphs.orders.service.place import CartRef, PlaceOrder
from subgraphs.orders.types.errors import errors_of
from subgraphs.orders.types.optional import given
from subgraphs.orders.types.order import Order
from subgraphs.orders.types.payloads import CartLineInput, CartPayload, CheckoutInput, OrderCreateInput, OrderPayload

Info = strawberry.Info[Context, None]


@strawberry.type
class Mutation(ReturnMutation):
    @strawberry.mutation
    async def cart_lines_add(
        self, info: Info, lines: list[CartLineInput], cart_id: strawberry.ID | None = strawberry.UNSET
    ) -> CartPayload:
        context = info.context

        async def change() -> str:
            wanted = [_line(line, ["lines", str(index)]) for index, line in enumerate(lines)]
            named = given(cart_id)
            cart = None if named is None else local_id("Cart", named, field=["cartId"])
            return await context.service.add_to_cart(context.identity.user_id, cart, wanted)

        return await _cart_payload(context, change())

    @strawberry.mutation
    async def cart_lines_update(
        self, info: Info, cart_id: strawberry.ID, line_id: strawberry.ID, quantity: int
    ) -> CartPayload:
        context = info.context

        async def change() -> str:
            cart = local_id("Cart", cart_id, field=["cartId"])
            line = local_id("CartLine", line_id, field=["lineId"])
            await context.service.update_cart_line(context.identity.user_id, cart, line, quantity)
            return cart

        return await _cart_payload(context, change())

    @strawberry.mutation
    async def cart_lines_remove(self, info: Info, cart_id: strawberry.ID, line_ids: list[strawberry.ID]) -> CartPayload:
        context = info.context

        async def change() -> str:
            cart = local_id("Cart", cart_id, field=["cartId"])
            lines = [local_id("CartLine", each, field=["lineIds"]) for each in line_ids]
            await context.service.remove_cart_lines(context.identity.user_id, cart, lines)
            return cart

        return await _cart_payload(context, change())

    @strawberry.mutation(directives=[Authenticated()])
    async def checkout_complete(self, info: Info, input: CheckoutInput, idempotency_key: str) -> OrderPayload:
        context = info.context
        buyer = context.identity.require_user()

        async def place() -> AnyOrder:
            cart = CartRef(local_id("Cart", input.cart_id, field=["input", "cartId"]), input.cart_version)
            body = [cart.cart_id, cart.version, *_terms(input)]
            request = _request(buyer, "checkoutComplete", idempotency_key, body)
            return await context.service.place(_command(buyer, "CART", input, request, cart=cart))

        return await _order_payload(context, place())

    @strawberry.mutation(directives=[Authenticated()])
    async def order_create(self, info: Info, input: OrderCreateInput, idempotency_key: str) -> OrderPayload:
        context = info.context
        buyer = context.identity.require_user()

        async def place() -> AnyOrder:
            named = [_line(line, ["input", "lines", str(index)]) for index, line in enumerate(input.lines)]
            lines = merge_lines(named, ["input", "lines"])
            named_claim = given(input.claim_id)
            claim = None if named_claim is None else local_id("StockClaim", named_claim, field=["input", "claimId"])
            body = [[line.variant_id, line.quantity] for line in lines] + _terms(input) + ([claim] if claim else [])
            request = _request(buyer, "orderCreate", idempotency_key, body)
            source = "FLASH_SALE" if claim else "BUY_NOW"
            return await context.service.place(_command(buyer, source, input, request, lines=lines, claim=claim))

        return await _order_payload(context, place())

    @strawberry.mutation(directives=[Authenticated()])
    async def order_cancel(self, info: Info, id: strawberry.ID, reason: str) -> OrderPayload:
        context = info.context
        buyer = context.identity.require_user()

        async def cancel() -> str:
            order_id = local_id("Order", id, field=["id"])
            await context.service.cancel(buyer, order_id, reason)
            return order_id

        return await _order_payload(context, cancel())

    @strawberry.mutation(directives=[Authenticated()])
    async def order_confirm(self, info: Info, id: strawberry.ID) -> OrderPayload:
        context = info.context
        buyer = context.identity.require_user()

        async def confirm() -> str:
            order_id = local_id("Order", id, field=["id"])
            await context.service.confirm(buyer, order_id)
            return order_id

        return await _order_payload(context, confirm())


def _line(line: CartLineInput, field: Sequence[str]) -> Line:
    return Line(local_id("ProductVariant", line.variant_id, field=[*field, "variantId"]), line.quantity)


def _terms(input: CheckoutInput | OrderCreateInput) -> list[Any]:
    """What makes two requests the same, besides what is bought."""
    return [input.address_id, given(input.payment_method_id), str(input.expected_total)]


def _request(buyer: str, operation: str, key: str, body: Any) -> idempotency.Request:
    return idempotency.Request(f"{buyer}:{operation}", idempotency.check_key(key), body, new_ulid())


def _command(
    buyer: str,
    source: str,
    input: CheckoutInput | OrderCreateInput,
    request: idempotency.Request,
    *,
    lines: tuple[Line, ...] = (),
    cart: CartRef | None = None,
    claim: str | None = None,
) -> PlaceOrder:
    if not input.address_id:
        raise Rejected("ADDRESS_REQUIRED", "Where shall it go?", ["input", "addressId"])
    method = given(input.payment_method_id)
    return PlaceOrder(
        buyer_id=buyer,
        source=source,
        address_id=local_id("Address", input.address_id, field=["input", "addressId"]),
        payment_method_id=None if method is None else _payment_method(method),
        expected_total=input.expected_total,
        request=request,
        lines=lines,
        cart=cart,
        claim_id=claim,
    )


def _payment_method(id: str) -> str:
    field = ["input", "paymentMethodId"]
    if not id:
        raise Rejected("PAYMENT_METHOD_REQUIRED", "Name a payment method, or leave it out to pay yourself.", field)
    return local_id("PaymentMethod", id, field=field)


async def _cart_payload(context: Context, change: Awaitable[str]) -> CartPayload:
    try:
        cart_id = await change
    except (Rejected, RejectedTogether) as refused:
        return CartPayload(cart=None, user_errors=errors_of(refused))
    return CartPayload(cart=await cart_of(context, global_id("Cart", cart_id)), user_errors=[])


async def _order_payload(context: Context, change: Awaitable[AnyOrder | str]) -> OrderPayload:
    """``change`` gives the order's row, or the id by which it is to be read."""
    try:
        changed = await change
    except (Rejected, RejectedTogether) as refused:
        return OrderPayload(order=None, user_errors=errors_of(refused))
    row = await context.loaders.order.load(changed) if isinstance(changed, str) else changed
    return OrderPayload(order=Order.of(row), user_errors=[])
