"""Background loops: they go on after failures, wake early, and end when told to. And the settings they share."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.workers import Alarm, Worker, repeat, supervise
from tests.support.waiting import eventually


class Count:
    def __init__(self, failures: int = 0) -> None:
        self.runs = 0
        self._failures = failures

    async def __call__(self) -> None:
        self.runs += 1
        if self.runs <= self._failures:
            raise RuntimeError("not yet")


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_failure_is_tried_again() -> None:
    work = Count(failures=2)
    task = asyncio.create_task(repeat("w", work, every=0.001))
    await eventually(lambda: work.runs > 4)
    await ended(task)


async def test_an_alarm_wakes_a_loop_before_its_time_and_many_rings_are_one() -> None:
    work, alarm = Count(), Alarm()
    task = asyncio.create_task(repeat("w", work, every=3600, alarm=alarm))
    await eventually(lambda: work.runs == 1)
    for _ in range(5):
        alarm.ring()
    await eventually(lambda: work.runs == 2)
    for _ in range(10):
        await asyncio.sleep(0)
    assert work.runs == 2
    await ended(task)


async def test_a_worker_that_crashes_is_started_again_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    real = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _: real(0))
    crashing, steady = Count(failures=3), Count()

    async def forever() -> None:
        await steady()
        await asyncio.Event().wait()

    task = asyncio.create_task(supervise([Worker("crashing", crashing), Worker("steady", forever)]))
    await eventually(lambda: crashing.runs == 4)
    assert steady.runs == 1
    await ended(task)


def test_urls_name_the_subgraph_and_secrets_have_no_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = CommonSettings(data_dir=tmp_path, claims_secret=SecretStr("a"), cursor_secret=SecretStr("b"))
    assert given.database_of("orders") == f"sqlite+aiosqlite:///{tmp_path}/orders.sqlite"
    assert given.replica_of("orders") is None
    monkeypatch.setenv("DURE_REPLICA_URL", "postgresql+asyncpg://r/{subgraph}")
    again = CommonSettings(claims_secret=SecretStr("a"), cursor_secret=SecretStr("b"))
    assert again.replica_of("orders") == "postgresql+asyncpg://r/orders"
    assert "hunter2" not in repr(CommonSettings(claims_secret=SecretStr("hunter2"), cursor_secret=SecretStr("b")))
    for name in ("DURE_CLAIMS_SECRET", "DURE_CURSOR_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValidationError):
        CommonSettings.model_validate({})


async def test_whoever_is_cancelled_at_the_moment_of_the_ring_is_cancelled() -> None:
    """A worker that missed it would go on, and its process with it."""
    alarm = Alarm()
    waiting = asyncio.create_task(alarm.wait(30))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    alarm.ring()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
