"""Parcels that bring goods back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in a batch: SQLite would copy the table, and its lines refer to it.
    op.add_column("shipment", sa.Column("return_id", sa.String(length=26), nullable=True))
    op.create_index("uq_shipment_return_id", "shipment", ["return_id"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_shipment_return_id", "shipment")
    op.drop_column("shipment", "return_id")
