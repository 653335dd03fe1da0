"""Each payment, card and customer says whose it is: a shop may change its provider."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("customer", "payment_method", "payment")


def upgrade() -> None:
    # Not in a batch: SQLite would copy the tables, and others refer to them.
    for table in TABLES:
        op.add_column(table, sa.Column("provider", sa.String(length=20), nullable=False, server_default="toss"))
    op.add_column("payment_method", sa.Column("customer_key", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("payment_method", "customer_key")
    for table in TABLES:
        op.drop_column(table, "provider")
