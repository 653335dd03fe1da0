"""Tables: carts, orders and their sagas, and the copies of facts that a placing decides on."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, Integer, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.base import TABLE_OPTIONS, new_metadata, table_of
from db.columns import JsonType, MoneyType, UlidType, UtcDateTime
from db.sealed import Sealed
from messaging.inbox import dead_letter_table, inbox_table
from messaging.outbox import outbox_table
from subgraphs.kit.idempotency import idempotency_table


class Base(DeclarativeBase):
    metadata = new_metadata()


class Cart(Base):
    """An open cart. It is deleted when it becomes an order; ``Order.cart_id`` remembers it."""

    __tablename__ = "cart"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    buyer_id: Mapped[str | None] = mapped_column(UlidType, unique=True)
    checkout_token: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(Integer)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class CartLine(Base):
    """A variant in a cart, with the price that the buyer saw when it was put there."""

    __tablename__ = "cart_line"
    __table_args__ = (
        Index("uq_cart_line_cart_id_variant_id", "cart_id", "variant_id", unique=True),
        CheckConstraint("quantity BETWEEN 1 AND 999", name="quantity"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    cart_id: Mapped[str] = mapped_column(ForeignKey("cart.id", ondelete="CASCADE"))
    variant_id: Mapped[str] = mapped_column(UlidType)
    quantity: Mapped[int] = mapped_column(Integer)
    seen_price: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))


class Order(Base):
    """An order: what was bought, by whom, where it goes, and its status. ``paid_on`` is a day in Seoul."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("total = subtotal + shipping - discount", name="total"),
        CheckConstraint("subtotal >= 0 AND shipping >= 0 AND discount >= 0", name="amounts"),
        Index("ix_orders_buyer_id_id", "buyer_id", "id"),
        Index("uq_orders_claim_id", "claim_id", unique=True),
        Index("ix_orders_status_delivered_at", "status", "delivered_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    number: Mapped[str] = mapped_column(String(40), unique=True)
    buyer_id: Mapped[str] = mapped_column(UlidType)
    cart_id: Mapped[str | None] = mapped_column(UlidType, unique=True)
    claim_id: Mapped[str | None] = mapped_column(UlidType)
    source: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    currency: Mapped[str] = mapped_column(String(3))
    subtotal: Mapped[int] = mapped_column(MoneyType)
    discount: Mapped[int] = mapped_column(MoneyType)
    shipping: Mapped[int] = mapped_column(MoneyType)
    total: Mapped[int] = mapped_column(MoneyType)
    payment_method_id: Mapped[str | None] = mapped_column(UlidType)
    address_id: Mapped[str] = mapped_column(UlidType)
    recipient: Mapped[str] = mapped_column(Sealed("orders.orders.recipient"))
    phone: Mapped[str] = mapped_column(Sealed("orders.orders.phone"))
    postal_code: Mapped[str] = mapped_column(Sealed("orders.orders.postal_code"))
    line1: Mapped[str] = mapped_column(Sealed("orders.orders.line1"))
    line2: Mapped[str | None] = mapped_column(Sealed("orders.orders.line2"))
    delivery_note: Mapped[str | None] = mapped_column(Sealed("orders.orders.delivery_note"))
    fulfillment_status: Mapped[str] = mapped_column(String(24))
    placed_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paid_on: Mapped[date | None] = mapped_column(Date, index=True)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    canceled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_reason: Mapped[str | None] = mapped_column(String(500))


class OrderLine(Base):
    """What was bought, as it was called and priced at that moment. Never changed."""

    __tablename__ = "order_line"
    __table_args__ = (
        Index("uq_order_line_order_id_position", "order_id", "position", unique=True),
        Index("ix_order_line_partner_id_order_id", "partner_id", "order_id"),
        CheckConstraint("quantity BETWEEN 1 AND 999 AND total = unit_price * quantity", name="total"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"))
    position: Mapped[int] = mapped_column(Integer)
    variant_id: Mapped[str] = mapped_column(UlidType)
    product_id: Mapped[str] = mapped_column(UlidType)
    partner_id: Mapped[str | None] = mapped_column(UlidType)
    product_name: Mapped[str] = mapped_column(String(300))
    sku: Mapped[str] = mapped_column(String(100))
    quantity: Mapped[int] = mapped_column(Integer)
    unit_price: Mapped[int] = mapped_column(MoneyType)
    total: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))


class Saga(Base):
    """Where an order's saga is: one row an order, so that a batch of answers is a handful of statements.

    ``ask_again_at``: when to repeat what has not been answered, null when nothing is open. ``give_up_at``: when an
    unpaid order expires, null when it is paid or has ended.
    """

    __tablename__ = "saga"
    __table_args__ = (TABLE_OPTIONS,)

    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    ending: Mapped[str | None] = mapped_column(String(20))
    progress: Mapped[str | None] = mapped_column(String(20))
    ask_again_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    give_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    reserve_stock: Mapped[str] = mapped_column(String(12))
    reserve_stock_attempts: Mapped[int] = mapped_column(Integer)
    reserve_stock_error: Mapped[str | None] = mapped_column(String(500))
    reserve_stock_at: Mapped[datetime] = mapped_column(UtcDateTime)
    authorize_payment: Mapped[str] = mapped_column(String(12))
    authorize_payment_attempts: Mapped[int] = mapped_column(Integer)
    authorize_payment_error: Mapped[str | None] = mapped_column(String(500))
    authorize_payment_at: Mapped[datetime] = mapped_column(UtcDateTime)
    request_delivery: Mapped[str] = mapped_column(String(12))
    request_delivery_attempts: Mapped[int] = mapped_column(Integer)
    request_delivery_error: Mapped[str | None] = mapped_column(String(500))
    request_delivery_at: Mapped[datetime] = mapped_column(UtcDateTime)
    commit_stock: Mapped[str] = mapped_column(String(12))
    commit_stock_attempts: Mapped[int] = mapped_column(Integer)
    commit_stock_error: Mapped[str | None] = mapped_column(String(500))
    commit_stock_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Return(Base):
    """Goods on their way back to one seller (``partner_id`` null: the platform itself), and the money to the buyer.

    ``fee``: what the parcel back costs the buyer. ``refund_amount``: estimated until the goods have arrived, then what
    is refunded. ``ask_again_at``: when to ask payments again, null when no answer is awaited. ``refund_error``: why
    payments has refused; ``settled_by`` and ``settled_note``: which operator did what about that;
    ``given_otherwise``: what he says the buyer got another way, in place of a refund.
    """

    __tablename__ = "order_return"
    __table_args__ = (
        CheckConstraint("refund_amount >= 0 AND fee >= 0", name="amounts"),
        Index("ix_order_return_order_id", "order_id"),
        Index("ix_order_return_ask_again_at", "ask_again_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"))
    buyer_id: Mapped[str] = mapped_column(UlidType)
    partner_id: Mapped[str | None] = mapped_column(UlidType)
    status: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(String(24))
    note: Mapped[str | None] = mapped_column(String(500))
    decision_note: Mapped[str | None] = mapped_column(String(500))
    currency: Mapped[str] = mapped_column(String(3))
    fee: Mapped[int] = mapped_column(MoneyType)
    refund_amount: Mapped[int] = mapped_column(MoneyType)
    refund_error: Mapped[str | None] = mapped_column(String(500))
    settled_note: Mapped[str | None] = mapped_column(String(500))
    settled_by: Mapped[str | None] = mapped_column(UlidType)
    given_otherwise: Mapped[int | None] = mapped_column(MoneyType)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refunded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ask_again_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ReturnLine(Base):
    """Units of an order line in a return. ``received`` and ``restock`` are null until the goods have arrived."""

    __tablename__ = "order_return_line"
    __table_args__ = (
        Index("ix_order_return_line_order_line_id", "order_line_id"),
        CheckConstraint("quantity > 0 AND received BETWEEN 0 AND quantity", name="quantity"),
        TABLE_OPTIONS,
    )

    return_id: Mapped[str] = mapped_column(ForeignKey("order_return.id"), primary_key=True)
    order_line_id: Mapped[str] = mapped_column(ForeignKey("order_line.id"), primary_key=True)
    quantity: Mapped[int] = mapped_column(Integer)
    received: Mapped[int | None] = mapped_column(Integer)
    restock: Mapped[bool | None] = mapped_column()


class VariantCopy(Base):
    """Fed by VariantChanged."""

    __tablename__ = "variant_copy"
    __table_args__ = (TABLE_OPTIONS,)

    variant_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    product_id: Mapped[str] = mapped_column(UlidType)
    sku: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(300))
    price: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    shipping_profile_id: Mapped[str] = mapped_column(UlidType)
    purchasable: Mapped[bool] = mapped_column()
    partner_id: Mapped[str | None] = mapped_column(UlidType)
    purchase_limit: Mapped[int | None] = mapped_column(Integer)


