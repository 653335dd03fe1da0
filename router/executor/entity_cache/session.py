"""The cache as one request sees it: its store, and who asks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from router.executor.entity_cache.store import Entry, Found, Stamp, Store, StoreDown
from router.telemetry import Telemetry

Flight = asyncio.Future[bytes | None]
"""An entry on its way: its data, or None if the subgraph gave nothing that could be shared."""


@dataclass(slots=True)
class Cache:
    """A router's cache: a store, and the fetches that are on their way to it."""

    store: Store
    telemetry: Telemetry | None = None
    flights: dict[tuple[bytes, int], Flight] = field(default_factory=dict)
    tasks: set[asyncio.Task[object]] = field(default_factory=set)

    async def look_up(self, keys: Sequence[bytes]) -> Found | None:
        """What is there; None when the store is down."""
        try:
            return await self.store.look_up(keys)
        except StoreDown:
            self._down()
            return None

    async def keep(self, stamp: Stamp, entries: Sequence[Entry]) -> None:
        """Store, if the store is up."""
        try:
            await self.store.keep(stamp, entries)
        except StoreDown:
            self._down()

    def landed(self, task: asyncio.Task[object]) -> None:
        """A flight is over. Its failure has been told to those who waited, if any."""
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()

    def count(self, subgraph: str, found: Iterable[tuple[str, bool]]) -> None:
        """Take down what a look-up brought: types, and whether what was looked for was there."""
        if self.telemetry is not None:
            for (type_name, hit), number in Counter(found).items():
                self.telemetry.cached(subgraph, type_name, hit=hit, number=number)

    async def close(self) -> None:
        """Let go of everything."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.store.close()

    def _down(self) -> None:
        if self.telemetry is not None:
            self.telemetry.cache_down()


@dataclass(frozen=True, slots=True)
class CacheSession:
    """One request's use of the cache.

    ``nobody``: the headers of an anonymous caller. What is public is asked for with these, so that nothing can get
    into a shared entry that a stranger may not see. ``caller`` names the caller with all that authorization looks at;
    None for an anonymous one. ``vary``: the headers that may change an answer.
    """

    cache: Cache
    nobody: dict[str, str]
    caller: bytes | None
    vary: bytes
