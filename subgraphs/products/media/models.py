"""The table of uploads."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.base import TABLE_OPTIONS
from db.columns import UlidType
from subgraphs.kit.media.models import STATUS_KNOWN, Upload
from subgraphs.products.base import Base


class MediaUpload(Upload, Base):
    """A picture that a seller may send or has sent. USED: shown with a product."""

    __tablename__ = "media_upload"
    __table_args__ = (
        CheckConstraint(STATUS_KNOWN, name="status_known"),
        CheckConstraint("(status = 'USED') = (product_id IS NOT NULL)", name="used_has_product"),
        Index("ix_media_upload_owner_id_status", "owner_id", "status"),
        Index("ix_media_upload_status_created_at", "status", "created_at"),
        TABLE_OPTIONS,
    )

    product_id: Mapped[str | None] = mapped_column(UlidType, ForeignKey("product.id"), index=True)


uploads = MediaUpload.__table__
