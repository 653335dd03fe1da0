"""The books' totals by day, so that a trial balance need not read every entry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.base import TABLE_OPTIONS

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "account", "currency", name=op.f("pk_ledger_day")),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("ledger_day")
    op.execute("DELETE FROM bookkeeping WHERE name LIKE 'totals of %'")
