"""The tables of products."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.base import TABLE_OPTIONS
from db.columns import MoneyType, SequenceType, UlidType, UtcDateTime
from messaging.inbox import dead_letter_table, inbox_table
from messaging.outbox import outbox_table
from subgraphs.kit.idempotency import idempotency_table
from subgraphs.products.base import Base
from subgraphs.products.flash import models as flash
from subgraphs.products.media import models as media
from subgraphs.products.text import GRAM_LENGTH

__all__ = ["Base", "flash", "media"]

outbox = outbox_table(Base.metadata)
inbox = inbox_table(Base.metadata)
dead_letters = dead_letter_table(Base.metadata)
idempotency = idempotency_table(Base.metadata)


def _reference(target: str, **options: Any) -> Mapped[str]:
    return mapped_column(UlidType, ForeignKey(target), **options)


class Category(Base):
    __tablename__ = "category"
    __table_args__ = TABLE_OPTIONS

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    slug: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    parent_id: Mapped[str | None] = mapped_column(UlidType, ForeignKey("category.id"), index=True)
    position: Mapped[int] = mapped_column(Integer, default=0)


class Nutrient(Base):
    """``reference_amount``: the daily reference intake, in millionths of ``unit``."""

    __tablename__ = "nutrient"
    __table_args__ = TABLE_OPTIONS

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    unit: Mapped[str] = mapped_column(String(20))
    reference_amount: Mapped[int | None] = mapped_column(BigInteger)


class SellingPlan(Base):
    """``discount_bps``: hundredths of a percent. ``partner_id`` None: every seller may offer it."""

    __tablename__ = "selling_plan"
    __table_args__ = (
        CheckConstraint("interval_count > 0", name="interval_count"),
        CheckConstraint("discount_bps BETWEEN 0 AND 10000", name="discount_bps"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    partner_id: Mapped[str | None] = mapped_column(UlidType, index=True)
    name: Mapped[str] = mapped_column(String(100))
    interval: Mapped[str] = mapped_column(String(10))
    interval_count: Mapped[int] = mapped_column(Integer)
    discount_bps: Mapped[int | None] = mapped_column(Integer)
    deliveries_per_billing: Mapped[int] = mapped_column(Integer, default=1)
    min_cycles: Mapped[int | None] = mapped_column(Integer)
    max_cycles: Mapped[int | None] = mapped_column(Integer)


class Product(Base):
    """``min_price``/``max_price`` (of the variants on sale), ``rating_*`` and ``sold_count`` are kept for sorting.

    ``published_at`` is set once, when the public first sees it: orders may refer to it from then on.
    """

    __tablename__ = "product"
    __table_args__ = (
        CheckConstraint("rating_count >= 0 AND rating_total >= 0", name="rating"),
        Index("ix_product_newest", "status", "published_at", "id"),
        Index("ix_product_price", "status", "min_price", "id"),
        Index("ix_product_sold", "status", "sold_count", "id"),
        Index("ix_product_rating", "status", "rating_average", "id"),
        Index("ix_product_seller", "partner_id", "status", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    slug: Mapped[str] = mapped_column(String(160), unique=True)
    partner_id: Mapped[str | None] = mapped_column(UlidType)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20))
    type: Mapped[str] = mapped_column(String(20))
    currency: Mapped[str] = mapped_column(String(3))
    min_price: Mapped[int] = mapped_column(MoneyType)
    max_price: Mapped[int] = mapped_column(MoneyType)
    rating_total: Mapped[int] = mapped_column(Integer, default=0)
    rating_count: Mapped[int] = mapped_column(Integer, default=0)
    rating_average: Mapped[int] = mapped_column(Integer, default=0)
    """Hundredths of a star; 0 without ratings."""
    sold_count: Mapped[int] = mapped_column(BigInteger, default=0)
    duplicate_key: Mapped[str | None] = mapped_column(String(40), unique=True)
    review_reason: Mapped[str | None] = mapped_column(String(500))
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ProductVariant(Base):
    """``withdrawn``: taken out of its product; kept for the orders that have it. ``version`` is VariantChanged's."""

    __tablename__ = "product_variant"
    __table_args__ = (
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("weight_grams >= 0", name="weight"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    product_id: Mapped[str] = _reference("product.id", index=True)
    position: Mapped[int] = mapped_column(Integer, default=0)
    sku: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    price: Mapped[int] = mapped_column(MoneyType)
    compare_at_price: Mapped[int | None] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    weight_grams: Mapped[int] = mapped_column(Integer)
    shipping_profile_id: Mapped[str] = mapped_column(UlidType)
    purchase_limit: Mapped[int | None] = mapped_column(Integer)
    preorder_ships_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    withdrawn: Mapped[bool] = mapped_column(Boolean, default=False)
    version: Mapped[int] = mapped_column(Integer, default=1)


class StockLevel(Base):
    """Units of a variant: in the warehouse, of those held for unpaid orders, of those sold and not sent yet."""

    __tablename__ = "stock_level"
    __table_args__ = (
        CheckConstraint("on_hand >= 0", name="on_hand"),
        CheckConstraint("reserved >= 0", name="reserved"),
        CheckConstraint("allocated >= 0", name="allocated"),
        CheckConstraint("on_hand >= reserved + allocated", name="not_oversold"),
        TABLE_OPTIONS,
    )

    variant_id: Mapped[str] = _reference("product_variant.id", primary_key=True)
    on_hand: Mapped[int] = mapped_column(Integer, default=0)
    reserved: Mapped[int] = mapped_column(Integer, default=0)
    allocated: Mapped[int] = mapped_column(Integer, default=0)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class StockMovement(Base):
    """The ledger: only ever appended to. Its three deltas, summed, are the level; ``quantity`` is what is shown.

    ``balance_after`` is what could still be sold after it.
    """

    __tablename__ = "stock_movement"
    __table_args__ = (Index("ix_stock_movement_variant", "variant_id", "position"), TABLE_OPTIONS)

    position: Mapped[int] = mapped_column(SequenceType, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(UlidType, unique=True)
    variant_id: Mapped[str] = _reference("product_variant.id")
    type: Mapped[str] = mapped_column(String(20))
    quantity: Mapped[int] = mapped_column(Integer)
    on_hand_delta: Mapped[int] = mapped_column(Integer)
    reserved_delta: Mapped[int] = mapped_column(Integer)
    allocated_delta: Mapped[int] = mapped_column(Integer)
    balance_after: Mapped[int] = mapped_column(Integer)
    cause_id: Mapped[str | None] = mapped_column(UlidType, index=True)
    reason: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Reservation(Base):
    """What an order holds. ``claim`` tells the transaction that wrote the row from one that came second."""

    __tablename__ = "reservation"
    __table_args__ = (Index("ix_reservation_state", "state", "expires_at"), TABLE_OPTIONS)

    order_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    claim: Mapped[str] = mapped_column(UlidType)
    shortages: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ReservationLine(Base):
    __tablename__ = "reservation_line"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"), TABLE_OPTIONS)

    order_id: Mapped[str] = _reference("reservation.order_id", primary_key=True)
    variant_id: Mapped[str] = _reference("product_variant.id", primary_key=True, index=True)
    quantity: Mapped[int] = mapped_column(Integer)


class ProductCategory(Base):
    __tablename__ = "product_category"
    __table_args__ = TABLE_OPTIONS

    product_id: Mapped[str] = _reference("product.id", primary_key=True)
    category_id: Mapped[str] = _reference("category.id", primary_key=True, index=True)


class ProductNutrient(Base):
    """``amount``: of one daily portion, in millionths of the nutrient's unit."""

    __tablename__ = "product_nutrient"
    __table_args__ = (CheckConstraint("amount > 0", name="amount"), TABLE_OPTIONS)

    product_id: Mapped[str] = _reference("product.id", primary_key=True)
    nutrient_id: Mapped[str] = _reference("nutrient.id", primary_key=True, index=True)
    position: Mapped[int] = mapped_column(Integer, default=0)
    amount: Mapped[int] = mapped_column(BigInteger)


class ProductAttribute(Base):
    __tablename__ = "product_attribute"
    __table_args__ = (Index("ix_product_attribute_name_value", "name", "value"), TABLE_OPTIONS)

    product_id: Mapped[str] = _reference("product.id", primary_key=True)
    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[str] = mapped_column(String(120), primary_key=True)


class ProductMedia(Base):
    __tablename__ = "product_media"
    __table_args__ = TABLE_OPTIONS

    product_id: Mapped[str] = _reference("product.id", primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    url: Mapped[str] = mapped_column(String(500))
    alt: Mapped[str | None] = mapped_column(String(200))
    type: Mapped[str] = mapped_column(String(10))


class ProductSellingPlan(Base):
    __tablename__ = "product_selling_plan"
    __table_args__ = TABLE_OPTIONS

    product_id: Mapped[str] = _reference("product.id", primary_key=True)
    selling_plan_id: Mapped[str] = _reference("selling_plan.id", primary_key=True, index=True)
    position: Mapped[int] = mapped_column(Integer, default=0)


class ProductGram(Base):
    """The search index: which pieces of text a product is found by (``text.py``), and how much each says."""

    __tablename__ = "product_gram"
    __table_args__ = TABLE_OPTIONS

    gram: Mapped[str] = mapped_column(String(GRAM_LENGTH), primary_key=True)
    product_id: Mapped[str] = _reference("product.id", primary_key=True, index=True)
    weight: Mapped[int] = mapped_column(Integer)


class Review(Base):
    __tablename__ = "review"
    __table_args__ = (
        UniqueConstraint("product_id", "author_id"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        Index("ix_review_helpful", "product_id", "helpfulness", "id"),
        Index("ix_review_rating", "product_id", "rating", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    product_id: Mapped[str] = _reference("product.id")
    author_id: Mapped[str] = mapped_column(UlidType, index=True)
    rating: Mapped[int] = mapped_column(Integer)
    body: Mapped[str] = mapped_column(Text)
    helpfulness: Mapped[int] = mapped_column(Integer)
    verified_purchase: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WishlistItem(Base):
    __tablename__ = "wishlist_item"
    __table_args__ = (Index("ix_wishlist_item_order", "user_id", "position"), TABLE_OPTIONS)

    user_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    product_id: Mapped[str] = _reference("product.id", primary_key=True, index=True)
    position: Mapped[str] = mapped_column(UlidType)
    """A ULID minted when it was added: the newest stands first."""


class Purchase(Base):
    """Who bought what: told by OrderPaid and OrderConfirmed."""

    __tablename__ = "purchase"
    __table_args__ = (Index("ix_purchase_buyer", "user_id", "product_id"), TABLE_OPTIONS)

    order_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    product_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    user_id: Mapped[str] = mapped_column(UlidType)


class ReceivedOrder(Base):
    """Orders that have been delivered or confirmed: what was bought with them may be reviewed."""

    __tablename__ = "received_order"
    __table_args__ = TABLE_OPTIONS

    order_id: Mapped[str] = mapped_column(UlidType, primary_key=True)


class UserCopy(Base):
    __tablename__ = "user_copy"
    __table_args__ = TABLE_OPTIONS

    user_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    display_name: Mapped[str] = mapped_column(String(200))
    avatar_url: Mapped[str | None] = mapped_column(String(1000))
    deleted: Mapped[bool] = mapped_column(Boolean)


class PartnerCopy(Base):
    __tablename__ = "partner_copy"
    __table_args__ = TABLE_OPTIONS

    partner_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(20))


class PartnerMember(Base):
    """A member of the partner's version of the same number; rows of older versions mean nothing."""

    __tablename__ = "partner_member"
    __table_args__ = TABLE_OPTIONS

    partner_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    user_id: Mapped[str] = mapped_column(UlidType, primary_key=True, index=True)
    version: Mapped[int] = mapped_column(BigInteger)


class ShippingProfileCopy(Base):
    __tablename__ = "shipping_profile_copy"
    __table_args__ = TABLE_OPTIONS

    shipping_profile_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(200))
