"""Redis: a fast path that may be lost at any time, so its clients give up early."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECT_SECONDS = 0.5
COMMAND_SECONDS = 1.0
WAIT_SECONDS = 1.0


def connect(url: str, *, max_connections: int = 64) -> Redis:
    """A client (``decode_responses`` off) that connects when first used. One retry, for a connection gone stale.

    More calls at once than connections wait for one, ``WAIT_SECONDS`` at most. Calls raise
    ``redis.exceptions.ConnectionError`` or ``TimeoutError`` (subclasses of ``RedisError``) within about two seconds
    when Redis is away.
    """
    return Redis.from_pool(
        BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=WAIT_SECONDS,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=COMMAND_SECONDS,
            health_check_interval=30,
            retry=Retry(NoBackoff(), 1),
        )
    )
