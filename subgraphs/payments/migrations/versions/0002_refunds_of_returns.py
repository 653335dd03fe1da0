"""Refunds of returns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in a batch: SQLite would copy the table, and attempts refer to it.
    op.add_column("refund", sa.Column("return_id", sa.String(length=26), nullable=True))
    op.create_index("uq_refund_return_id", "refund", ["return_id"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_refund_return_id", "refund")
    op.drop_column("refund", "return_id")
