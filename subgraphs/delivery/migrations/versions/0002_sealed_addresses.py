"""Where somebody lives is sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import JsonType
from db.resealing import open_sealed, seal_plain

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ADDRESS = {
    "recipient": (100, False),
    "phone": (20, False),
    "postal_code": (5, False),
    "line1": (200, False),
    "line2": (200, True),
    "delivery_note": (200, True),
}
ADDRESS_PLACES = {name: f"delivery.address.{name}" for name in ADDRESS}
SHIPMENT_PLACES = {"address": "delivery.shipment.address"}


def upgrade() -> None:
    connection = op.get_bind()
    with op.batch_alter_table("address") as batch:
        for name, (length, nullable) in ADDRESS.items():
            batch.alter_column(name, existing_type=sa.String(length), type_=sa.Text(), existing_nullable=nullable)
    seal_plain(connection, "address", ADDRESS_PLACES)
    with op.batch_alter_table("shipment") as batch:
        batch.alter_column(
            "address",
            existing_type=JsonType,
            type_=sa.Text(),
            existing_nullable=False,
            postgresql_using="address::text",
        )
    seal_plain(connection, "shipment", SHIPMENT_PLACES)


def downgrade() -> None:
    connection = op.get_bind()
    open_sealed(connection, "shipment", SHIPMENT_PLACES)
    with op.batch_alter_table("shipment") as batch:
        batch.alter_column(
            "address",
            existing_type=sa.Text(),
            type_=JsonType,
            existing_nullable=False,
            postgresql_using="address::jsonb",
        )
    open_sealed(connection, "address", ADDRESS_PLACES)
    with op.batch_alter_table("address") as batch:
        for name, (length, nullable) in ADDRESS.items():
            batch.alter_column(name, existing_type=sa.Text(), type_=sa.String(length), existing_nullable=nullable)
