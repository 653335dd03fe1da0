"""What the orders subgraph asks of others (the saga's steps) and tells."""

from __future__ import annotations

import msgspec

from messaging.events.base import EventData


class StockLine(msgspec.Struct, frozen=True, kw_only=True):
    variant_id: str
    quantity: int


class OrderLineFacts(msgspec.Struct, frozen=True, kw_only=True):
    order_line_id: str
    variant_id: str
    quantity: int
    total: int
    partner_id: str | None = None


class StockReservationRequested(EventData, frozen=True, kw_only=True):
    """Step 1: hold these units, all or none. Answer: StockReserved or StockRejected."""

    type = "dure.orders.stock_reservation_requested.v1"
    subject = "order_id"

    order_id: str
    buyer_id: str
    lines: tuple[StockLine, ...]
    claim_id: str | None = None


class PaymentRequested(EventData, frozen=True, kw_only=True):
    """Step 2: charge. Answer: PaymentCaptured, PaymentFailed, or PaymentAwaitingDeposit and one of them later.

    Without ``payment_method_id`` the buyer pays by himself (payment window, virtual account).
    """

    type = "dure.orders.payment_requested.v1"
    subject = "order_id"

    order_id: str
    order_number: str
    order_name: str
    buyer_id: str
    amount: int
    currency: str
    lines: tuple[OrderLineFacts, ...]
    payment_method_id: str | None = None


class DeliveryRequested(EventData, frozen=True, kw_only=True):
    """Step 3: make the shipments, one a seller. Answer: DeliveryAccepted or DeliveryRejected."""

    type = "dure.orders.delivery_requested.v1"
    subject = "order_id"

    order_id: str
    buyer_id: str
    address_id: str
    lines: tuple[OrderLineFacts, ...]


class StockCommitRequested(EventData, frozen=True, kw_only=True):
    """Step 4: the held units are sold. Answer: StockCommitted or StockCommitRejected."""

    type = "dure.orders.stock_commit_requested.v1"
    subject = "order_id"

    order_id: str


class StockReleaseRequested(EventData, frozen=True, kw_only=True):
    """Compensation of step 1, also when its request has not arrived yet. Answer: StockReleased."""

    type = "dure.orders.stock_release_requested.v1"
    subject = "order_id"

    order_id: str


class PaymentCancelRequested(EventData, frozen=True, kw_only=True):
    """Compensation of step 2: give back whatever was or will be captured. Answer: PaymentCanceled."""

    type = "dure.orders.payment_cancel_requested.v1"
    subject = "order_id"

    order_id: str
    reason: str


class DeliveryCancelRequested(EventData, frozen=True, kw_only=True):
    """Compensation of step 3. Answer: DeliveryCanceled, or DeliveryRejected with reason ``dispatched``."""

    type = "dure.orders.delivery_cancel_requested.v1"
    subject = "order_id"

    order_id: str


class OrderPlaced(EventData, frozen=True, kw_only=True):
    """An order exists. Step 1 of its saga, as StockReservationRequested is when it is repeated; tells who owns it."""

    type = "dure.orders.order_placed.v1"
    subject = "order_id"

    order_id: str
    order_number: str
    buyer_id: str
    total: int
    currency: str
    lines: tuple[OrderLineFacts, ...]
    claim_id: str | None = None


ReservationRequest = OrderPlaced | StockReservationRequested


class OrderPaid(EventData, frozen=True, kw_only=True):
    """All four steps are done."""

    type = "dure.orders.order_paid.v1"
    subject = "order_id"

    order_id: str
    order_number: str
    buyer_id: str
    total: int
    currency: str
    lines: tuple[OrderLineFacts, ...]


class OrderCanceled(EventData, frozen=True, kw_only=True):
    """The order has ended without a sale and everything it held or took has been given back."""

    type = "dure.orders.order_canceled.v1"
    subject = "order_id"

    order_id: str
    order_number: str
    buyer_id: str
    reason: str


class ReturnedLine(msgspec.Struct, frozen=True, kw_only=True):
    """``quantity``: units to come back, and from RECEIVED on those that did. ``restock``: they can be sold again."""

    order_line_id: str
    variant_id: str
    quantity: int
    restock: bool = False


class ReturnChanged(EventData, frozen=True, kw_only=True):
    """A return is now in this ``status``. Told once for each: APPROVED makes its shipment, RECEIVED restocks."""

    type = "dure.orders.return_changed.v1"
    subject = "return_id"

    return_id: str
    version: int
    status: str
    order_id: str
    order_number: str
    buyer_id: str
    refund_amount: int
    currency: str
    lines: tuple[ReturnedLine, ...]
    partner_id: str | None = None
    note: str | None = None


class RefundedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the units of an order line that came back were sold for."""

    order_line_id: str
    amount: int


class RefundRequested(EventData, frozen=True, kw_only=True):
    """The goods have arrived: give this back. Answer: RefundCompleted or RefundRejected, again if asked again.

    ``lines``: whose goods they are; ``amount`` may be less (the parcel back) or more (the way there).
    """

    type = "dure.orders.refund_requested.v1"
    subject = "return_id"

    return_id: str
    order_id: str
    amount: int
    currency: str
    reason: str
    lines: tuple[RefundedLine, ...] = ()


class OrderConfirmed(EventData, frozen=True, kw_only=True):
    """The buyer confirmed the purchase: reviews may be written, sellers settled."""

    type = "dure.orders.order_confirmed.v1"
    subject = "order_id"

    order_id: str
    buyer_id: str
    lines: tuple[OrderLineFacts, ...]
