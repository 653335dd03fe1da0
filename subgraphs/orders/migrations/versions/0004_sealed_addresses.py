"""Where a buyer lives is sealed, in the copies of addresses and in the orders that were sent there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.resealing import open_sealed, seal_plain

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = {
    "recipient": (100, False),
    "phone": (40, False),
    "postal_code": (20, False),
    "line1": (255, False),
    "line2": (255, True),
    "delivery_note": (500, True),
}
KEYS = {"orders": "id", "address_copy": "address_id"}


def upgrade() -> None:
    for table, key in KEYS.items():
        with op.batch_alter_table(table) as batch:
            for name, (length, nullable) in COLUMNS.items():
                batch.alter_column(name, existing_type=sa.String(length), type_=sa.Text(), existing_nullable=nullable)
        seal_plain(op.get_bind(), table, {name: f"orders.{table}.{name}" for name in COLUMNS}, key)


def downgrade() -> None:
    for table, key in KEYS.items():
        open_sealed(op.get_bind(), table, {name: f"orders.{table}.{name}" for name in COLUMNS}, key)
        with op.batch_alter_table(table) as batch:
            for name, (length, nullable) in COLUMNS.items():
                batch.alter_column(name, existing_type=sa.Text(), type_=sa.String(length), existing_nullable=nullable)
