"""Returns and their lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "order_return",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("buyer_id", sa.String(length=26), nullable=False),
        sa.Column("partner_id", sa.String(length=26), nullable=True),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=24), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("decision_note", sa.String(length=500), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        sa.Column("refund_amount", sa.BigInteger(), nullable=False),
        sa.Column("refund_error", sa.String(length=500), nullable=True),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("received_at", UtcDateTime(), nullable=True),
        sa.Column("refunded_at", UtcDateTime(), nullable=True),
        sa.Column("ask_again_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("refund_amount >= 0 AND fee >= 0", name=op.f("ck_order_return_amounts")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_return_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_return")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index("ix_order_return_ask_again_at", "order_return", ["ask_again_at"], unique=False)
    op.create_index("ix_order_return_order_id", "order_return", ["order_id"], unique=False)

    op.create_table(
        "order_return_line",
        sa.Column("return_id", sa.String(length=26), nullable=False),
        sa.Column("order_line_id", sa.String(length=26), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("received", sa.Integer(), nullable=True),
        sa.Column("restock", sa.Boolean(), nullable=True),
        sa.CheckConstraint(
            "quantity > 0 AND received BETWEEN 0 AND quantity", name=op.f("ck_order_return_line_quantity")
        ),
        sa.ForeignKeyConstraint(["order_line_id"], ["order_line.id"], name=op.f("fk_order_return_line_order_line_id")),
        sa.ForeignKeyConstraint(["return_id"], ["order_return.id"], name=op.f("fk_order_return_line_return_id")),
        sa.PrimaryKeyConstraint("return_id", "order_line_id", name=op.f("pk_order_return_line")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index("ix_order_return_line_order_line_id", "order_return_line", ["order_line_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_order_return_line_order_line_id", "order_return_line")

    op.drop_table("order_return_line")
    op.drop_index("ix_order_return_order_id", "order_return")
    op.drop_index("ix_order_return_ask_again_at", "order_return")

    op.drop_table("order_return")
