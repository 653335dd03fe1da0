"""The tables of payments. Secrets (billing keys, account numbers to refund to) are sealed by the vault."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, cast

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Table, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.base import TABLE_OPTIONS, new_metadata
from db.columns import JsonType, MoneyType, UlidType, UtcDateTime
from db.sealed import Sealed
from messaging.inbox import dead_letter_table, inbox_table
from messaging.outbox import outbox_table
from subgraphs.kit.idempotency import idempotency_table


class Base(DeclarativeBase):
    metadata = new_metadata()


class Customer(Base):
    """A user at the provider. ``customer_key`` is random, made once and never derived anew, as long as ``provider``
    is the shop's. The row is also the lock under which the user's methods change."""

    __tablename__ = "customer"
    __table_args__ = (TABLE_OPTIONS,)

    user_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    customer_key: Mapped[str] = mapped_column(String(64), unique=True)
    provider: Mapped[str] = mapped_column(String(20), server_default="toss")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PaymentMethod(Base):
    """A registered card. ``default_of`` is the owner if this is the default: unique, so one default a user.

    ``provider``: who charges it; ``customer_key``: under which name of the user (null: the customer's own).
    """

    __tablename__ = "payment_method"
    __table_args__ = (Index("ix_payment_method_user_id", "user_id", "status"), TABLE_OPTIONS)

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    user_id: Mapped[str] = mapped_column(UlidType)
    version: Mapped[int] = mapped_column(default=1)
    kind: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    issuer: Mapped[str | None] = mapped_column(String(50))
    masked_number: Mapped[str | None] = mapped_column(String(30))
    default_of: Mapped[str | None] = mapped_column(UlidType, unique=True)
    provider: Mapped[str] = mapped_column(String(20), server_default="toss")
    customer_key: Mapped[str | None] = mapped_column(String(64))
    billing_key_sealed: Mapped[str | None] = mapped_column(Text)
    billing_key_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Payable(Base):
    """A copy of what can be paid for: whose it is, and how. Also the lock between a request and its cancellation."""

    __tablename__ = "payable"
    __table_args__ = (
        Index("ix_payable_number", "number"),
        Index("ix_payable_payment_method_id", "payment_method_id"),
        TABLE_OPTIONS,
    )

    type: Mapped[str] = mapped_column(String(20), primary_key=True)
    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    number: Mapped[str | None] = mapped_column(String(64))
    owner_id: Mapped[str | None] = mapped_column(UlidType)
    total: Mapped[int | None] = mapped_column(MoneyType)
    currency: Mapped[str | None] = mapped_column(String(3))
    payment_method_id: Mapped[str | None] = mapped_column(UlidType)
    withdrawn: Mapped[bool] = mapped_column(default=False)
    cancel_reason: Mapped[str | None] = mapped_column(String(200))
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Payment(Base):
    """One capture a purpose of a payable, for ever. ``attend_at``: when a worker must look at it; a worker that takes
    it moves that on, which is its lease. Only workers of its ``provider`` take it."""

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("payable_type", "payable_id", "purpose"),
        Index(
            "ix_payment_attend_at",
            "attend_at",
            sqlite_where=text("attend_at IS NOT NULL"),
            postgresql_where=text("attend_at IS NOT NULL"),
        ),
        Index("ix_payment_payer_id", "payer_id"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("captured >= 0 AND captured <= amount", name="captured_within_amount"),
        CheckConstraint("refunded >= 0 AND refunded <= captured", name="refunded_within_captured"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    payable_type: Mapped[str] = mapped_column(String(20))
    payable_id: Mapped[str] = mapped_column(UlidType)
    purpose: Mapped[str] = mapped_column(String(20))
    payer_id: Mapped[str] = mapped_column(UlidType)
    provider_order_id: Mapped[str] = mapped_column(String(64), unique=True)
    order_name: Mapped[str] = mapped_column(String(100))
    amount: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    status: Mapped[str] = mapped_column(String(20))
    version: Mapped[int] = mapped_column(default=1)
    captured: Mapped[int] = mapped_column(MoneyType, default=0)
    refunded: Mapped[int] = mapped_column(MoneyType, default=0)
    captures: Mapped[int] = mapped_column(default=0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    attend_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    payment_method_id: Mapped[str | None] = mapped_column(UlidType)
    kind: Mapped[str] = mapped_column(String(20))
    summary: Mapped[str] = mapped_column(String(100))
    provider: Mapped[str] = mapped_column(String(20), server_default="toss")
    provider_key: Mapped[str | None] = mapped_column(String(200))
    receipt_url: Mapped[str | None] = mapped_column(String(500))
    failure_code: Mapped[str | None] = mapped_column(String(50))
    failure_message: Mapped[str | None] = mapped_column(String(255))
    failure_retryable: Mapped[bool] = mapped_column(default=False)
    account_bank: Mapped[str | None] = mapped_column(String(10))
    account_number: Mapped[str | None] = mapped_column(Sealed("payments.payment.account_number"))
    account_holder: Mapped[str | None] = mapped_column(Sealed("payments.payment.account_holder"))
    account_secret_sealed: Mapped[str | None] = mapped_column(Text)
    account_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deposited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Refund(Base):
    """Money on its way back. ``attend_at`` as in ``payment``; ``automatic``: the saga's, not a person's.

    ``return_id``: of the return that it pays for. A pending one of a deposit without ``account_sealed`` waits for the
    account that it goes to.
    """

    __tablename__ = "refund"
    __table_args__ = (
        Index("ix_refund_payment_id", "payment_id", "status"),
        Index("ix_refund_attend_at", "attend_at"),
        Index("uq_refund_return_id", "return_id", unique=True),
        CheckConstraint("amount > 0", name="amount_positive"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"))
    amount: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    reason: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(20))
    automatic: Mapped[bool] = mapped_column(default=False)
    return_id: Mapped[str | None] = mapped_column(UlidType)
    account_sealed: Mapped[str | None] = mapped_column(Text)
    attend_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    failure_code: Mapped[str | None] = mapped_column(String(50))
    failure_message: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PaymentAttempt(Base):
    """A call to the provider, written before it is made. ``outcome`` is null while nobody knows."""

    __tablename__ = "payment_attempt"
    __table_args__ = (
        Index("ix_payment_attempt_payment_id", "payment_id", "id"),
        Index(
            "ix_payment_attempt_refund_id",
            "refund_id",
            "id",
            sqlite_where=text("refund_id IS NOT NULL"),
            postgresql_where=text("refund_id IS NOT NULL"),
        ),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"))
    refund_id: Mapped[str | None] = mapped_column(ForeignKey("refund.id"))
    operation: Mapped[str] = mapped_column(String(30))
    idempotency_key: Mapped[str] = mapped_column(String(64), unique=True)
    outcome: Mapped[str | None] = mapped_column(String(20))
    provider_code: Mapped[str | None] = mapped_column(String(100))
    provider_reference: Mapped[str | None] = mapped_column(String(200))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LedgerEntry(Base):
    """One side of a double entry. A booking has entries on two accounts and stands here once."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        UniqueConstraint("booking", "reference", "account"),
        Index("ix_ledger_entry_payment_id", "payment_id"),
        CheckConstraint("debit >= 0 AND credit >= 0", name="sides_not_negative"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    booking: Mapped[str] = mapped_column(String(20))
    reference: Mapped[str] = mapped_column(String(40))
    account: Mapped[str] = mapped_column(String(40))
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"))
    debit: Mapped[int] = mapped_column(MoneyType)
    credit: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    booked_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LineCommission(Base):
    """The commission rate of an order line, frozen at the sale."""

    __tablename__ = "line_commission"
    __table_args__ = (Index("ix_line_commission_order_id", "order_id"), TABLE_OPTIONS)

    order_line_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    order_id: Mapped[str] = mapped_column(UlidType)
    partner_id: Mapped[str] = mapped_column(UlidType)
    basis_points: Mapped[int]
    total: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))


