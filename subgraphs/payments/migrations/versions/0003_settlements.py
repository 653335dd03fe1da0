"""Sellers are settled and paid: what each sale earned them, settlements, payouts, and the books of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.base import TABLE_OPTIONS
from db.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payout_account",
        sa.Column("partner_id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("bank_code", sa.String(length=3), nullable=False),
        sa.Column("account_number", sa.Text(), nullable=False),
        sa.Column("holder_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", name=op.f("pk_payout_account")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "refund_line",
        sa.Column("refund_id", sa.String(length=26), nullable=False),
        sa.Column("order_line_id", sa.String(length=26), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_refund_line_amount_not_negative")),
        sa.ForeignKeyConstraint(["refund_id"], ["refund.id"], name=op.f("fk_refund_line_refund_id")),
        sa.PrimaryKeyConstraint("refund_id", "order_line_id", name=op.f("pk_refund_line")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "bookkeeping",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("position", sa.String(length=26), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_bookkeeping")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "ledger_transfer",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("reference", sa.String(length=40), nullable=False),
        sa.Column("debit_account", sa.String(length=40), nullable=False),
        sa.Column("credit_account", sa.String(length=40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("booked_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("debit_account <> credit_account", name=op.f("ck_ledger_transfer_two_accounts")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_ledger_transfer_amount_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transfer")),
        sa.UniqueConstraint(
            "reference", "debit_account", "credit_account", "currency", name=op.f("uq_ledger_transfer_once")
        ),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "settlement",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("partner_id", sa.String(length=26), nullable=False),
        sa.Column("period_start", sa.Date(), nullable=False),
        sa.Column("period_end", sa.Date(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("refunds", sa.BigInteger(), nullable=False),
        sa.Column("commission", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("carried", sa.BigInteger(), nullable=False),
        sa.Column("payable", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("period_start < period_end", name=op.f("ck_settlement_period")),
        sa.CheckConstraint("net = gross - refunds - commission - tax", name=op.f("ck_settlement_net")),
        sa.CheckConstraint("gross >= 0 AND refunds >= 0 AND carried <= 0", name=op.f("ck_settlement_signs")),
        sa.CheckConstraint("payable = net + carried", name=op.f("ck_settlement_payable")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlement")),
        sa.UniqueConstraint(
            "partner_id", "currency", "period_end", name=op.f("uq_settlement_partner_id_currency_period_end")
        ),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_settlement_period_end", "settlement", ["period_end", "id"])
    op.create_table(
        "seller_entry",
        sa.Column("order_line_id", sa.String(length=26), nullable=False),
        sa.Column("booking_id", sa.String(length=26), nullable=False),
        sa.Column("partner_id", sa.String(length=26), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("basis_points", sa.Integer(), nullable=False),
        sa.Column("tax_basis_points", sa.Integer(), nullable=False),
        sa.Column("commission", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("settlement_id", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["booking_id"], ["ledger_entry.id"], name=op.f("fk_seller_entry_booking_id")),
        sa.ForeignKeyConstraint(["settlement_id"], ["settlement.id"], name=op.f("fk_seller_entry_settlement_id")),
        sa.PrimaryKeyConstraint("order_line_id", "booking_id", name=op.f("pk_seller_entry")),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_seller_entry_partner_id", "seller_entry", ["partner_id", "settlement_id", "occurred_at"])
    op.create_index("ix_seller_entry_settlement_id", "seller_entry", ["settlement_id", "booking_id", "order_line_id"])
    op.create_table(
        "payout",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("settlement_id", sa.String(length=26), nullable=False),
        sa.Column("live_settlement_id", sa.String(length=26), nullable=True),
        sa.Column("partner_id", sa.String(length=26), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("scheduled_on", sa.Date(), nullable=False),
        sa.Column("bank_code", sa.String(length=3), nullable=False),
        sa.Column("account_number", sa.Text(), nullable=False),
        sa.Column("holder_name", sa.Text(), nullable=False),
        sa.Column("attend_at", UtcDateTime(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("provider_id", sa.String(length=100), nullable=True),
        sa.Column("failure_reason", sa.String(length=255), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("paid_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payout_amount_positive")),
        sa.ForeignKeyConstraint(["settlement_id"], ["settlement.id"], name=op.f("fk_payout_settlement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout")),
        sa.UniqueConstraint("live_settlement_id", name=op.f("uq_payout_live_settlement_id")),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_payout_attend_at", "payout", ["attend_at"])
    op.create_index("ix_payout_settlement_id", "payout", ["settlement_id", "id"])


def downgrade() -> None:
    for table in (
        "payout",
        "seller_entry",
        "settlement",
        "ledger_transfer",
        "bookkeeping",
        "refund_line",
        "payout_account",
    ):
        op.drop_table(table)
