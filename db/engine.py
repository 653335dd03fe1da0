"""Engines with the settings that the guarantees rest on: isolation, durability, time limits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

SQL_TIMEOUT_SECONDS = 2
LOCK_TIMEOUT_SECONDS = 1
SQLITE_BUSY_SECONDS = 10


def writer(url: str | URL, *, pool_size: int = 10) -> AsyncEngine:
    """An engine on the primary. On SQLite one connection, whose transactions begin IMMEDIATE: one writer at a time."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, begin="BEGIN IMMEDIATE", pool_size=1)
    return _server(parsed, pool_size)


def reader(url: str | URL, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for reads, on the primary or on a replica."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, begin="BEGIN", pool_size=4)
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


def _sqlite(url: URL, *, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={"timeout": SQLITE_BUSY_SECONDS},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=SQLITE_BUSY_SECONDS * 3,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
