"""Engines with the settings that the guarantees rest on: isolation, durability, time limits."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from db import sqlite

SQL_TIMEOUT_SECONDS = 2
LOCK_TIMEOUT_SECONDS = 1

UNSEEN_SECONDS = 10.0
"""A PostgreSQL connection that was used since needs no ping: a server that ends says so to the open socket."""


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
    postgres = url.get_backend_name() == "postgresql"
    if postgres:
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
    made = create_async_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=SQL_TIMEOUT_SECONDS,
        pool_use_lifo=True,  # few connections that have their statements planned, rather than all in turn
        pool_pre_ping=not postgres,
        **options,
    )
    if postgres:
        _ping_the_unseen(made)
    return made


def _ping_the_unseen(made: AsyncEngine) -> None:
    """SQLAlchemy's ping is a transaction of its own, three round trips before every one of ours. Here a connection is
    pinged when it has not been used for long; else it is enough that its socket is open."""

    def taken(connection: Any, record: Any, _fairy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server has closed the connection")
        if time.monotonic() - record.info.get("seen", 0.0) > UNSEEN_SECONDS:
            try:
                connection.ping()
            except Exception as error:
                raise DisconnectionError("the server does not answer") from error

    def given_back(_connection: Any, record: Any) -> None:
        record.info["seen"] = time.monotonic()

    event.listen(made.sync_engine, "checkout", taken)
    event.listen(made.sync_engine, "checkin", given_back)
    event.listen(made.sync_engine, "connect", given_back)


def _sqlite(url: URL, driver: str, *, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url.set(drivername=f"sqlite+{driver}"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=sqlite.BUSY_SECONDS * 3,
    )
