"""Blocks with a limit of time, all on one timer."""

from __future__ import annotations

import asyncio
import time

import pytest

from router.executor.resilience.cutoff import Cutoff


async def wait(cutoff: Cutoff, seconds: float, event: asyncio.Event | None = None) -> str:
    try:
        with cutoff.at(time.monotonic() + seconds):
            await (event or asyncio.Event()).wait()
    except TimeoutError:
        return "late"
    return "done"


async def test_each_block_ends_at_its_own_limit() -> None:
    """Also the later ones, also one with a limit before the earliest known, also one that was over before it began."""
    cutoff = Cutoff()
    started = time.monotonic()
    took: list[float] = []

    async def timed(seconds: float) -> None:
        assert await wait(cutoff, seconds) == "late"
        took.append(time.monotonic() - started)

    await asyncio.gather(*(timed(seconds) for seconds in (0.12, 0.04, 0.08, -1.0)))
    assert took == sorted(took)
    assert all(limit <= found + 0.002 for limit, found in zip((0, 0.04, 0.08, 0.12), took, strict=True))


async def test_what_ends_in_time_is_left_alone() -> None:
    """Nothing is cancelled later, in a block or after it."""
    cutoff, done = Cutoff(), asyncio.Event()
    done.set()
    assert await wait(cutoff, 0.01, done) == "done"
    await asyncio.sleep(0.03)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    """Also one that comes together with the limit."""
    cutoff = Cutoff()
    task = asyncio.create_task(wait(cutoff, 60))
    both = asyncio.create_task(wait(cutoff, 0.01))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, both.cancel)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (outcome,) = await asyncio.gather(both, return_exceptions=True)
    assert outcome == "late" or isinstance(outcome, asyncio.CancelledError)


async def test_both_at_once_is_a_cancellation() -> None:
    """The one who cancelled must not be told that the task goes on."""
    cutoff = Cutoff()

    async def block() -> None:
        task = asyncio.current_task()
        assert task is not None
        call = cutoff.at(time.monotonic() + 60)
        with call:
            task.cancel()
            call.cut_off()
            await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(block())


async def test_a_block_inside_another_ends_first() -> None:
    """The outer one then goes on to its end."""
    cutoff, inner = Cutoff(), Cutoff()
    with cutoff.at(time.monotonic() + 60):
        assert await wait(inner, 0.01) == "late"


async def test_the_outer_of_two_blocks_has_its_own_limit() -> None:
    cutoff, inner, ended = Cutoff(), Cutoff(), list[str]()

    async def both() -> None:
        ended.append(await wait(inner, 0.01))
        ended.append(await wait(inner, 60))

    with pytest.raises(TimeoutError), cutoff.at(time.monotonic() + 0.03):
        await both()
    assert ended == ["late"]
