"""The accounts that buyers pay into, and their names, are sealed; of a number its end is shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.resealing import open_sealed, seal_plain

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = {"account_number": 50, "account_holder": 100}
PLACES = {name: f"payments.payment.{name}" for name in COLUMNS}
SHOWN = 4


def upgrade() -> None:
    with op.batch_alter_table("payment") as batch:
        for name, length in COLUMNS.items():
            batch.alter_column(name, existing_type=sa.String(length), type_=sa.Text(), existing_nullable=True)
    _shorten_summaries()
    seal_plain(op.get_bind(), "payment", PLACES)


def _shorten_summaries() -> None:
    """``신한은행 110123456789`` becomes ``신한은행 6789``."""
    rows = sa.table("payment", *(sa.column(name, sa.String()) for name in ("id", "summary", "account_number")))
    with_number = sa.select(rows).where(rows.c.account_number.is_not(None), rows.c.summary != "")
    for row in op.get_bind().execute(with_number).all():
        shorter = row.summary.replace(row.account_number, row.account_number[-SHOWN:])
        op.get_bind().execute(rows.update().where(rows.c.id == row.id).values(summary=shorter))


def downgrade() -> None:
    open_sealed(op.get_bind(), "payment", PLACES)
    with op.batch_alter_table("payment") as batch:
        for name, length in COLUMNS.items():
            batch.alter_column(name, existing_type=sa.Text(), type_=sa.String(length), existing_nullable=True)
