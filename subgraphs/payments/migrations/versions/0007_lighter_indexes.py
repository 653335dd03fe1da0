"""Indexes of payments and calls that hold only the rows that somebody looks for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PARTIAL = (
    ("ix_payment_attend_at", "payment", ["attend_at"], "attend_at IS NOT NULL"),
    ("ix_payment_attempt_refund_id", "payment_attempt", ["refund_id", "id"], "refund_id IS NOT NULL"),
)


def upgrade() -> None:
    op.drop_index("ix_payment_payment_method_id", "payment")
    if op.get_bind().dialect.name in ("sqlite", "postgresql"):  # MariaDB has no partial indexes
        for name, table, columns, where in PARTIAL:
            op.drop_index(name, table)
            op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def downgrade() -> None:
    if op.get_bind().dialect.name in ("sqlite", "postgresql"):
        for name, table, columns, _ in PARTIAL:
            op.drop_index(name, table)
            op.create_index(name, table, columns)
    op.create_index("ix_payment_payment_method_id", "payment", ["payment_method_id", "status"])
