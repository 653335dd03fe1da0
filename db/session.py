"""Transactions: opened and committed here, at the edge, and nowhere else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Self, TypeVar

import stamina
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import QueuePool

from db import deadline, engine, telemetry

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.01
"""Before a transaction is tried again, at most; later pauses are longer."""

# PostgreSQL's SQLSTATEs and MySQL's numbers for: serialization failure, deadlock, lock not available in time.
_RETRYABLE_STATES = {"40001", "40P01", "55P03"}
_RETRYABLE_NUMBERS = {1205, 1213, 1020}

# SQLSTATEs of a server that cannot answer now: connections (08), resources (53), statements stopped (57).
_AWAY_CLASSES = ("08", "53", "57")


_OPEN = "dure.transaction"


@dataclass(slots=True)
class _Open:
    """A transaction that has begun."""

    database: Database
    afterwards: list[Callable[[], None]] = field(default_factory=list)


def database_of(tx: AsyncConnection) -> Database | None:
    """Where this transaction was begun, if by ``Database.transaction``."""
    known: _Open | None = tx.info.get(_OPEN)
    return None if known is None else known.database


def after_commit(tx: AsyncConnection, call: Callable[[], None]) -> None:
    """Call it once ``Database.transaction`` has committed; never after a rollback. It must not raise, nor take long."""
    tx.info[_OPEN].afterwards.append(call)


class Database:
    """A primary for writes and for whatever a decision rests on; perhaps a replica for older reads."""

    def __init__(self, primary_url: str, replica_url: str | None = None, *, pool_size: int = 10) -> None:
        self._writer = engine.writer(primary_url, pool_size=pool_size)
        self.dialect = self._writer.dialect.name
        self.name = Path(self._writer.url.database or "").stem
        shared = self.dialect != "sqlite"
        self._reader = self._writer if shared else engine.reader(primary_url)
        self._replica = engine.reader(replica_url, pool_size=pool_size) if replica_url else self._reader

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction on the primary: committed when the block ends, rolled back when it raises.

        Raises TooLate instead of beginning, or committing, what nobody waits for any more.
        """
        deadline.check()
        started = perf_counter()
        outcome = "rolled_back"
        try:
            with telemetry.span("transaction"):
                async with self._writer.begin() as connection:
                    deadline.check()  # it may have waited long for the connection
                    info = connection.info  # asked of a connection that was lost, it would raise
                    opened = info[_OPEN] = _Open(self)
                    try:
                        yield connection
                    finally:
                        info.pop(_OPEN, None)
                    deadline.check()
            deadline.lasting()
            outcome = "committed"
            for call in opened.afterwards:
                call()
        finally:
            meters = telemetry.meters()
            if meters is not None:
                meters.transactions.labels(self.name, outcome).observe(perf_counter() - started)

    def connections_in_use(self) -> int:
        """Of the primary's pool, now."""
        pool = self._writer.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """``work`` in a transaction, tried again (4 times in all) when the database asks: deadlock, lock timeout.

        ``work`` may run more than once, so it does nothing outside its transaction.
        """
        try:
            async with self.transaction() as connection:
                return await work(connection)
        except DBAPIError as error:
            if not is_retryable(error):
                raise
        await asyncio.sleep(random.uniform(0, FIRST_PAUSE_SECONDS))
        retries = stamina.retry_context(
            on=is_retryable,
            attempts=3,
            wait_initial=2 * FIRST_PAUSE_SECONDS,
            wait_jitter=0.1,
            wait_max=0.2,
            timeout=None,
        )
        async for attempt in retries:
            with attempt:
                async with self.transaction() as connection:
                    return await work(connection)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @asynccontextmanager
    async def read(self, *, stale_ok: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection to read with. ``stale_ok`` allows the replica: public lists, never a decision."""
        async with (self._replica if stale_ok else self._reader).connect() as connection:
            yield connection

    async def close(self) -> None:
        for each in {self._writer, self._reader, self._replica}:
            await each.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def is_away(error: BaseException) -> bool:
    """Whether the database could not answer now, and the same question may be answered later: no connection was free
    or to be had, it was lost, the time was up, others held the lock."""
    if isinstance(error, PoolTimeout | ConnectionError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = str(getattr(error.orig, "sqlstate", None) or "")
    gone = error.connection_invalidated or isinstance(error, OperationalError)
    return gone or state.startswith(_AWAY_CLASSES) or is_retryable(error)


def is_retryable(error: Exception) -> bool:
    """Whether the database refused a transaction only because of others that ran beside it."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    if getattr(error.orig, "sqlstate", None) in _RETRYABLE_STATES:
        return True
    first = error.orig.args[0] if error.orig.args else None
    return first in _RETRYABLE_NUMBERS or "database is locked" in str(error.orig)
