"""What a parcel's label says, kept with the address as shipments keep it; orders are not found by their address."""

from __future__ import annotations

import orjson
import sqlalchemy as sa
from alembic import op

from db import vault
from subgraphs.delivery.domain import is_remote

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAMES = ("recipient", "phone", "postal_code", "line1", "line2", "delivery_note")
BATCH = 200


def upgrade() -> None:
    op.add_column("address", sa.Column("parcel", sa.Text(), nullable=True))
    op.add_column("address", sa.Column("remote", sa.Boolean(), nullable=False, server_default=sa.false()))
    _fill(op.get_bind())
    op.drop_index("ix_order_delivery_address_id", "order_delivery")


def downgrade() -> None:
    op.create_index("ix_order_delivery_address_id", "order_delivery", ["address_id"], unique=False)
    op.drop_column("address", "remote")
    op.drop_column("address", "parcel")


def _fill(connection: sa.Connection) -> None:
    texts = [sa.column(name, sa.Text()) for name in (*NAMES, "parcel")]
    deleted = sa.column("deleted_at", sa.DateTime())
    rows = sa.table("address", sa.column("id"), sa.column("remote", sa.Boolean()), deleted, *texts)
    alive = sa.select(rows).where(rows.c.deleted_at.is_(None)).order_by(rows.c.id).limit(BATCH)
    last, ring = "", vault.ring()
    while found := connection.execute(alive.where(rows.c.id > last)).mappings().all():
        for row in found:
            sealed = {name: row[name] for name in NAMES if row[name] is not None}
            opened = {name: ring.open(text, f"delivery.address.{name}") for name, text in sealed.items()}
            parcel = orjson.dumps({name: opened.get(name) for name in NAMES}).decode()
            kept = {
                "parcel": ring.seal(parcel, "delivery.shipment.address"),
                "remote": is_remote(opened["postal_code"]),
            }
            connection.execute(rows.update().where(rows.c.id == row["id"]).values(**kept))
        last = found[-1]["id"]
