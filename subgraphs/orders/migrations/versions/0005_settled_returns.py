"""What an operator did about a refund that payments refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = {"settled_note": 500, "settled_by": 26}


def upgrade() -> None:
    with op.batch_alter_table("order_return") as batch:
        for name, length in COLUMNS.items():
            batch.add_column(sa.Column(name, sa.String(length), nullable=True))
        batch.add_column(sa.Column("given_otherwise", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("order_return") as batch:
        for name in COLUMNS:
            batch.drop_column(name)
        batch.drop_column("given_otherwise")
