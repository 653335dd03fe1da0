"""Flash sales."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flash_sale",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("partner_id", sa.String(length=26), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("drawn_at", UtcDateTime(), nullable=True),
        sa.Column("draw_seed", sa.String(length=64), nullable=True),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("admitted_through", sa.Integer(), nullable=False),
        sa.Column("admission_rate", sa.Integer(), nullable=False),
        sa.Column("last_admission_at", UtcDateTime(), nullable=True),
        sa.Column("rate_changed_at", UtcDateTime(), nullable=True),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("admitted_through <= last_number", name=op.f("ck_flash_sale_admitted")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_flash_sale_times")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flash_sale")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("flash_sale", schema=None) as batch_op:
        batch_op.create_index("ix_flash_sale_ends_at_id", ["ends_at", "id"], unique=False)

    op.create_table(
        "queue_ticket",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("sale_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("entered_at", UtcDateTime(), nullable=False),
        sa.Column("admitted_at", UtcDateTime(), nullable=True),
        sa.Column("admission_expires_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["sale_id"], ["flash_sale.id"], name=op.f("fk_queue_ticket_sale_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_ticket")),
        sa.UniqueConstraint("sale_id", "number", name=op.f("uq_queue_ticket_sale_id_number")),
        sa.UniqueConstraint("sale_id", "user_id", name=op.f("uq_queue_ticket_sale_id_user_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("queue_ticket", schema=None) as batch_op:
        batch_op.create_index(
            "ix_queue_ticket_status_admission", ["sale_id", "status", "admission_expires_at"], unique=False
        )

    op.create_table(
        "flash_sale_item",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("sale_id", sa.String(length=26), nullable=False),
        sa.Column("variant_id", sa.String(length=26), nullable=False),
        sa.Column("sale_price", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("total_quantity", sa.Integer(), nullable=False),
        sa.Column("remaining", sa.Integer(), nullable=False),
        sa.Column("returned", sa.Integer(), nullable=False),
        sa.Column("per_customer_limit", sa.Integer(), nullable=False),
        sa.Column("next_sequence", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.CheckConstraint("per_customer_limit > 0", name=op.f("ck_flash_sale_item_limit")),
        sa.CheckConstraint("remaining + returned <= total_quantity", name=op.f("ck_flash_sale_item_not_oversold")),
        sa.CheckConstraint("remaining >= 0 AND returned >= 0", name=op.f("ck_flash_sale_item_units")),
        sa.ForeignKeyConstraint(["sale_id"], ["flash_sale.id"], name=op.f("fk_flash_sale_item_sale_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["product_variant.id"], name=op.f("fk_flash_sale_item_variant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flash_sale_item")),
        sa.UniqueConstraint("sale_id", "variant_id", name=op.f("uq_flash_sale_item_sale_id_variant_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("flash_sale_item", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_flash_sale_item_variant_id"), ["variant_id"], unique=False)

    op.create_table(
        "stock_claim",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("item_id", sa.String(length=26), nullable=False),
        sa.Column("ticket_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("claimed_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("ordered_at", UtcDateTime(), nullable=True),
        sa.Column("paid_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_stock_claim_quantity")),
        sa.ForeignKeyConstraint(["item_id"], ["flash_sale_item.id"], name=op.f("fk_stock_claim_item_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["queue_ticket.id"], name=op.f("fk_stock_claim_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_claim")),
        sa.UniqueConstraint("item_id", "sequence", name=op.f("uq_stock_claim_item_id_sequence")),
        sa.UniqueConstraint("item_id", "user_id", "slot", name=op.f("uq_stock_claim_item_id_user_id_slot")),
        sa.UniqueConstraint("order_id", name=op.f("uq_stock_claim_order_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("stock_claim", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stock_claim_paid_at"), ["paid_at"], unique=False)
        batch_op.create_index("ix_stock_claim_state_expires_at", ["state", "expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_stock_claim_ticket_id"), ["ticket_id"], unique=False)


def downgrade() -> None:
    for table in ("stock_claim", "flash_sale_item", "queue_ticket", "flash_sale"):
        op.drop_table(table)
