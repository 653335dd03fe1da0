"""SQLite without a thread for each statement: what is quick runs where it is asked for, only waiting is done elsewhere.

A statement of a batch takes microseconds; handing it to a thread and back takes ten times as long. So the writer's
statements run in the event loop's thread, and a thread waits for the disk (COMMIT) and for other processes (BEGIN).
A read runs here too, as long as it is cheap: after STEPS_HERE steps of SQLite's machine, or up to twice as many, it is
begun anew in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, ClassVar, Self, TypeVar, cast

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool
from sqlalchemy.util.concurrency import await_

from db.driver import sqlite3

T = TypeVar("T")

BUSY_SECONDS = 10
STEPS_HERE = 20_000
"""Of SQLite's virtual machine: a millisecond, about."""

SLOW_REMEMBERED = 1_000
"""Statements that are known to take longer."""

PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY")
WRITER_PRAGMAS = ("cache_size=-32768", "wal_autocheckpoint=4000")
"""KiB, and pages. A batch touches hundreds of pages of many indexes: they are not to be read again for each, nor
brought into the file."""


class _Connection(sqlite3.Connection):
    pragmas: ClassVar[tuple[str, ...]] = ()

    def directly(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute it past SQLAlchemy's cursors, in the thread that calls."""
        return sqlite3.Connection.cursor(self).execute(sql, parameters)


class WriterConnection(_Connection):
    """Transactions begin IMMEDIATE: one writer at a time."""

    pragmas: ClassVar[tuple[str, ...]] = WRITER_PRAGMAS
    _changes = 0

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _WriterCursor)

    def begin(self) -> None:
        """Take the write lock: at once or, when another process has it, wait for it in a thread."""
        self._changes = self.total_changes
        try:
            self.directly("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            in_thread(self._wait)

    def _wait(self) -> None:
        with _patient(self):
            self.directly("BEGIN IMMEDIATE")

    def end(self) -> None:
        """Commit, durably; for what has changed nothing no disk is waited for."""
        if self.total_changes == self._changes:
            self.commit()
        elif self.in_transaction:
            in_thread(self.commit)

    def run(self, sql: str, parameters: Sequence[Any]) -> tuple[list[Any], int]:
        """A statement past SQLAlchemy: its rows, and how many it changed. Raises SQLAlchemy's errors."""
        try:
            cursor = self.directly(sql, parameters)
            return cursor.fetchall(), cursor.rowcount
        except sqlite3.Error as error:
            raise _as_sqlalchemys(error, sql) from error

    def run_many(self, sql: str, rows: Sequence[Any]) -> int:
        """The same for each of the rows, where SQLAlchemy would do no more than count them."""
        cursor = super().cursor()
        try:
            return cursor.executemany(sql, rows).rowcount
        except sqlite3.Error as error:
            raise _as_sqlalchemys(error, sql) from error


def _as_sqlalchemys(error: sqlite3.Error, sql: str) -> BaseException:
    return DBAPIError.instance(sql, (), error, sqlite3.Error, hide_parameters=True)


class ReaderConnection(_Connection):
    """Transactions that only read."""

    slow: ClassVar[set[str]] = set()

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _ReaderCursor)

    def begin(self) -> None:
        self.directly("BEGIN")

    def end(self) -> None:
        self.commit()


class _AtOnce(Awaitable[None]):
    """Awaited, it is there: SQLAlchemy wants every statement to have been awaited."""

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


_AT_ONCE = _AtOnce()


class _Cursor(sqlite3.Cursor):
    """Fetches all rows with the statement, before another one may change them."""

    _rows: Iterator[Any] = iter(())

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return list(islice(self._rows, self.arraysize if size is None else size))

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    async def _async_soft_close(self) -> None:
        """SQLAlchemy calls it when the rows are there."""

    def _run(self, sql: str, parameters: Any) -> None:
        super().execute(sql, parameters)
        self._rows = iter(super().fetchall())