class PartnerCopy(Base):
    """A copy of who belongs to a seller."""

    __tablename__ = "partner_copy"
    __table_args__ = (TABLE_OPTIONS,)

    partner_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int]
    member_ids: Mapped[list[Any]] = mapped_column(JsonType)


class PayoutAccount(Base):
    """A copy of where a seller is paid to."""

    __tablename__ = "payout_account"
    __table_args__ = (TABLE_OPTIONS,)

    partner_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int]
    bank_code: Mapped[str] = mapped_column(String(3))
    account_number: Mapped[str] = mapped_column(Sealed("payments.payout_account.account_number"))
    holder_name: Mapped[str] = mapped_column(Sealed("payments.payout_account.holder_name"))


class RefundLine(Base):
    """What of a refund is for an order line: known of returns, and where an operator names the seller who bears it."""

    __tablename__ = "refund_line"
    __table_args__ = (CheckConstraint("amount >= 0", name="amount_not_negative"), TABLE_OPTIONS)

    refund_id: Mapped[str] = mapped_column(ForeignKey("refund.id"), primary_key=True)
    order_line_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    amount: Mapped[int] = mapped_column(MoneyType)


class Bookkeeping(Base):
    """How far a bookkeeper has read the ledger: all entries up to the id ``position`` are accounted for."""

    __tablename__ = "bookkeeping"
    __table_args__ = (TABLE_OPTIONS,)

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    position: Mapped[str] = mapped_column(String(26))


