"""Transactions: all or nothing, tried again when the database asks, reads from the replica only when allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import Column, Integer, Table, insert, make_url, select, text, update
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base import TABLE_OPTIONS, new_metadata
from db.session import Database, is_away, is_retryable
from tests.conftest import serve
from tests.support import servers
from tests.support.process import free_port
from tests.support.waiting import eventually

METADATA = new_metadata()
COUNTERS = Table(
    "counters",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("value", Integer, nullable=False),
    **TABLE_OPTIONS,
)


async def _prepare(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.run_sync(METADATA.create_all)
        await tx.execute(insert(COUNTERS), [{"id": 1, "value": 0}, {"id": 2, "value": 0}])


async def _values(database: Database) -> list[int]:
    async with database.read() as connection:
        return list((await connection.execute(select(COUNTERS.c.value).order_by(COUNTERS.c.id))).scalars())


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url) as opened:
        await _prepare(opened)
        yield opened


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    """The block's exception comes out and its writes do not stay."""

    async def fail(tx: AsyncConnection) -> None:
        await tx.execute(update(COUNTERS).values(value=9))
        raise KeyError

    with pytest.raises(KeyError):
        await database.run(fail)
    assert await _values(database) == [0, 0]


async def test_concurrent_increments_all_count(database: Database) -> None:
    """Twenty transactions on one row: none is lost, on any database."""

    async def add(tx: AsyncConnection) -> None:
        await tx.execute(update(COUNTERS).where(COUNTERS.c.id == 1).values(value=COUNTERS.c.value + 1))

    await asyncio.gather(*(database.run(add) for _ in range(20)))
    assert await _values(database) == [20, 0]


class _Meeting:
    """Two transactions take one row each, wait for the other to have done so, and then want the other's row."""

    def __init__(self) -> None:
        self.arrived = 0
        self.both = asyncio.Event()
        self.tries = 0

    async def cross(self, tx: AsyncConnection, first: int, second: int) -> None:
        self.tries += 1
        await tx.execute(update(COUNTERS).where(COUNTERS.c.id == first).values(value=COUNTERS.c.value + 1))
        self.arrived += 1
        if self.arrived == 2:
            self.both.set()
        await self.both.wait()
        await tx.execute(update(COUNTERS).where(COUNTERS.c.id == second).values(value=COUNTERS.c.value + 1))


async def test_run_tries_again_after_a_deadlock(server_database_url: str) -> None:
    """The database ends one of two crossed transactions; both take effect in the end, each once."""
    async with Database(server_database_url) as database:
        await _prepare(database)
        meeting = _Meeting()
        await asyncio.gather(
            database.run(lambda tx: meeting.cross(tx, 1, 2)), database.run(lambda tx: meeting.cross(tx, 2, 1))
        )
        assert await _values(database) == [2, 2]
        assert meeting.tries > 2, "there was no deadlock to recover from"


async def test_without_run_a_deadlock_reaches_the_caller(server_database_url: str) -> None:
    """The control: it is a real deadlock, and it is one that ``is_retryable`` knows."""
    async with Database(server_database_url) as database:
        await _prepare(database)
        meeting = _Meeting()

        async def cross(first: int, second: int) -> None:
            async with database.transaction() as tx:
                await meeting.cross(tx, first, second)

        outcomes = await asyncio.gather(cross(1, 2), cross(2, 1), return_exceptions=True)
        errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert errors
        assert all(is_retryable(error) for error in errors)


async def test_other_errors_are_not_tried_again(database: Database) -> None:
    """A statement that is wrong is wrong the second time too."""
    tries = 0

    async def wrong(tx: AsyncConnection) -> None:
        nonlocal tries
        tries += 1
        await tx.execute(text("SELECT * FROM nowhere"))

    with pytest.raises(DBAPIError):
        await database.run(wrong)
    assert tries == 1


