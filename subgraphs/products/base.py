"""The metadata that all tables of products share."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Table
from sqlalchemy.orm import DeclarativeBase

from db.base import new_metadata


class Base(DeclarativeBase):
    metadata = new_metadata()
    __table__: ClassVar[Table]
