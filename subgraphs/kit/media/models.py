"""What a table of uploads has, whatever its pictures are of."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db.columns import UlidType, UtcDateTime

STATUS_KNOWN = "status IN ('PENDING', 'READY', 'USED', 'DROPPED')"


class Upload:
    """A file that somebody may send or has sent.

    PENDING: not looked at; READY: checked, shown nowhere; USED: shown; DROPPED: to be deleted.
    """

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    owner_id: Mapped[str] = mapped_column(UlidType)
    content_type: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(10))
    url: Mapped[str | None] = mapped_column(String(500))
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
