"""``python -m tests.router.unguarded serve ...``: the router with its cache's guard off, for a test to be caught by.

What was fetched is stored as if it had been fetched now: a slow answer refills what was purged meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from router.__main__ import app
from router.executor.entity_cache.redis_store import RedisStore
from router.executor.entity_cache.store import Entry, Stamp

_keep = RedisStore.keep


async def _keep_as_new(self: RedisStore, stamp: Stamp, entries: Sequence[Entry]) -> None:
    await _keep(self, (await self.look_up([])).stamp, entries)


RedisStore.keep = _keep_as_new  # type: ignore[method-assign]

if __name__ == "__main__":
    app()
