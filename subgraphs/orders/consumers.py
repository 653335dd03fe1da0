"""What orders does with the others' events: saga answers move orders on, changed facts renew copies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from messaging.consumer import Handler, Hook
from messaging.envelope import Event
from messaging.events import EventData
from messaging.events.delivery import (
    AddressChanged,
    DeliveryAccepted,
    DeliveryCanceled,
    DeliveryRejected,
    ReturnShipmentChanged,
    ShipmentChanged,
    ShippingProfileChanged,
)
from messaging.events.payments import (
    PaymentAwaitingDeposit,
    PaymentCanceled,
    PaymentCaptured,
    PaymentFailed,
    PaymentMethodChanged,
    RefundCompleted,
    RefundRejected,
)
from messaging.events.products import (
    StockClaimed,
    StockClaimReleased,
    StockCommitRejected,
    StockCommitted,
    StockRejected,
    StockReleased,
    StockReserved,
    VariantChanged,
)
from messaging.events.users import PartnerChanged, UserChanged
from subgraphs.orders.domain.saga import Answer
from subgraphs.orders.domain.states import PROGRESS_OF_SHIPMENT, OrderStatus
from subgraphs.orders.service import claimed, copies, refusals, returns
from subgraphs.orders.service.live import Live
from subgraphs.orders.service.saga import News, Outcome, advance

D = TypeVar("D", bound=EventData)
ON_ITS_WAY = frozenset({"DISPATCHED", "IN_TRANSIT", "OUT_FOR_DELIVERY", "ATTEMPT_FAILED", "DELIVERED"})
"""What a shipment's status means that the parcel has left the buyer."""
HOLD_EXPIRED = "The stock was held until its time was up."


def handlers(live: Live, now: Callable[[], datetime], *, ask_again_after: float) -> Mapping[type[EventData], Handler]:
    """The handler of each event type that orders takes."""

    def changing(work: Callable[[AsyncConnection, Sequence[Any]], Awaitable[Outcome]]) -> Handler:
        async def handle(tx: AsyncConnection, events: Sequence[Event[Any]]) -> Hook | None:
            outcome = await work(tx, [event.data for event in events])
            failpoint("orders.saga.before_commit")

            def committed() -> None:
                failpoint("orders.saga.after_commit")
                live.tell(outcome)

            return committed

        return handle

    async def answered(tx: AsyncConnection, facts: Sequence[Any]) -> Outcome:
        news = [each for fact in facts if (each := NEWS[type(fact)](fact)) is not None]
        return await advance(tx, news, now(), ask_again_after=ask_again_after)

    async def parcels_back(tx: AsyncConnection, facts: Sequence[ReturnShipmentChanged]) -> Outcome:
        return await returns.moved(tx, [each.return_id for each in facts if each.status in ON_ITS_WAY])

    async def refunds_completed(tx: AsyncConnection, facts: Sequence[RefundCompleted]) -> Outcome:
        return await returns.refunded(tx, [each.return_id for each in facts], now())

    return {
        **dict.fromkeys(NEWS, changing(answered)),
        ReturnShipmentChanged: changing(parcels_back),
        RefundCompleted: changing(refunds_completed),
        RefundRejected: _keeping(refusals.refund_rejected),
        StockClaimed: _keeping(claimed.keep_claims),
        StockClaimReleased: _keeping(claimed.keep_claims),
        VariantChanged: _keeping(copies.keep_variants),
        AddressChanged: _keeping(copies.keep_addresses),
        PaymentMethodChanged: _keeping(copies.keep_payment_methods),
        ShippingProfileChanged: _keeping(copies.keep_shipping_profiles),
        UserChanged: _keeping(copies.keep_users),
        PartnerChanged: _keeping(copies.keep_partners),
    }


def _keeping(keep: Callable[[AsyncConnection, Sequence[D]], Awaitable[None]]) -> Handler:
    async def handle(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
        await keep(tx, [event.data for event in events])

    return handle


def _stock_rejected(event: StockRejected) -> News:
    left = min((shortage.available for shortage in event.shortages), default=0)
    return News(event.order_id, Answer.STOCK_REJECTED, f"Not enough in stock: {left} left.")


def _stock_released(event: StockReleased) -> News:
    if event.reason == "expired":
        return News(event.order_id, Answer.STOCK_EXPIRED, HOLD_EXPIRED)
    return News(event.order_id, Answer.STOCK_RELEASED)


def _captured(event: PaymentCaptured) -> News | None:
    paid = (event.amount, event.currency)
    return _of_order(event, News(event.payable_id, Answer.PAYMENT_CAPTURED, amount=paid))


def _payment_failed(event: PaymentFailed) -> News | None:
    return _of_order(event, News(event.payable_id, Answer.PAYMENT_FAILED, f"{event.code}: {event.message}"))


def _awaiting(event: PaymentAwaitingDeposit) -> News | None:
    return _of_order(event, News(event.payable_id, Answer.PAYMENT_AWAITING, due_at=event.due_at))


def _payment_canceled(event: PaymentCanceled) -> News | None:
    return _of_order(event, News(event.payable_id, Answer.PAYMENT_CANCELED, "The payment was cancelled."))


def _of_order(
    event: PaymentCaptured | PaymentFailed | PaymentAwaitingDeposit | PaymentCanceled, news: News
) -> News | None:
    return news if event.payable_type == "Order" else None


def _delivery_rejected(event: DeliveryRejected) -> News:
    gone = event.reason == "dispatched"
    return News(event.order_id, Answer.DELIVERY_DISPATCHED if gone else Answer.DELIVERY_REJECTED, event.reason)


def _shipment(event: ShipmentChanged) -> News | None:
    if event.order_id is None:
        return None
    progress = OrderStatus.DELIVERED if event.order_delivered else PROGRESS_OF_SHIPMENT.get(event.status)
    return News(event.order_id, Answer.SHIPMENT_MOVED, progress=progress, fulfillment=event.order_fulfillment)


NEWS: Mapping[type[EventData], Callable[[Any], News | None]] = {
    StockReserved: lambda event: News(event.order_id, Answer.STOCK_RESERVED),
    StockRejected: _stock_rejected,
    StockReleased: _stock_released,
    StockCommitted: lambda event: News(event.order_id, Answer.STOCK_COMMITTED),
    StockCommitRejected: lambda event: News(event.order_id, Answer.STOCK_COMMIT_REJECTED, event.reason),
    PaymentCaptured: _captured,
    PaymentFailed: _payment_failed,
    PaymentAwaitingDeposit: _awaiting,
    PaymentCanceled: _payment_canceled,
    DeliveryAccepted: lambda event: News(event.order_id, Answer.DELIVERY_ACCEPTED),
    DeliveryRejected: _delivery_rejected,
    DeliveryCanceled: lambda event: News(event.order_id, Answer.DELIVERY_CANCELED),
    ShipmentChanged: _shipment,
}

CONSUMES: tuple[type[EventData], ...] = (
    *NEWS,
    ReturnShipmentChanged,
    RefundCompleted,
    RefundRejected,
    StockClaimed,
    StockClaimReleased,
    VariantChanged,
    AddressChanged,
    PaymentMethodChanged,
    ShippingProfileChanged,
    UserChanged,
    PartnerChanged,
)
