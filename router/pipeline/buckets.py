"""Token buckets, in this process or shared by several.

A bucket is kept as one number, the time at which it will be full again (the generic cell rate algorithm), so taking
from it costs one look-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from router.pipeline.lru import Lru
from router.pipeline.shared import Away, Shared
from router.settings import Rate

TAKE = """
local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
local each = tonumber(ARGV[1])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), at) + each
local wait = full - at - ARGV[2] * each
-- These numbers are exact to a quarter: a token that is missing by a thousandth is there.
if wait > math.max(1, each / 1000) then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.2f', full), 'PX', math.ceil((full - at) / 1000))
return 0
"""
"""``take`` in Redis, by its clock, in microseconds. A bucket that is full again is forgotten."""


def take(full_at: float, now: float, rate: Rate) -> tuple[float, float]:
    """Take one token from a bucket that is full at ``full_at``: when it is full then, and how long to wait first.

    With a wait, nothing has been taken. Times in seconds.
    """
    each = 1 / rate.per_second
    then = max(full_at, now) + each
    wait = then - now - rate.burst * each
    # Sums of fractions are a little off: a token that is missing by less than a microsecond is there.
    return (then, 0.0) if wait < 1e-6 else (full_at, wait)


class Buckets(Protocol):
    """The buckets of all callers."""

    async def take(self, key: str, rate: Rate) -> float:
        """Take a token from a bucket. Seconds to wait: 0 if there was one, else nothing has been taken."""


class MemoryBuckets:
    """This process's own; those not used for longest are forgotten when there are too many."""

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: Lru[str, float] = Lru(size)

    def __len__(self) -> int:
        return len(self._full_at)

    async def take(self, key: str, rate: Rate) -> float:
        """See Buckets."""
        full_at, wait = take(self._full_at.get(key) or 0.0, self._clock(), rate)
        if not wait:
            self._full_at.put(key, full_at)
        return wait


class RedisBuckets:
    """Those of all routers at one Redis. While it is away, each router has buckets of its own."""

    def __init__(self, shared: Shared, own: MemoryBuckets) -> None:
        self._shared = shared
        self._own = own
        self._take = shared.client.register_script(TAKE)

    async def take(self, key: str, rate: Rate) -> float:
        """See Buckets."""
        arguments = [1_000_000 / rate.per_second, rate.burst]
        try:
            wait = await self._shared.ask(lambda: self._take(keys=[self._shared.key("rate", key)], args=arguments))
        except Away:
            return await self._own.take(key, rate)
        return float(wait) / 1_000_000
