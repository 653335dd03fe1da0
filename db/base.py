"""What every subgraph's tables have in common: constraint names and the MySQL table options."""

from __future__ import annotations

from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.orm import DeclarativeBase

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# Without a binary collation MySQL takes "KEY-a" and "key-A" for the same idempotency key.
TABLE_OPTIONS: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


def new_metadata() -> MetaData:
    """A subgraph's own metadata: ``class Base(DeclarativeBase): metadata = new_metadata()``."""
    return MetaData(naming_convention=NAMING_CONVENTION)


def table_of(model: type[DeclarativeBase]) -> Table:
    """The Core table of a declared model: statements on hot paths are written on it."""
    table = model.__table__
    assert isinstance(table, Table)
    return table
