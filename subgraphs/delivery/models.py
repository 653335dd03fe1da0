"""Tables of delivery. Keys are ULIDs; amounts minor units; where somebody lives is sealed."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Date, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.base import TABLE_OPTIONS, new_metadata, table_of
from db.columns import JsonType, MoneyType, UlidType, UtcDateTime
from db.sealed import Sealed, SealedJson
from messaging.inbox import dead_letter_table, inbox_table
from messaging.outbox import outbox_table
from subgraphs.kit.idempotency import idempotency_table


class Base(DeclarativeBase):
    metadata = new_metadata()
    __table_args__: Any = TABLE_OPTIONS


class Address(Base):
    """Where a user wants parcels sent. Deleted ones are emptied of personal data and kept for the key's sake."""

    __tablename__ = "address"
    __table_args__ = (Index("ix_address_user_id_id", "user_id", "id"), TABLE_OPTIONS)

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    user_id: Mapped[str] = mapped_column(UlidType)
    version: Mapped[int] = mapped_column(Integer, default=1)
    label: Mapped[str | None] = mapped_column(String(50))
    recipient: Mapped[str] = mapped_column(Sealed("delivery.address.recipient"))
    phone: Mapped[str] = mapped_column(Sealed("delivery.address.phone"))
    postal_code: Mapped[str] = mapped_column(Sealed("delivery.address.postal_code"))
    line1: Mapped[str] = mapped_column(Sealed("delivery.address.line1"))
    line2: Mapped[str | None] = mapped_column(Sealed("delivery.address.line2"))
    delivery_note: Mapped[str | None] = mapped_column(Sealed("delivery.address.delivery_note"))
    parcel: Mapped[dict[str, str | None] | None] = mapped_column(SealedJson("delivery.shipment.address"))
    """What shipments keep of it, sealed for them: it is copied to each as it is. Null when deleted."""
    remote: Mapped[bool] = mapped_column(Boolean, default=False)
    is_default: Mapped[bool] = mapped_column(Boolean, default=False)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ShippingProfile(Base):
    """What sending costs: variants name one of these."""

    __tablename__ = "shipping_profile"

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    name: Mapped[str] = mapped_column(String(50))
    currency: Mapped[str] = mapped_column(String(3))
    base_fee: Mapped[int] = mapped_column(MoneyType)
    free_over: Mapped[int | None] = mapped_column(MoneyType)
    remote_surcharge: Mapped[int] = mapped_column(MoneyType)


class OrderDelivery(Base):
    """One row an order: who bought, and what became of the wish to deliver it (none yet: ``state`` is null)."""

    __tablename__ = "order_delivery"
    __table_args__ = (
        CheckConstraint("state IN ('ACCEPTED', 'REJECTED', 'CANCELED')", name="state"),
        TABLE_OPTIONS,
    )

    order_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    buyer_id: Mapped[str | None] = mapped_column(UlidType)
    address_id: Mapped[str | None] = mapped_column(UlidType)
    state: Mapped[str | None] = mapped_column(String(10))
    reason: Mapped[str | None] = mapped_column(String(50))
    paid: Mapped[bool] = mapped_column(Boolean, default=False)
    """The saga has come to its end: goods may leave."""
    finished: Mapped[bool] = mapped_column(Boolean, default=False)
    """Delivered or cancelled: its address may be deleted."""


class Shipment(Base):
    """One seller's parcel of an order or a pledge, or one that brings a return back. ``seller_id`` is empty for the
    platform itself."""

    __tablename__ = "shipment"
    __table_args__ = (
        UniqueConstraint("order_id", "seller_id", "split"),
        Index("ix_shipment_seller_id_status", "seller_id", "status"),
        Index("ix_shipment_pledge_id", "pledge_id"),
        Index("uq_shipment_return_id", "return_id", unique=True),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    direction: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(20))
    order_id: Mapped[str | None] = mapped_column(UlidType)
    pledge_id: Mapped[str | None] = mapped_column(UlidType)
    return_id: Mapped[str | None] = mapped_column(UlidType)
    seller_id: Mapped[str] = mapped_column(String(26), default="")
    split: Mapped[str] = mapped_column(String(26), default="")
    """Empty for the parcel that the order made; its own id for one split off from it later."""
    buyer_id: Mapped[str] = mapped_column(UlidType, index=True)
    address: Mapped[dict[str, str | None]] = mapped_column(SealedJson("delivery.shipment.address"))
    carrier_code: Mapped[str | None] = mapped_column(String(10))
    tracking_number: Mapped[str | None] = mapped_column(String(30))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ready_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    dispatched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    estimated_delivery_on: Mapped[date | None] = mapped_column(Date)


class ShipmentLine(Base):
    """Units of an order line in a shipment."""

    __tablename__ = "shipment_line"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"), TABLE_OPTIONS)

    shipment_id: Mapped[str] = mapped_column(ForeignKey("shipment.id"), primary_key=True)
    order_line_id: Mapped[str] = mapped_column(UlidType, primary_key=True, index=True)
    quantity: Mapped[int] = mapped_column(Integer)


class TrackingEvent(Base):
    """What a carrier reported, all of it, in the order of arrival."""

    __tablename__ = "tracking_event"
    __table_args__ = (Index("ix_tracking_event_shipment_id_occurred_at", "shipment_id", "occurred_at"), TABLE_OPTIONS)

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    shipment_id: Mapped[str] = mapped_column(ForeignKey("shipment.id"))
    status: Mapped[str] = mapped_column(String(20))
    location: Mapped[str | None] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PledgeCopy(Base):
    """From funding: who pledged."""

    __tablename__ = "pledge_copy"

    pledge_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    backer_id: Mapped[str] = mapped_column(UlidType)
    address_id: Mapped[str | None] = mapped_column(UlidType, index=True)
    canceled: Mapped[bool] = mapped_column(Boolean, default=False)


class PartnerCopy(Base):
    """From users: who acts for a seller."""

    __tablename__ = "partner_copy"

    partner_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(20))
    member_ids: Mapped[list[str]] = mapped_column(JsonType)


outbox = outbox_table(Base.metadata)
inbox = inbox_table(Base.metadata)
dead_letters = dead_letter_table(Base.metadata)
idempotency = idempotency_table(Base.metadata)

addresses = table_of(Address)
profiles = table_of(ShippingProfile)
deliveries = table_of(OrderDelivery)
shipments = table_of(Shipment)
shipment_lines = table_of(ShipmentLine)
tracking_events = table_of(TrackingEvent)
pledge_copies = table_of(PledgeCopy)
partner_copies = table_of(PartnerCopy)
