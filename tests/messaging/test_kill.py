"""Killed between any two steps and started again, a process loses no event and repeats no effect."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from ulid import ULID

from db.session import Database
from tests.messaging import world
from tests.messaging.conftest import delete_queues

ROOT = Path(__file__).parents[2]
FAILPOINTS = [
    "outbox.after_commit",
    "outbox.after_commit:4",
    "relay.after_claim",
    "relay.after_claim:5",
    "relay.after_publish",
    "relay.after_publish:2",
    "consumer.before_commit",
    "consumer.before_commit:3",
    "consumer.after_commit",
]
COUNT = 30


async def run_victim(database_url: str, where: str, failpoint: str) -> int | None:
    env = {**os.environ, "DURE_FAILPOINT": failpoint}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.messaging.victim",
        database_url,
        where,
        str(COUNT),
        env=env,
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return await asyncio.wait_for(child.wait(), 60)
    finally:
        if child.returncode is None:
            child.kill()


async def killed_and_restarted(database_url: str, where: str, failpoint: str) -> None:
    assert await run_victim(database_url, where, failpoint) == -signal.SIGKILL, "the failpoint was not reached"
    assert await run_victim(database_url, where, "") == 0
    async with Database(database_url) as database:
        assert await world.effects(database) == {f"O{n}": 1 for n in range(COUNT)}
        assert await world.unpublished(database) == []
        assert await world.buried(database) == []


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_in_memory_on_sqlite(sqlite_database_url: str, failpoint: str) -> None:
    """The all-in-one process: nothing but its files outlives it."""
    await killed_and_restarted(sqlite_database_url, "memory", failpoint)


@pytest.mark.integration
@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_with_rabbitmq_on_postgresql(rabbitmq_url: str, postgres_database_url: str, failpoint: str) -> None:
    """The worker of a subgraph: its broker and its database live on."""
    await _with_rabbitmq(rabbitmq_url, postgres_database_url, failpoint)


@pytest.mark.integration
@pytest.mark.parametrize("failpoint", ["relay.after_publish", "consumer.before_commit", "consumer.after_commit"])
async def test_with_rabbitmq_on_mariadb(rabbitmq_url: str, mariadb_database_url: str, failpoint: str) -> None:
    """The same on MariaDB, where publishing, handling and acknowledging fall apart."""
    await _with_rabbitmq(rabbitmq_url, mariadb_database_url, failpoint)


async def _with_rabbitmq(rabbitmq_url: str, database_url: str, failpoint: str) -> None:
    queue = f"dure.test-{str(ULID()).lower()}"
    try:
        await killed_and_restarted(database_url, f"{rabbitmq_url}|{queue}", failpoint)
    finally:
        await delete_queues(rabbitmq_url, [queue])