class AddressCopy(Base):
    """Fed by AddressChanged; of a deleted address nothing personal is kept."""

    __tablename__ = "address_copy"
    __table_args__ = (TABLE_OPTIONS,)

    address_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[str] = mapped_column(UlidType)
    recipient: Mapped[str] = mapped_column(Sealed("orders.address_copy.recipient"))
    phone: Mapped[str] = mapped_column(Sealed("orders.address_copy.phone"))
    postal_code: Mapped[str] = mapped_column(Sealed("orders.address_copy.postal_code"))
    line1: Mapped[str] = mapped_column(Sealed("orders.address_copy.line1"))
    line2: Mapped[str | None] = mapped_column(Sealed("orders.address_copy.line2"))
    delivery_note: Mapped[str | None] = mapped_column(Sealed("orders.address_copy.delivery_note"))
    remote_area: Mapped[bool] = mapped_column()
    deleted: Mapped[bool] = mapped_column()


class PaymentMethodCopy(Base):
    """Fed by PaymentMethodChanged."""

    __tablename__ = "payment_method_copy"
    __table_args__ = (TABLE_OPTIONS,)

    payment_method_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[str] = mapped_column(UlidType)
    status: Mapped[str] = mapped_column(String(20))


class ShippingProfileCopy(Base):
    """Fed by ShippingProfileChanged."""

    __tablename__ = "shipping_profile_copy"
    __table_args__ = (TABLE_OPTIONS,)

    shipping_profile_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    base_fee: Mapped[int] = mapped_column(MoneyType)
    remote_surcharge: Mapped[int] = mapped_column(MoneyType)
    free_over: Mapped[int | None] = mapped_column(MoneyType)


