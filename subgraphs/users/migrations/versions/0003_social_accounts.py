"""Accounts at Naver and Kakao, and log-ins there that have begun."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from db.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OPTIONS: Any = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


def upgrade() -> None:
    op.create_table(
        "social_account",
        sa.Column("subject_index", sa.String(43), nullable=False),
        sa.Column("provider", sa.String(10), nullable=False),
        sa.Column("user_id", sa.String(26), nullable=False),
        sa.Column("linked_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_social_account_user_id")),
        sa.PrimaryKeyConstraint("subject_index", name=op.f("pk_social_account")),
        sa.UniqueConstraint("user_id", "provider", name=op.f("uq_social_account_user_id_provider")),
        **OPTIONS,
    )
    op.create_table(
        "social_attempt",
        sa.Column("state_hash", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(10), nullable=False),
        sa.Column("redirect_uri", sa.String(500), nullable=False),
        sa.Column("verifier", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("user_id", sa.String(26), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_social_attempt")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_social_attempt_expires_at"), "social_attempt", ["expires_at"])
    op.add_column("one_time_token", sa.Column("address", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("one_time_token", "address")
    op.drop_table("social_attempt")
    op.drop_table("social_account")
