"""The table of uploads."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db.base import TABLE_OPTIONS
from db.columns import UlidType, UtcDateTime
from subgraphs.products.base import Base


class MediaUpload(Base):
    """A file that somebody may send or has sent.

    PENDING: not looked at; READY: checked, shown nowhere; USED: shown with a product; DROPPED: to be deleted.
    """

    __tablename__ = "media_upload"
    __table_args__ = (
        CheckConstraint("status IN ('PENDING', 'READY', 'USED', 'DROPPED')", name="status_known"),
        CheckConstraint("(status = 'USED') = (product_id IS NOT NULL)", name="used_has_product"),
        Index("ix_media_upload_owner_id_status", "owner_id", "status"),
        Index("ix_media_upload_status_created_at", "status", "created_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    owner_id: Mapped[str] = mapped_column(UlidType)
    content_type: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(10))
    url: Mapped[str | None] = mapped_column(String(500))
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    product_id: Mapped[str | None] = mapped_column(UlidType, ForeignKey("product.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


uploads = MediaUpload.__table__
