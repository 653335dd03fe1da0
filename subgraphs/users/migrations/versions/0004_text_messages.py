"""Notifications go out as text messages, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "text_message",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'SENDING', 'SENT', 'FAILED')", name=op.f("ck_text_message_status_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_text_message")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index("ix_text_message_status_next_attempt_at", "text_message", ["status", "next_attempt_at"])
    with op.batch_alter_table("notification_delivery") as batch:
        batch.add_column(sa.Column("text_id", sa.String(26), nullable=True))
        batch.create_foreign_key(op.f("fk_notification_delivery_text_id"), "text_message", ["text_id"], ["id"])
        batch.create_unique_constraint(op.f("uq_notification_delivery_text_id"), ["text_id"])


def downgrade() -> None:
    with op.batch_alter_table("notification_delivery") as batch:
        batch.drop_constraint(op.f("fk_notification_delivery_text_id"), type_="foreignkey")
        batch.drop_constraint(op.f("uq_notification_delivery_text_id"), type_="unique")
        batch.drop_column("text_id")
    op.drop_table("text_message")
