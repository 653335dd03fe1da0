"""Returns as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from subgraphs.kit.ids import global_id
from subgraphs.kit.types import Money, Node, money_of
from subgraphs.orders.domain.returns import ReturnReason, ReturnStatus
from subgraphs.orders.loaders import AnyRow, Context
from subgraphs.orders.types.errors import UserError

if TYPE_CHECKING:
    from subgraphs.orders.types.order import Order, OrderLine

Info = strawberry.Info[Context, None]
strawberry.enum(ReturnReason)
strawberry.enum(ReturnStatus)


@strawberry.type
class ReturnLine:
    order_line: Annotated[OrderLine, strawberry.lazy("subgraphs.orders.types.order")]
    quantity: int
    received_quantity: int | None = strawberry.field(description="Units that came back; null until they have.")
    restock: bool | None


@strawberry.federation.type(keys=["id"])
class Return(Node):
    row: strawberry.Private[AnyRow]
    status: ReturnStatus
    reason: ReturnReason
    note: str | None
    decision_note: str | None
    refund_amount: Money = strawberry.field(
        description="Less the parcel back; an estimate until the goods have arrived."
    )
    refund_error: str | None = strawberry.field(description="Why the money could not be given back yet.")
    settlement_note: str | None = strawberry.field(description="What an operator did about a refund that was refused.")
    return_shipping_fee: Money
    requested_at: datetime
    decided_at: datetime | None
    received_at: datetime | None
    refunded_at: datetime | None

    @strawberry.field
    async def order(self, info: Info) -> Annotated[Order, strawberry.lazy("subgraphs.orders.types.order")]:
        from subgraphs.orders.types.order import Order  # the two modules name each other's types

        return Order.of(await info.context.loaders.order.load(self.row.order_id))

    @strawberry.field
    async def lines(self, info: Info) -> list[ReturnLine]:
        from subgraphs.orders.types.order import OrderLine

        context = info.context
        order = await context.loaders.order.load(self.row.order_id)
        of_order = {line.id: line for line in await context.loaders.order_lines.load(order.id)}
        return [
            ReturnLine(
                order_line=OrderLine.of(of_order[row.order_line_id], order),
                quantity=row.quantity,
                received_quantity=row.received,
                restock=row.restock,
            )
            for row in await context.loaders.return_lines.load(self.row.id)
        ]

    @staticmethod
    def of(row: AnyRow) -> Return:
        return Return(
            id=strawberry.ID(global_id("Return", row.id)),
            row=row,
            status=ReturnStatus(row.status),
            reason=ReturnReason(row.reason),
            note=row.note,
            decision_note=row.decision_note,
            refund_amount=money_of(row.refund_amount, row.currency),
            refund_error=row.refund_error,
            settlement_note=row.settled_note,
            return_shipping_fee=money_of(row.fee, row.currency),
            requested_at=row.requested_at,
            decided_at=row.decided_at,
            received_at=row.received_at,
            refunded_at=row.refunded_at,
        )


@strawberry.input
class ReturnLineInput:
    order_line_id: strawberry.ID
    quantity: int


@strawberry.type
class ReturnPayload:
    return_: Return | None = strawberry.field(name="return")
    user_errors: list[UserError]
