"""A bulkhead never has more inside than it may, and never loses a place."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.executor.resilience.bulkhead import Bulkhead, BulkheadLimits, Full


async def test_who_waits_is_let_in_in_order() -> None:
    bulkhead = Bulkhead(BulkheadLimits(running=1, waiting=2, patience=5))
    assert bulkhead.take()
    entered: list[int] = []

    async def enter(number: int) -> None:
        await bulkhead.enter()
        entered.append(number)
        bulkhead.leave()

    waiting = [asyncio.create_task(enter(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(Full):
        await bulkhead.enter()
    bulkhead.leave()
    await asyncio.gather(*waiting)
    assert entered == [1, 2]


async def test_patience_ends() -> None:
    """Nobody waits longer, and the place is not theirs afterwards."""
    bulkhead = Bulkhead(BulkheadLimits(running=1, waiting=1, patience=0.01))
    assert bulkhead.take()
    with pytest.raises(Full):
        await bulkhead.enter()
    bulkhead.leave()
    assert bulkhead.take()
    assert not bulkhead.take()


async def test_a_place_that_comes_with_a_cancellation_goes_to_the_next() -> None:
    bulkhead = Bulkhead(BulkheadLimits(running=1, waiting=2, patience=5))
    assert bulkhead.take()
    first, second = (asyncio.create_task(bulkhead.enter()) for _ in range(2))
    await asyncio.sleep(0)
    bulkhead.leave()  # the place is the first one's now
    first.cancel()
    await asyncio.wait_for(second, 5)
    assert first.cancelled() or isinstance((await asyncio.gather(first, return_exceptions=True))[0], BaseException)
    bulkhead.leave()
    assert bulkhead.take()


@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "cancel", "turn"]), st.integers(0, 9)), max_size=60))
def test_no_place_is_lost_or_made(moves: list[tuple[str, int]]) -> None:
    """Whoever enters, leaves or gives up, and whenever."""

    async def play() -> None:
        bulkhead = Bulkhead(BulkheadLimits(running=3, waiting=4, patience=60))
        inside = 0
        waiting: list[asyncio.Task[None]] = []

        async def enter() -> None:
            nonlocal inside
            await bulkhead.enter()
            inside += 1
            assert inside <= 3

        for move, which in moves:
            if move == "enter":
                waiting.append(asyncio.create_task(enter()))
            elif move == "leave" and inside:
                inside -= 1
                bulkhead.leave()
            elif move == "cancel" and waiting:
                waiting[which % len(waiting)].cancel()
            else:
                await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        while inside:
            inside -= 1
            bulkhead.leave()
        assert [bulkhead.take() for _ in range(4)] == [True, True, True, False]

    asyncio.run(play())
