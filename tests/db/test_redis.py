"""Redis may go away at any time: its clients find out soon."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from db.redis import connect
from tests.support.process import free_port


@pytest.mark.integration
async def test_what_is_written_is_read(redis_url: str) -> None:
    """A client connects when first used."""
    async with connect(redis_url) as client:
        await client.set("test:greeting", "안녕", ex=60)
        assert await client.get("test:greeting") == "안녕".encode()


async def test_an_absent_redis_is_noticed_quickly() -> None:
    """Within two seconds there is an error to fall back on."""
    async with connect(f"redis://127.0.0.1:{free_port()}/0") as client:
        begun = time.monotonic()
        with pytest.raises(RedisError):
            await client.get("anything")
        assert time.monotonic() - begun < 2


@pytest.mark.integration
@pytest.mark.parametrize("connections", [2, 64])
async def test_two_hundred_at_once_are_all_served(redis_url: str, connections: int) -> None:
    """More than there are connections wait for one; the pool that does not wait refuses some."""
    async with connect(redis_url, max_connections=connections) as client:
        await client.set("test:shared", "here", ex=60)
        answers = await asyncio.gather(*(client.get("test:shared") for _ in range(200)))
        assert answers == [b"here"] * 200
    async with Redis.from_url(redis_url, max_connections=connections) as impatient:
        refused = await asyncio.gather(*(impatient.get("test:shared") for _ in range(200)), return_exceptions=True)
        assert any(isinstance(each, RedisError) for each in refused)


@pytest.mark.integration
async def test_nobody_waits_long_for_a_connection_that_others_keep(redis_url: str) -> None:
    async with connect(redis_url, max_connections=1) as client:
        kept = await client.connection_pool.get_connection()
        begun = time.monotonic()
        with pytest.raises(RedisError):
            await client.get("anything")
        assert time.monotonic() - begun < 2
        await client.connection_pool.release(kept)
        await client.get("anything")
