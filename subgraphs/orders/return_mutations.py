"""What clients can do with returns."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from decimal import Decimal

import strawberry
from strawberry.federation.schema_directives import Authenticated, RequiresScopes

from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.kit.ids import local_id, new_ulid
from subgraphs.orders.domain.returns import ReturnReason
from subgraphs.orders.loaders import Context
from subgraphs.orders.types.errors import errors_of
from subgraphs.orders.types.optional import given
from subgraphs.orders.types.returns import Return, ReturnLineInput, ReturnPayload

Info = strawberry.Info[Context, None]
SCOPE = "returns:write"
MONEY_SCOPE = "refunds:write"


@strawberry.type
class ReturnMutation:
    @strawberry.mutation(directives=[Authenticated()])
    async def return_request(
        self,
        info: Info,
        order_id: strawberry.ID,
        lines: list[ReturnLineInput],
        reason: ReturnReason,
        idempotency_key: str,
        note: str | None = strawberry.UNSET,
    ) -> ReturnPayload:
        context = info.context
        buyer = context.identity.require_user()

        async def ask() -> str:
            order, units, text = local_id("Order", order_id, field=["orderId"]), _units(lines), given(note)
            body = [order, sorted(units.items()), reason.value, text]
            key = idempotency.check_key(idempotency_key)
            request = idempotency.Request(f"{buyer}:returnRequest", key, body, new_ulid())
            return await context.returning.request(buyer, order, units, reason, text, request)

        return await _payload(context, ask())

    @strawberry.mutation(directives=[Authenticated()])
    async def return_cancel(self, info: Info, id: strawberry.ID) -> ReturnPayload:
        context = info.context
        buyer = context.identity.require_user()

        async def cancel() -> str:
            return_id = local_id("Return", id, field=["id"])
            await context.returning.cancel(buyer, return_id)
            return return_id

        return await _payload(context, cancel())

    @strawberry.mutation(directives=[RequiresScopes(scopes=[[SCOPE]])])
    async def return_decide(
        self, info: Info, id: strawberry.ID, approve: bool, note: str | None = strawberry.UNSET
    ) -> ReturnPayload:
        context = info.context
        context.identity.require_scope(SCOPE)

        async def decide() -> str:
            return_id = local_id("Return", id, field=["id"])
            await context.returning.decide(context.identity, return_id, approve, given(note))
            return return_id

        return await _payload(context, decide())

    @strawberry.mutation(directives=[RequiresScopes(scopes=[[SCOPE]])])
    async def return_receive(
        self, info: Info, id: strawberry.ID, lines: list[ReturnLineInput], restock: bool = True
    ) -> ReturnPayload:
        context = info.context
        context.identity.require_scope(SCOPE)

        async def receive() -> str:
            return_id = local_id("Return", id, field=["id"])
            await context.returning.receive(context.identity, return_id, _units(lines), restock)
            return return_id

        return await _payload(context, receive())

    @strawberry.mutation(
        directives=[RequiresScopes(scopes=[[MONEY_SCOPE]])],
        description="For operators: a refund that was refused (`refundError`) is asked for anew with this amount, or, "
        "`alreadyRefunded`, written down as given back another way: by `refundCreate` or a bank transfer.",
    )
    async def return_settle(
        self, info: Info, id: strawberry.ID, amount: Decimal, note: str, already_refunded: bool = False
    ) -> ReturnPayload:
        context = info.context
        context.identity.require_scope(MONEY_SCOPE)

        async def settle() -> str:
            return_id = local_id("Return", id, field=["id"])
            await context.returning.settle(context.identity, return_id, amount, already_refunded, note)
            return return_id

        return await _payload(context, settle())


def _units(lines: Sequence[ReturnLineInput]) -> dict[str, int]:
    """Units by order line; a line that is named twice counts twice. Raises Rejected."""
    units: dict[str, int] = {}
    for index, line in enumerate(lines):
        id = local_id("OrderLine", line.order_line_id, field=["lines", str(index), "orderLineId"])
        if line.quantity < 0:
            raise Rejected("INVALID", "Less than nothing.", ["lines", str(index), "quantity"])
        units[id] = units.get(id, 0) + line.quantity
    return units


async def _payload(context: Context, change: Awaitable[str]) -> ReturnPayload:
    try:
        return_id = await change
    except (Rejected, RejectedTogether) as refused:
        return ReturnPayload(return_=None, user_errors=errors_of(refused))
    return ReturnPayload(return_=Return.of(await context.loaders.return_.load(return_id)), user_errors=[])
