"""Turns what the saga decided into the events of the contract."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among
from db.prepared import Prepared
from messaging.events import EventData
from messaging.events.orders import (
    DeliveryCancelRequested,
    DeliveryRequested,
    OrderCanceled,
    OrderConfirmed,
    OrderLineFacts,
    OrderPaid,
    OrderPlaced,
    PaymentCancelRequested,
    PaymentRequested,
    StockCommitRequested,
    StockLine,
    StockReleaseRequested,
    StockReservationRequested,
)
from subgraphs.orders import models
from subgraphs.orders.domain.saga import Ask

Facts = tuple[OrderLineFacts, ...]
_WITH_LINES = frozenset({Ask.RESERVE_STOCK, Ask.PAY, Ask.DELIVER, Ask.TELL_PAID})


async def events_for(tx: AsyncConnection, told: Sequence[tuple[Row[Any], Ask, str]]) -> list[EventData]:
    """An event for each (order, what to tell, reason); the lines are read once for all."""
    lines = await lines_of(tx, [order.id for order, ask, _ in told if ask in _WITH_LINES])
    return [_event(order, ask, reason, lines[order.id]) for order, ask, reason in told]


_TOLD = ("id", "order_id", "variant_id", "quantity", "total", "partner_id", "product_name")
_LINES = Prepared(
    select(*(models.order_lines.c[name] for name in _TOLD))
    .where(among(models.order_lines.c.order_id, "ids"))
    .order_by(models.order_lines.c.order_id, models.order_lines.c.position)
)


async def lines_of(tx: AsyncConnection, order_ids: Iterable[str]) -> defaultdict[str, list[Row[Any]]]:
    """The lines of each order, in their order: what is told of them."""
    found: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    wanted = sorted(set(order_ids))
    if wanted:
        for row in await _LINES.rows(tx, ids=wanted):
            found[row.order_id].append(row)
    return found


def facts(lines: Iterable[Any]) -> Facts:
    """What other subgraphs are told of order lines."""
    return tuple(
        OrderLineFacts(
            order_line_id=line.id,
            variant_id=line.variant_id,
            quantity=line.quantity,
            total=line.total,
            partner_id=line.partner_id,
        )
        for line in lines
    )


def order_name(lines: Sequence[Any]) -> str:
    """What the buyer sees at the payment provider: the first product, and how many more."""
    first = str(lines[0].product_name)[:80]
    return first if len(lines) == 1 else f"{first} (+{len(lines) - 1})"


def placed(order: Any, lines: Sequence[Any]) -> EventData:
    """What is told of a new order; products takes it for the request to reserve."""
    return OrderPlaced(
        order_id=order.id,
        order_number=order.number,
        buyer_id=order.buyer_id,
        total=order.total,
        currency=order.currency,
        lines=facts(lines),
        claim_id=order.claim_id,
    )


def confirmed(order: Any, lines: Sequence[Any]) -> EventData:
    return OrderConfirmed(order_id=order.id, buyer_id=order.buyer_id, lines=facts(lines))


def _reservation(order: Any, lines: Sequence[Any]) -> EventData:
    wanted = tuple(StockLine(variant_id=line.variant_id, quantity=line.quantity) for line in lines)
    return StockReservationRequested(order_id=order.id, buyer_id=order.buyer_id, lines=wanted, claim_id=order.claim_id)


def _event(order: Any, ask: Ask, reason: str, lines: Sequence[Any]) -> EventData:
    match ask:
        case Ask.RESERVE_STOCK:
            return _reservation(order, lines)
        case Ask.PAY:
            return PaymentRequested(
                order_id=order.id,
                order_number=order.number,
                order_name=order_name(lines),
                buyer_id=order.buyer_id,
                amount=order.total,
                currency=order.currency,
                lines=facts(lines),
                payment_method_id=order.payment_method_id,
            )
        case Ask.DELIVER:
            return DeliveryRequested(
                order_id=order.id, buyer_id=order.buyer_id, address_id=order.address_id, lines=facts(lines)
            )
        case Ask.COMMIT_STOCK:
            return StockCommitRequested(order_id=order.id)
        case Ask.RELEASE_STOCK:
            return StockReleaseRequested(order_id=order.id)
        case Ask.CANCEL_PAYMENT:
            return PaymentCancelRequested(order_id=order.id, reason=reason or order.cancel_reason or "canceled")
        case Ask.CANCEL_DELIVERY:
            return DeliveryCancelRequested(order_id=order.id)
        case Ask.TELL_PAID:
            return OrderPaid(
                order_id=order.id,
                order_number=order.number,
                buyer_id=order.buyer_id,
                total=order.total,
                currency=order.currency,
                lines=facts(lines),
            )
        case Ask.TELL_CANCELED:
            return OrderCanceled(order_id=order.id, order_number=order.number, buyer_id=order.buyer_id, reason=reason)
