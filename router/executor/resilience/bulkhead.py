"""A bulkhead: one slow subgraph holds no more than its share of the router."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BulkheadLimits:
    """``running`` calls at once, ``waiting`` more in a queue, none of them longer than ``patience`` seconds."""

    running: int = 64
    waiting: int = 256
    patience: float = 1.0


class Full(Exception):
    """No room, and none in time."""


class Bulkhead:
    """Room for calls to one subgraph. Every ``take`` that was true and ``enter`` that returned needs one ``leave``."""

    def __init__(self, limits: BulkheadLimits) -> None:
        self._limits = limits
        self._free = limits.running
        self._queue: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take a place, if one is free."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    async def enter(self) -> None:
        """Wait for a place. Raises Full."""
        if self.take():
            return
        if len(self._queue) >= self._limits.waiting:
            raise Full
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(given)
        try:
            async with asyncio.timeout(self._limits.patience):
                await given
        except BaseException as error:
            if given.done() and not given.cancelled():
                self.leave()  # it came at the moment in which it was given up
            elif given in self._queue:
                self._queue.remove(given)
            if isinstance(error, TimeoutError):
                raise Full from None
            raise

    def leave(self) -> None:
        """Give the place back, or to who waits longest."""
        while self._queue:
            given = self._queue.popleft()
            if not given.done():
                given.set_result(None)
                return
        self._free += 1
