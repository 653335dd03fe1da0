"""Work for a caller who may stop waiting: because the time that they gave is over, or because they have gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from starlette.types import Receive

T = TypeVar("T")

TIMEOUT_HEADER = "router-timeout-ms"
"""Milliseconds until the router stops waiting; no point in time, because clocks of two machines differ."""

LOOK_AFTER = 0.05
"""Seconds. Most answers are there sooner than anybody could leave."""


class Gone(Exception):
    """Nobody is there to be answered."""


def patience(headers: Mapping[str, str]) -> float | None:
    """Seconds that the caller waits. None: they do not say, or not in a number."""
    value = headers.get(TIMEOUT_HEADER, "")
    return int(value) / 1000 if value.isascii() and value.isdigit() and len(value) <= 9 else None


async def disconnected(receive: Receive) -> None:
    """Until the caller has gone. Their request has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_wanted(receive: Receive, seconds: float | None, work: Awaitable[T]) -> T:
    """``work``, cancelled when nobody waits for it. Raises TimeoutError when it took too long, Gone."""
    scope = asyncio.timeout(seconds)
    caller = _Caller(receive, scope)
    try:
        async with scope:
            return await work
    except TimeoutError:
        if caller.gone:
            raise Gone from None
        raise
    finally:
        caller.let_be()


class _Caller:
    """Watched after a while; ends the scope when they go."""

    def __init__(self, receive: Receive, scope: asyncio.Timeout) -> None:
        self.gone = False
        self._receive = receive
        self._scope = scope
        self._watching: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(LOOK_AFTER, self._watch)

    def let_be(self) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _watch(self) -> None:
        self._watching = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        await disconnected(self._receive)
        if not self._scope.expired():
            self.gone = True
            self._scope.reschedule(asyncio.get_running_loop().time())