class LedgerTransfer(Base):
    """An amount from one account to another: a row is both sides of a double entry, so none can be out of balance."""

    __tablename__ = "ledger_transfer"
    __table_args__ = (
        UniqueConstraint("reference", "debit_account", "credit_account", "currency", name="uq_ledger_transfer_once"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("debit_account <> credit_account", name="two_accounts"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    reference: Mapped[str] = mapped_column(String(40))
    debit_account: Mapped[str] = mapped_column(String(40))
    credit_account: Mapped[str] = mapped_column(String(40))
    amount: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    booked_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LedgerDay(Base):
    """What was booked on an account on a day in Seoul, by the entries and transfers that are totalled."""

    __tablename__ = "ledger_day"
    __table_args__ = (TABLE_OPTIONS,)

    day: Mapped[date] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(String(40), primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)
    debit: Mapped[int] = mapped_column(MoneyType)
    credit: Mapped[int] = mapped_column(MoneyType)


class Settlement(Base):
    """What a seller has earned in a period, closed for ever. ``period_end`` is the first day after it, in Seoul.

    ``carried``: what an earlier settlement left him owing; ``payable`` what is left after it (negative: carried on).
    """

    __tablename__ = "settlement"
    __table_args__ = (
        UniqueConstraint("partner_id", "currency", "period_end"),
        Index("ix_settlement_period_end", "period_end", "id"),
        CheckConstraint("period_start < period_end", name="period"),
        CheckConstraint("gross >= 0 AND refunds >= 0 AND carried <= 0", name="signs"),
        CheckConstraint("net = gross - refunds - commission - tax", name="net"),
        CheckConstraint("payable = net + carried", name="payable"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    partner_id: Mapped[str] = mapped_column(UlidType)
    period_start: Mapped[date]
    period_end: Mapped[date]
    currency: Mapped[str] = mapped_column(String(3))
    gross: Mapped[int] = mapped_column(MoneyType)
    refunds: Mapped[int] = mapped_column(MoneyType)
    commission: Mapped[int] = mapped_column(MoneyType)
    tax: Mapped[int] = mapped_column(MoneyType)
    net: Mapped[int] = mapped_column(MoneyType)
    carried: Mapped[int] = mapped_column(MoneyType)
    payable: Mapped[int] = mapped_column(MoneyType)
    status: Mapped[str] = mapped_column(String(20))
    closed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SellerEntry(Base):
    """What a ledger booking did to a seller by one order line (a sale, or what was given back of it, negative), at the
    rates of the sale. Written once; closing a settlement names it in ``settlement_id``, once."""

    __tablename__ = "seller_entry"
    __table_args__ = (
        Index("ix_seller_entry_partner_id", "partner_id", "settlement_id", "occurred_at"),
        Index("ix_seller_entry_settlement_id", "settlement_id", "booking_id", "order_line_id"),
        TABLE_OPTIONS,
    )

    order_line_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    booking_id: Mapped[str] = mapped_column(ForeignKey("ledger_entry.id"), primary_key=True)
    partner_id: Mapped[str] = mapped_column(UlidType)
    gross: Mapped[int] = mapped_column(MoneyType)
    basis_points: Mapped[int]
    tax_basis_points: Mapped[int]
    commission: Mapped[int] = mapped_column(MoneyType)
    tax: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settlement_id: Mapped[str | None] = mapped_column(ForeignKey("settlement.id"))


class Payout(Base):
    """Money on its way to a seller. ``live_settlement_id`` is the settlement's until the payout has failed: unique, so
    one payout a settlement. ``attend_at`` as in ``payment``."""

    __tablename__ = "payout"
    __table_args__ = (
        Index("ix_payout_settlement_id", "settlement_id", "id"),
        Index("ix_payout_attend_at", "attend_at"),
        CheckConstraint("amount > 0", name="amount_positive"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    settlement_id: Mapped[str] = mapped_column(ForeignKey("settlement.id"))
    live_settlement_id: Mapped[str | None] = mapped_column(UlidType, unique=True)
    partner_id: Mapped[str] = mapped_column(UlidType)
    amount: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    status: Mapped[str] = mapped_column(String(20))
    scheduled_on: Mapped[date]
    bank_code: Mapped[str] = mapped_column(String(3))
    account_number: Mapped[str] = mapped_column(Sealed("payments.payout.account_number"))
    holder_name: Mapped[str] = mapped_column(Sealed("payments.payout.holder_name"))
    attend_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    provider_id: Mapped[str | None] = mapped_column(String(100))
    failure_reason: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


outbox = outbox_table(Base.metadata)
inbox = inbox_table(Base.metadata)
dead_letters = dead_letter_table(Base.metadata)
idempotency = idempotency_table(Base.metadata)

customers = cast(Table, Customer.__table__)
methods = cast(Table, PaymentMethod.__table__)
payables = cast(Table, Payable.__table__)
payments = cast(Table, Payment.__table__)
refunds = cast(Table, Refund.__table__)
attempts = cast(Table, PaymentAttempt.__table__)
ledger = cast(Table, LedgerEntry.__table__)
commissions = cast(Table, LineCommission.__table__)
partners = cast(Table, PartnerCopy.__table__)
payout_accounts = cast(Table, PayoutAccount.__table__)
refund_lines = cast(Table, RefundLine.__table__)
bookkeeping = cast(Table, Bookkeeping.__table__)
transfers = cast(Table, LedgerTransfer.__table__)
ledger_days = cast(Table, LedgerDay.__table__)
settlements = cast(Table, Settlement.__table__)
seller_entries = cast(Table, SellerEntry.__table__)
payouts = cast(Table, Payout.__table__)
