"""What stands in the inbox says so itself: deliveries are those by e-mail and text message."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM notification_delivery WHERE channel = 'IN_APP'")


def downgrade() -> None:
    op.execute(
        "INSERT INTO notification_delivery (notification_id, channel, status, sent_at) "
        "SELECT id, 'IN_APP', CASE WHEN in_inbox THEN 'SENT' ELSE 'SUPPRESSED' END, "
        "CASE WHEN in_inbox THEN created_at END FROM notification"
    )
