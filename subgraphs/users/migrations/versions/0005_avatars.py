"""Pictures that people send of themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "avatar_upload",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("owner_id", sa.String(26), nullable=False),
        sa.Column("content_type", sa.String(20), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("url", sa.String(500), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "status IN ('PENDING', 'READY', 'USED', 'DROPPED')", name=op.f("ck_avatar_upload_status_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_avatar_upload")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index("ix_avatar_upload_owner_id_status", "avatar_upload", ["owner_id", "status"])
    op.create_index("ix_avatar_upload_status_created_at", "avatar_upload", ["status", "created_at"])


def downgrade() -> None:
    op.drop_table("avatar_upload")