class UserCopy(Base):
    """Fed by UserChanged: who may buy."""

    __tablename__ = "user_copy"
    __table_args__ = (TABLE_OPTIONS,)

    user_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    email_verified: Mapped[bool] = mapped_column()
    deleted: Mapped[bool] = mapped_column()


class PartnerCopy(Base):
    """Fed by PartnerChanged: who sells, and who may look at what was sold."""

    __tablename__ = "partner_copy"
    __table_args__ = (TABLE_OPTIONS,)

    partner_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(20))
    member_ids: Mapped[list[str]] = mapped_column(JsonType)


class ClaimCopy(Base):
    """Fed by StockClaimed and StockClaimReleased: units that a customer holds at a flash sale's price."""

    __tablename__ = "claim_copy"
    __table_args__ = (TABLE_OPTIONS,)

    claim_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[str] = mapped_column(UlidType)
    variant_id: Mapped[str] = mapped_column(UlidType)
    quantity: Mapped[int] = mapped_column(Integer)
    unit_price: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    released: Mapped[bool] = mapped_column()


carts, cart_lines = table_of(Cart), table_of(CartLine)
orders, order_lines, sagas = table_of(Order), table_of(OrderLine), table_of(Saga)
variants, addresses, payment_methods = table_of(VariantCopy), table_of(AddressCopy), table_of(PaymentMethodCopy)
shipping_profiles, users, partners = table_of(ShippingProfileCopy), table_of(UserCopy), table_of(PartnerCopy)
claims = table_of(ClaimCopy)
returns, return_lines = table_of(Return), table_of(ReturnLine)

outbox = outbox_table(Base.metadata)
inbox = inbox_table(Base.metadata)
dead_letters = dead_letter_table(Base.metadata)
idempotency = idempotency_table(Base.metadata)
