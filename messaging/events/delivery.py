"""What the delivery subgraph tells."""

from __future__ import annotations

from datetime import datetime

from messaging.events.base import EventData


class AddressChanged(EventData, frozen=True, kw_only=True):
    """An address of a user. Personal data: consumers keep only what they need and drop it when ``deleted``."""

    type = "dure.delivery.address_changed.v1"
    subject = "address_id"
    personal = ("recipient", "phone", "postal_code", "line1", "line2", "delivery_note")

    address_id: str
    version: int
    user_id: str
    recipient: str
    phone: str
    postal_code: str
    line1: str
    line2: str | None = None
    delivery_note: str | None = None
    remote_area: bool = False
    deleted: bool = False


class ShippingProfileChanged(EventData, frozen=True, kw_only=True):
    """What shipping costs: ``base_fee`` a seller's parcel, nothing from ``free_over`` on, plus ``remote_surcharge``."""

    type = "dure.delivery.shipping_profile_changed.v1"
    subject = "shipping_profile_id"

    shipping_profile_id: str
    version: int
    name: str
    currency: str
    base_fee: int
    remote_surcharge: int
    free_over: int | None = None


class DeliveryAccepted(EventData, frozen=True, kw_only=True):
    """The order's shipments exist, one a seller."""

    type = "dure.delivery.delivery_accepted.v1"
    subject = "order_id"

    order_id: str
    shipment_ids: tuple[str, ...]


class DeliveryRejected(EventData, frozen=True, kw_only=True):
    """No shipment was made (or, asked to cancel: the goods have left)."""

    type = "dure.delivery.delivery_rejected.v1"
    subject = "order_id"

    order_id: str
    reason: str


class DeliveryCanceled(EventData, frozen=True, kw_only=True):
    """No shipment of the order will leave."""

    type = "dure.delivery.delivery_canceled.v1"
    subject = "order_id"

    order_id: str


class ShipmentChanged(EventData, frozen=True, kw_only=True):
    """A shipment went on. ``order_delivered``: every outbound shipment of the order has arrived."""

    type = "dure.delivery.shipment_changed.v1"
    subject = "shipment_id"

    shipment_id: str
    version: int
    status: str
    occurred_at: datetime
    order_id: str | None = None
    pledge_id: str | None = None
    order_fulfillment: str | None = None
    order_delivered: bool = False


class ReturnShipmentChanged(EventData, frozen=True, kw_only=True):
    """The parcel that brings a return back to its seller went on."""

    type = "dure.delivery.return_shipment_changed.v1"
    subject = "return_id"

    return_id: str
    shipment_id: str
    version: int
    status: str
    occurred_at: datetime
