"""The tables of flash sales."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import TABLE_OPTIONS, table_of
from db.columns import MoneyType, UlidType, UtcDateTime
from subgraphs.products.base import Base


class FlashSale(Base):
    """A sale and its waiting room. ``drawn_at``: when the line was drawn, which is when it opened.

    ``admitted_through``: everyone up to this number was let in. ``admission_rate``: people a minute.
    """

    __tablename__ = "flash_sale"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="times"),
        CheckConstraint("admitted_through <= last_number", name="admitted"),
        Index("ix_flash_sale_ends_at_id", "ends_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    partner_id: Mapped[str | None] = mapped_column(UlidType)
    name: Mapped[str] = mapped_column(String(200))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    drawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    draw_seed: Mapped[str | None] = mapped_column(String(64))
    last_number: Mapped[int] = mapped_column(Integer, default=0)
    admitted_through: Mapped[int] = mapped_column(Integer, default=0)
    admission_rate: Mapped[int] = mapped_column(Integer)
    last_admission_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    rate_changed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class FlashSaleItem(Base):
    """Units of a variant set apart for a sale. ``remaining``: not claimed; ``returned``: went back to the shop's stock;
    the others are in claims. ``next_sequence`` numbers the claims. ``closed``: the sale is over, what comes back goes
    to the shop."""

    __tablename__ = "flash_sale_item"
    __table_args__ = (
        CheckConstraint("remaining >= 0 AND returned >= 0", name="units"),
        CheckConstraint("remaining + returned <= total_quantity", name="not_oversold"),
        CheckConstraint("per_customer_limit > 0", name="limit"),
        UniqueConstraint("sale_id", "variant_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    sale_id: Mapped[str] = mapped_column(UlidType, ForeignKey("flash_sale.id"))
    variant_id: Mapped[str] = mapped_column(UlidType, ForeignKey("product_variant.id"), index=True)
    sale_price: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    total_quantity: Mapped[int] = mapped_column(Integer)
    remaining: Mapped[int] = mapped_column(Integer)
    returned: Mapped[int] = mapped_column(Integer, default=0)
    per_customer_limit: Mapped[int] = mapped_column(Integer)
    next_sequence: Mapped[int] = mapped_column(BigInteger, default=1)
    closed: Mapped[bool] = mapped_column(Boolean, default=False)


class QueueTicket(Base):
    """A customer's place in the line of a sale; ``number`` is drawn at the opening, or given in turn afterwards."""

    __tablename__ = "queue_ticket"
    __table_args__ = (
        UniqueConstraint("sale_id", "user_id"),
        UniqueConstraint("sale_id", "number"),
        Index("ix_queue_ticket_status_admission", "sale_id", "status", "admission_expires_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    sale_id: Mapped[str] = mapped_column(UlidType, ForeignKey("flash_sale.id"))
    user_id: Mapped[str] = mapped_column(UlidType)
    number: Mapped[int | None] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(10))
    entered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    admitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    admission_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class StockClaim(Base):
    """Units that a customer holds at the sale's price. ``slot``: one of the ``per_customer_limit`` places that he
    has, given back with the units; the unique key refuses what a wrong count would let through."""

    __tablename__ = "stock_claim"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        UniqueConstraint("item_id", "sequence"),
        UniqueConstraint("item_id", "user_id", "slot"),
        Index("ix_stock_claim_state_expires_at", "state", "expires_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    item_id: Mapped[str] = mapped_column(UlidType, ForeignKey("flash_sale_item.id"))
    ticket_id: Mapped[str] = mapped_column(UlidType, ForeignKey("queue_ticket.id"), index=True)
    user_id: Mapped[str] = mapped_column(UlidType)
    quantity: Mapped[int] = mapped_column(Integer)
    sequence: Mapped[int] = mapped_column(BigInteger)
    slot: Mapped[int | None] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(10))
    order_id: Mapped[str | None] = mapped_column(UlidType, unique=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ordered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)


sales, items = table_of(FlashSale), table_of(FlashSaleItem)
tickets, claims = table_of(QueueTicket), table_of(StockClaim)
