"""Work that ends when its client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from router.pipeline.asgi import Disconnected, Receive

T = TypeVar("T")

WATCH_AFTER = 0.25
"""Seconds. Most answers are there before anybody could leave; only for the others it pays to watch."""


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """Wait for ``work``, cancel it when the client disconnects. Raises Disconnected. The body must have been read."""
    loop = asyncio.get_running_loop()
    watching: list[asyncio.Task[None]] = []
    scope = asyncio.timeout(None)

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        scope.reschedule(loop.time())

    timer = loop.call_later(WATCH_AFTER, lambda: watching.append(loop.create_task(watch())))
    try:
        async with scope:
            return await work
    except TimeoutError:
        if scope.expired():
            raise Disconnected from None
        raise
    finally:
        timer.cancel()
        for task in watching:
            task.cancel()
