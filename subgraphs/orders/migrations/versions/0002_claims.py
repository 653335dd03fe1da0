"""Claims of flash sales."""

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
        "claim_copy",
        sa.Column("claim_id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("variant_id", sa.String(length=26), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("claim_id", name=op.f("pk_claim_copy")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    # Not in a batch: SQLite would copy the table, and its lines refer to it.
    op.add_column("orders", sa.Column("claim_id", sa.String(length=26), nullable=True))
    op.create_index("uq_orders_claim_id", "orders", ["claim_id"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_orders_claim_id", "orders")
    op.drop_column("orders", "claim_id")
    op.drop_table("claim_copy")
