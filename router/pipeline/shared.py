"""What several routers know together, in a Redis that may be away at any time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from router.settings import SharedSettings

T = TypeVar("T")

CONNECTIONS = 32
PAUSE = 1.0
"""Seconds that it is left alone after a failure."""


class Away(Exception):
    """It does not answer: every router is on its own."""


class Shared:
    """One use of it. ``failed`` is told of each failure; while it rests nothing is asked, and nothing fails."""

    def __init__(self, url: str, settings: SharedSettings, failed: Callable[[], None]) -> None:
        self._timeout = settings.timeout
        self._prefix = settings.prefix
        self._failed = failed
        self._rests_until = 0.0
        # More questions at once than connections wait for one; the timeout is theirs too.
        self.client: Redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=None,
                socket_connect_timeout=settings.timeout * 4,
                socket_timeout=settings.timeout * 4,
                retry=Retry(NoBackoff(), 1),
            )
        )

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """What it answers. Raises Away."""
        if time.monotonic() < self._rests_until:
            raise Away
        try:
            async with asyncio.timeout(self._timeout):
                return await question()
        except (RedisError, OSError, TimeoutError) as error:
            self._rests_until = time.monotonic() + PAUSE
            self._failed()
            raise Away from error

    def key(self, use: str, text: str) -> str:
        """A key that tells nobody who reads Redis whose it is."""
        return f"{self._prefix}{use}:{blake2b(text.encode(errors='surrogatepass'), digest_size=16).hexdigest()}"

    async def close(self) -> None:
        """Close its connections."""
        await self.client.aclose()
