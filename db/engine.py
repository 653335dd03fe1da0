"""Engines with the settings that the guarantees rest on: isolation, durability, time limits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from db import sqlite

SQL_TIMEOUT_SECONDS = 2
LOCK_TIMEOUT_SECONDS = 1


def writer(url: str | URL, *, pool_size: int = 10) -> AsyncEngine:
    """An engine on the primary. On SQLite one connection, whose transactions begin IMMEDIATE: one writer at a time."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, "writer", pool_size=1)
    return _server(parsed, pool_size)


def reader(url: str | URL, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for reads, on the primary or on a replica."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, "reader", pool_size=4)
    return _server(parsed, pool_size)


def _server(url: URL, pool_size: int) -> AsyncEngine:
    options: dict[str, Any] = {}
    if url.get_backend_name() == "postgresql":
        limits = {
            "statement_timeout": str(SQL_TIMEOUT_SECONDS * 1000),
            "lock_timeout": str(LOCK_TIMEOUT_SECONDS * 1000),
            "idle_in_transaction_session_timeout": "10000",
        }
        options["connect_args"] = {"server_settings": limits, "timeout": 5}
    else:
        setup = f"SET innodb_lock_wait_timeout={LOCK_TIMEOUT_SECONDS}, max_statement_time={SQL_TIMEOUT_SECONDS}"
        options["connect_args"] = {
            "init_command": setup + ", time_zone='+00:00', max_error_count=65535",
            "connect_timeout": 5,
        }
    return create_async_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=SQL_TIMEOUT_SECONDS,
        pool_pre_ping=True,
        **options,
    )


def _sqlite(url: URL, driver: str, *, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url.set(drivername=f"sqlite+{driver}"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=sqlite.BUSY_SECONDS * 3,
    )