@pytest.mark.integration
async def test_stale_reads_go_to_the_replica_and_others_do_not(
    postgres_database_url: str, postgres_replica_database_url: str
) -> None:
    """``read(stale_ok=True)`` is served by the standby, which follows; everything else by the primary."""
    async with Database(postgres_database_url, postgres_replica_database_url) as database:
        await _prepare(database)

        async def replica_has_it() -> bool:
            try:
                async with database.read(stale_ok=True) as connection:
                    return len((await connection.execute(select(COUNTERS))).all()) == 2
            except DBAPIError:
                return False

        await eventually(replica_has_it)
        standby = text("SELECT pg_is_in_recovery()")
        async with database.read(stale_ok=True) as connection:
            assert (await connection.execute(standby)).scalar_one() is True
        async with database.read() as connection:
            assert (await connection.execute(standby)).scalar_one() is False
        async with database.transaction() as tx:
            assert (await tx.execute(standby)).scalar_one() is False


async def test_a_database_that_is_away_is_told_from_a_wrong_statement(
    server_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens, all connections are taken, a statement takes too long: away. A syntax error is a bug."""
    monkeypatch.setattr("db.engine.SQL_TIMEOUT_SECONDS", 1)
    async with Database(server_database_url, pool_size=1) as database:
        with pytest.raises(DBAPIError) as wrong:
            async with database.read() as connection:
                await connection.execute(text("SELEKT 1"))
        assert not is_away(wrong.value)
        sleep = "pg_sleep" if database.dialect == "postgresql" else "sleep"
        async with database.read() as connection:
            with pytest.raises(Exception) as crowded:  # noqa: PT011
                async with database.read():
                    pass
            assert is_away(crowded.value)
            with pytest.raises(DBAPIError) as late:
                await connection.execute(text(f"SELECT {sleep}(9)"))
            assert is_away(late.value)
    nobody = server_database_url.replace(f":{make_url(server_database_url).port}/", f":{free_port()}/")
    async with Database(nobody) as database:
        with pytest.raises(Exception) as gone:  # noqa: PT011
            async with database.read():
                pass
        assert is_away(gone.value)


async def test_a_cancelled_transaction_ends_as_cancelled(server_database_url: str) -> None:
    """Cancelled in the middle of a statement, which costs the connection: no other error takes the place of that."""
    async with Database(server_database_url) as database:
        sleep = "pg_sleep" if database.dialect == "postgresql" else "sleep"
        began = asyncio.Event()

        async def work(tx: AsyncConnection) -> None:
            began.set()
            await tx.execute(text(f"SELECT {sleep}(1)"))

        task = asyncio.create_task(database.run(work))
        await began.wait()
        await asyncio.wait([task], timeout=0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
def own_postgres() -> Iterator[servers.Restartable]:
    """A PostgreSQL that a test may stop."""
    yield from serve(servers.postgres_restartable())


@pytest.mark.integration
async def test_connections_that_a_restart_closed_are_not_used_again(own_postgres: servers.Restartable) -> None:
    """The server was restarted between two transactions: the second has a new connection, and does not fail."""
    async with Database(own_postgres.url) as database:
        await _prepare(database)
        await asyncio.to_thread(own_postgres.process.stop)
        await asyncio.to_thread(own_postgres.process.start)
        assert await _values(database) == [0, 0]


async def _pings(database: Database, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a connection is pinged for two reads in a row."""
    pings = 0
    ping = AsyncAdapt_asyncpg_connection.ping

    def counted(connection: AsyncAdapt_asyncpg_connection) -> None:
        nonlocal pings
        pings += 1
        ping(connection)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(AsyncAdapt_asyncpg_connection, "ping", counted)
    await _values(database)
    await _values(database)
    return pings


async def test_a_connection_in_use_is_not_pinged(postgres_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was used a moment ago answers without having been asked whether it would."""
    async with Database(postgres_database_url) as database:
        await _prepare(database)
        assert await _pings(database, monkeypatch) == 0


async def test_a_connection_unseen_for_long_is_pinged(
    postgres_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lay idle for long may have been cut off without a word: it is asked before it is used."""
    monkeypatch.setattr("db.engine.UNSEEN_SECONDS", -1.0)
    async with Database(postgres_database_url) as database:
        await _prepare(database)
        assert await _pings(database, monkeypatch) == 2
