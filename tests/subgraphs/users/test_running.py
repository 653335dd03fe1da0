"""Users as a running whole: its workers, and what survives a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from sqlalchemy import select

from messaging.events.users import UserChanged
from subgraphs.kit.workers import supervise
from subgraphs.users.models import mails, outbox, signing_keys, users
from tests.subgraphs.users.conftest import World
from tests.support.waiting import eventually

PROJECT = Path(__file__).parents[3]


async def test_the_workers_send_mails_make_keys_and_publish(world: World) -> None:
    world.runtime.broker._unrouted = frozenset({UserChanged.type})  # type: ignore[attr-defined]
    await world.register("buyer@example.com")
    running = asyncio.create_task(supervise(list(world.subgraph.workers)))
    try:
        await eventually(lambda: _all_sent(world))
        assert await world.rows(signing_keys)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _all_sent(world: World) -> bool:
    sent = await world.column(select(mails.c.status)) == ["SENT"]
    return sent and None not in await world.column(select(outbox.c.published_at))


async def test_a_process_killed_right_after_registering_has_lost_nothing(
    world: World, sqlite_database_url: str
) -> None:
    killed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.subgraphs.users.victim",
        sqlite_database_url,
        cwd=PROJECT,
        env={**os.environ, "DURE_FAILPOINT": "users.register.after_commit"},
    )
    async with asyncio.timeout(60):
        assert await killed.wait() == -signal.SIGKILL
    assert len(await world.rows(users)) == 1
    assert [each["kind"] for each in await world.mails("victim@example.com")] == ["VERIFY_EMAIL"]
    assert len(await world.told(UserChanged)) == 1
    assert (await world.log_in("victim@example.com"))["tokens"]
