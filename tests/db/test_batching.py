"""Group commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from db.batching import GroupCommit


class Books:
    """Commits batches of numbers; refuses odd ones, and breaks on any batch with a 13."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.kept: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, commands: Sequence[int]) -> list[str | Exception]:
        self.batches.append(list(commands))
        await self.gate.wait()
        if 13 in commands:
            raise RuntimeError("the transaction broke")
        self.kept += commands
        return [ValueError(f"{each} is odd") if each % 2 else f"kept {each}" for each in commands]


async def test_an_idle_batcher_runs_one_at_once_and_what_comes_meanwhile_together() -> None:
    books = Books()
    books.gate.clear()
    together = GroupCommit(books.run, limit=3)
    waiting = [asyncio.create_task(together.submit(2))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting += [asyncio.create_task(together.submit(each)) for each in (4, 6, 8, 10)]
    await asyncio.sleep(0)
    books.gate.set()
    assert await asyncio.gather(*waiting) == ["kept 2", "kept 4", "kept 6", "kept 8", "kept 10"]
    assert books.batches == [[2], [4, 6, 8], [10]]
    assert await together.submit(12) == "kept 12", "an idle batcher starts again"


async def test_after_a_batch_the_next_gathers_until_the_time_is_up_or_it_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch took an hour, so the next has an hour to gather; it begins when nothing more would go into it."""
    now = 0.0
    monkeypatch.setattr("db.batching.REST_SECONDS", 3600.0)
    monkeypatch.setattr("db.batching.time", SimpleNamespace(monotonic=lambda: now))

    class Slow(Books):
        async def run(self, commands: Sequence[int]) -> list[str | Exception]:
            nonlocal now
            now += 3600.0
            return await super().run(commands)

    books = Slow()
    together = GroupCommit(books.run, limit=3)
    await together.submit(2)
    waiting = [asyncio.create_task(together.submit(each)) for each in (4, 6)]
    done, _ = await asyncio.wait(waiting, timeout=0.05)
    assert (done, books.batches) == (set(), [[2]])
    await asyncio.wait_for(asyncio.gather(*waiting, together.submit(8)), 10)
    now += 3600.0
    await asyncio.wait_for(together.submit(10), 10)
    assert books.batches == [[2], [4, 6, 8], [10]]


async def test_each_gets_its_own_answer() -> None:
    together = GroupCommit(Books().run)
    kept, refused = await asyncio.gather(together.submit(2), together.submit(3), return_exceptions=True)
    assert kept == "kept 2"
    assert isinstance(refused, ValueError)


async def test_one_that_breaks_the_transaction_does_not_take_the_others_with_it() -> None:
    books = Books()
    together = GroupCommit(books.run)
    results = await asyncio.gather(*(together.submit(each) for each in (2, 13, 4)), return_exceptions=True)
    assert (results[0], results[2]) == ("kept 2", "kept 4")
    assert isinstance(results[1], RuntimeError)
    assert books.kept == [2, 4]
    with pytest.raises(RuntimeError):
        await together.submit(13)
    assert await together.submit(6) == "kept 6"


async def test_a_caller_who_leaves_disturbs_nobody() -> None:
    books = Books()
    books.gate.clear()
    together = GroupCommit(books.run)
    leaving, staying = asyncio.create_task(together.submit(2)), asyncio.create_task(together.submit(4))
    await asyncio.sleep(0)
    leaving.cancel()
    books.gate.set()
    assert await staying == "kept 4"
    assert leaving.cancelled()
    assert sorted(books.kept) == [2, 4], "what was handed over is done"


async def test_a_batch_weighs_no_more_than_the_limit_unless_one_alone_does() -> None:
    books = Books()
    commits = GroupCommit(books.run, limit=100, weight=lambda command: command)
    await asyncio.gather(*(commits.submit(command) for command in (40, 60, 2, 300, 98, 4)))
    assert books.batches == [[40, 60], [2], [300], [98], [4]]
