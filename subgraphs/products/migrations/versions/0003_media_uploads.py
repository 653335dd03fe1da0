"""Uploads of pictures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "media_upload",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("owner_id", sa.String(26), nullable=False),
        sa.Column("content_type", sa.String(20), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("url", sa.String(500), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("product_id", sa.String(26), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "status IN ('PENDING', 'READY', 'USED', 'DROPPED')", name=op.f("ck_media_upload_status_known")
        ),
        sa.CheckConstraint(
            "(status = 'USED') = (product_id IS NOT NULL)", name=op.f("ck_media_upload_used_has_product")
        ),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_media_upload_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_upload")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_media_upload_product_id"), "media_upload", ["product_id"])
    op.create_index("ix_media_upload_owner_id_status", "media_upload", ["owner_id", "status"])
    op.create_index("ix_media_upload_status_created_at", "media_upload", ["status", "created_at"])


def downgrade() -> None:
    op.drop_table("media_upload")