class _WriterCursor(_Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        self._run(sql, parameters)
        await_(_AT_ONCE)
        return self

    def executemany(self, sql: str, parameters: Any, /) -> Self:
        super().executemany(sql, parameters)
        await_(_AT_ONCE)
        return self


class _ReaderCursor(_Cursor):
    connection: ReaderConnection

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        if sql in self.connection.slow or not self._is_quick(sql, parameters):
            in_thread(lambda: self._run_patiently(sql, parameters), self.connection.interrupt)
        else:
            await_(_AT_ONCE)
        return self

    def _is_quick(self, sql: str, parameters: Any) -> bool:
        """Whether it could be run here."""
        connection, slow = self.connection, self.connection.slow
        # SQLite counts a statement's steps on from one execution to the next: the first call may come at any moment.
        calls = iter((0,))
        connection.set_progress_handler(lambda: next(calls, 1), STEPS_HERE)
        try:
            self._run(sql, parameters)
            return True
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname == "SQLITE_INTERRUPT":
                if len(slow) >= SLOW_REMEMBERED:
                    slow.clear()
                slow.add(sql)
            elif not is_busy(error):
                raise
            return False
        finally:
            connection.set_progress_handler(None, 0)

    def _run_patiently(self, sql: str, parameters: Any) -> None:
        with _patient(self.connection):
            self._run(sql, parameters)


@contextmanager
def _patient(connection: _Connection) -> Iterator[None]:
    """Other processes are waited for. In a thread only."""
    connection.directly(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    try:
        yield
    finally:
        connection.directly("PRAGMA busy_timeout=0")


def writer_of(tx: AsyncConnection) -> WriterConnection | None:
    """The connection below a transaction on SQLite."""
    if tx.dialect.name != "sqlite" or tx.sync_connection is None:
        return None
    below = tx.sync_connection.connection.driver_connection
    return below if isinstance(below, WriterConnection) and below.in_transaction else None


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process is in the way."""
    return error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def in_thread(work: Callable[[], T], interrupt: Callable[[], None] | None = None) -> T:
    """``work`` in a thread, waited for by the coroutine around. Inside SQLAlchemy's greenlets only."""
    return await_(_finished(work, interrupt))


async def _finished(work: Callable[[], T], interrupt: Callable[[], None] | None) -> T:
    """Its result. Whoever is cancelled meanwhile leaves only when the thread has done with the connection."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome[:] = (work(), None)
        except BaseException as error:
            outcome[:] = (None, error)
        loop.call_soon_threadsafe(done.set)

    _THREADS.submit(run)
    cancelled: asyncio.CancelledError | None = None
    while not outcome:
        try:
            await done.wait()
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
            if interrupt is not None:
                interrupt()
    result, failure = outcome
    if cancelled is not None:
        raise cancelled
    if failure is not None:
        raise failure
    return cast(T, result)


class _Threads:
    """Threads that wait for a disk or for another process. Lighter than an executor: nothing is asked of a job but to
    be run. They are daemons: a process that ends waits for no lock."""

    def __init__(self, most: int = 64) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._most = most
        self._count = 0
        self._open = 0
        self._lock = Lock()

    def submit(self, job: Callable[[], None]) -> None:
        """Run it, which raises nothing, at once: behind another job it might wait for what that one waits for."""
        with self._lock:
            self._open += 1
            one_more = self._count < min(self._open, self._most)
            self._count += one_more
        self._jobs.put(job)
        if one_more:
            Thread(target=self._work, name="sqlite", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            with self._lock:
                self._open -= 1


_THREADS = _Threads()


class _Dialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's dialect for sqlite3 itself, driven from an event loop."""

    is_async = True
    supports_statement_cache = True
    kind: ClassVar[type[WriterConnection] | type[ReaderConnection]]

    @classmethod
    def import_dbapi(cls) -> Any:
        return sqlite3

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        return AsyncAdaptedQueuePool

    def connect(self, *arguments: Any, **options: Any) -> Any:
        return in_thread(lambda: _open(self.kind, *arguments, **options))

    def get_driver_connection(self, connection: Any) -> Any:
        return connection

    def do_begin(self, dbapi_connection: Any) -> None:
        dbapi_connection.begin()

    def do_commit(self, dbapi_connection: Any) -> None:
        dbapi_connection.end()


class Writer(_Dialect):
    """``sqlite+writer``"""

    driver = "writer"
    supports_statement_cache = True
    kind = WriterConnection


class Reader(_Dialect):
    """``sqlite+reader``"""

    driver = "reader"
    supports_statement_cache = True
    kind = ReaderConnection


def _open(kind: type[WriterConnection] | type[ReaderConnection], *arguments: Any, **options: Any) -> _Connection:
    # isolation_level None: the driver must not begin transactions of its own.
    given = options | {"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": False}
    connection = sqlite3.connect(*arguments, factory=kind, cached_statements=512, **given)
    for pragma in (*PRAGMAS, *kind.pragmas):
        connection.directly(f"PRAGMA {pragma}")
    connection.directly("PRAGMA busy_timeout=0")
    return connection


registry.register("sqlite.writer", __name__, "Writer")
registry.register("sqlite.reader", __name__, "Reader")
