"""A bulkhead: one slow subgraph holds no more than its share of the router."""

from __future__ import annotations

import asyncio
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
    """Room for calls to one subgraph. Every ``enter`` that returned needs one ``leave``."""

    def __init__(self, limits: BulkheadLimits) -> None:
        self._limits = limits
        self._room = asyncio.Semaphore(limits.running)
        self._waiting = 0

    async def enter(self) -> None:
        """Take a place, or wait for one. Raises Full."""
        if not self._room.locked():
            await self._room.acquire()
            return
        if self._waiting >= self._limits.waiting:
            raise Full
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.patience):
                await self._room.acquire()
        except TimeoutError:
            raise Full from None
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Give the place back."""
        self._room.release()
