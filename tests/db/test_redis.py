"""Redis may go away at any time: its clients find out soon."""

from __future__ import annotations

import time

import pytest
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
