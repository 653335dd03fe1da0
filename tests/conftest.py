"""Fixtures for every test: servers started on first use, fresh databases, and the flag that rewrites golden files."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from messaging import outbox
from messaging.envelope import decode_data
from messaging.events import EventData
from messaging.handover import Recorded
from tests.support import servers
from tests.support.databases import drop_database, fresh_database, on_server
from tests.support.process import Unavailable

T = TypeVar("T")

# Machines of very different speed run this: a slow example is no failure. In CI the examples are the same every time;
# elsewhere each run tries others.
settings.register_profile("dure", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("dure")

# Tests ask faster than people do, all from one address. Those of the rate limits turn them on.
os.environ.setdefault("ROUTER_RATE_LIMITS__ENABLED", "false")

# Keys of personal data, for processes that are started without the `dure` command.
os.environ.setdefault("DURE_DATA_KEYS", "t1:" + "dGVzdGtleXRlc3RrZXl0ZXN0a2V5dGVzdGtleTAxMjM=")
os.environ.setdefault("DURE_INDEX_KEY", "index-key-of-the-tests-0123456789")


@pytest.fixture(autouse=True, scope="session")
def told_as_the_wire_would_bring_it() -> Iterator[None]:
    """Whatever a test has told is such that a handler in the same process gets just what another process's would."""
    record = outbox._recorded

    def recorded(source: str, data: EventData, now: datetime, traceparent: str | None) -> Recorded:
        event = record(source, data, now, traceparent)
        assert decode_data(event.type, event.data) == data, f"{event.type} changes on its way: {data}"
        return event

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outbox, "_recorded", recorded)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files with what the code gives now")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether to rewrite golden files instead of comparing."""
    return bool(request.config.getoption("--update-golden"))


def serve(server: AbstractContextManager[T]) -> Iterator[T]:
    """A server for a fixture: where it cannot be had the test is skipped, or fails if services are required."""
    try:
        started = server.__enter__()
    except Unavailable as reason:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))
    try:
        yield started
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[servers.Postgres]:
    yield from serve(servers.postgres_with_replica())


@pytest.fixture(scope="session")
def postgres_url(postgres_servers: servers.Postgres) -> str:
    """A PostgreSQL primary."""
    return postgres_servers.url


@pytest.fixture(scope="session")
def postgres_replica_url(postgres_servers: servers.Postgres) -> str:
    """The streaming replica of ``postgres_url``."""
    return postgres_servers.replica_url


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """A MariaDB server."""
    yield from serve(servers.mariadb())


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    """A RabbitMQ server, shared: a test deletes the queues it made."""
    yield from serve(servers.rabbitmq())


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server, shared: a test uses keys of its own."""
    yield from serve(servers.redis())


@pytest.fixture
async def postgres_database_url(postgres_url: str) -> AsyncIterator[str]:
    """A fresh database on the PostgreSQL primary."""
    url = await fresh_database(postgres_url)
    yield url
    await drop_database(url)


@pytest.fixture
def postgres_replica_database_url(postgres_database_url: str, postgres_replica_url: str) -> str:
    """The replica's copy of ``postgres_database_url``."""
    return on_server(postgres_replica_url, postgres_database_url)


@pytest.fixture
async def mariadb_database_url(mariadb_url: str) -> AsyncIterator[str]:
    """A fresh database on MariaDB."""
    url = await fresh_database(mariadb_url)
    yield url
    await drop_database(url)


@pytest.fixture
def sqlite_database_url(tmp_path: Path) -> str:
    """A fresh SQLite file."""
    return f"sqlite+aiosqlite:///{tmp_path}/test.db"


SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.integration),
    pytest.param("mariadb", marks=pytest.mark.integration),
]


@pytest.fixture(params=["sqlite", *SERVERS])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A fresh, empty database on SQLite, PostgreSQL and MariaDB in turn."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/test.db"
        return
    url = await fresh_database(
        request.getfixturevalue("postgres_url" if request.param == "postgresql" else "mariadb_url")
    )
    yield url
    await drop_database(url)


@pytest.fixture(params=SERVERS)
async def server_database_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A fresh, empty database on PostgreSQL and MariaDB in turn: where two writers meet."""
    url = await fresh_database(
        request.getfixturevalue("postgres_url" if request.param == "postgresql" else "mariadb_url")
    )
    yield url
    await drop_database(url)
