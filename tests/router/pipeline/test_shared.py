"""What routers share by Redis: rate limits and automatic persisted queries. Without it, each is on its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from router.app import RouterApp
from router.executor.entity_cache.redis_store import RedisStore
from router.pipeline.buckets import MemoryBuckets, RedisBuckets, take
from router.pipeline.shared import Shared
from router.settings import PersistedSettings, Rate, RateLimits, Settings, SharedSettings
from tests.router.pipeline.client import Response, call, data
from tests.router.pipeline.persisting import digest
from tests.router.pipeline.subgraphs import router, subgraphs
from tests.router.test_serve_command import serving
from tests.support import servers
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

ONE = Rate(per_second=0.01, burst=4)
SLOW = SharedSettings(timeout=20.0)
"""Nothing here fails because the machine is busy."""


def sharing(url: str | None, **changes: Any) -> Settings:
    shared = {"redis_url": url, "timeout": 20.0}
    return Settings.model_validate({"shared": shared, **changes})


def limits() -> Any:
    return {"rate_limits": RateLimits(enabled=True, anonymous=ONE)}


@asynccontextmanager
async def routers(url: str | None, **changes: Any) -> AsyncIterator[tuple[RouterApp, RouterApp]]:
    """Two of them, as different from one another as two processes."""
    first, second = (router(subgraphs(), sharing(url, **changes)) for _ in range(2))
    try:
        yield first, second
    finally:
        await first.close()
        await second.close()


async def statuses(apps: tuple[RouterApp, RouterApp], count: int, peer: str) -> list[int]:
    body = orjson.dumps({"query": "{me{id}}"})
    headers = {"content-type": "application/json"}
    return [(await call(apps[n % 2], body=body, headers=headers, peer=peer)).status for n in range(count)]


def somebody() -> str:
    """An address that nobody else has."""
    return ".".join(str(number) for number in uuid.uuid4().bytes[:4])


async def test_routers_hold_a_caller_to_one_rate(redis_url: str) -> None:
    """The burst is one for both. Without Redis each allows the whole of it."""
    async with routers(redis_url, **limits()) as both:
        assert (await statuses(both, 8, somebody())).count(200) == 4
    async with routers(None, **limits()) as both:
        assert (await statuses(both, 10, somebody())).count(200) == 8


async def test_redis_does_not_learn_who_asks(redis_url: str) -> None:
    """Keys are hashes, and full buckets are forgotten."""
    peer = somebody()
    async with routers(redis_url, **limits()) as both, Redis.from_url(redis_url) as client:
        await statuses(both, 1, peer)
        name = Shared(redis_url, SLOW, lambda: None).key("rate", f"address:{peer}")
        assert peer not in name
        assert 0 < await client.pttl(name) <= 100_000


async def test_many_at_once_are_all_counted(redis_url: str) -> None:
    """More of them than there are connections: none is taken for a failure, and the limit is exact."""
    failures: list[int] = []
    shared = Shared(redis_url, SLOW, lambda: failures.append(1))
    buckets, key = RedisBuckets(shared, MemoryBuckets(1)), uuid.uuid4().hex
    rate = Rate(per_second=0.001, burst=150)
    waits = await asyncio.gather(*(buckets.take(key, rate) for _ in range(400)))
    assert (waits.count(0), failures) == (150, [])
    await shared.close()


async def test_the_entity_cache_serves_many_at_once(redis_url: str) -> None:
    """A moment of load is no failure of Redis: the cache would rest just when it is needed."""
    store = RedisStore(redis_url, timeout=20.0, prefix=f"{uuid.uuid4().hex}:")
    found = await asyncio.gather(*(store.look_up([b"%d" % number]) for number in range(300)))
    assert all(each.entries == [None] for each in found)
    await store.close()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.floats(0.01, 1000), st.integers(1, 6), st.integers(1, 12))
@example(0.010000000000000002, 1, 1)
@example(0.03, 6, 12)
async def test_the_script_takes_as_the_bucket_in_memory_does(
    redis_url: str, per_second: float, burst: int, tries: int
) -> None:
    """All at one moment: as many are admitted, and the same wait is told, but for the time that went by."""
    rate, now, full_at = Rate(per_second=per_second, burst=burst), 1000.0, 0.0
    shared = Shared(redis_url, SLOW, lambda: None)
    buckets, key = RedisBuckets(shared, MemoryBuckets(1)), uuid.uuid4().hex
    try:
        for _ in range(tries):
            full_at, expected = take(full_at, now, rate)
            wait = await buckets.take(key, rate)
            assert wait <= expected + 1e-5
            if per_second < 0.1:  # then the milliseconds of asking do not fill it
                assert (wait > 0) == (expected > 0)
    finally:
        await shared.close()


async def hashed(app: RouterApp, text: str, *, with_text: bool = False) -> Response:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest(text)}}
    body = orjson.dumps({"extensions": extensions} | ({"query": text} if with_text else {}))
    return await call(app, body=body, headers={"content-type": "application/json"})


async def test_a_text_that_one_router_has_learned_all_know(redis_url: str) -> None:
    """By its hash, for its lifetime; a text that does not have the hash is none."""
    text = f"query A{uuid.uuid4().hex} {{ me {{ id }} }}"
    key = Shared(redis_url, SLOW, lambda: None).key("text", digest(text))
    async with (
        routers(redis_url, persisted=PersistedSettings(lifetime=500)) as (first, second),
        Redis.from_url(redis_url) as client,
    ):
        assert (await hashed(second, text)).json["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        assert "errors" not in (await hashed(first, text, with_text=True)).json
        assert (await hashed(second, text)).json == {"data": {"me": {"id": "1"}}}
        await client.expire(key, 10)
        await hashed(second, text)
        assert 490 < await client.ttl(key) <= 500
        await client.set(key, "{ secret }")
        assert (await hashed(second, text)).json["errors"][0]["message"] == "PersistedQueryNotFound"


async def test_while_redis_is_away_each_router_goes_on_by_itself() -> None:
    """Nobody is refused for it: requests are answered, limits are each router's own, and it is counted. When Redis is
    back, it is used again."""
    with servers.redis_restartable() as redis:
        async with routers(redis.url, **limits()) as both:
            assert (await statuses(both, 8, "192.0.2.1")).count(200) == 4
            redis.process.stop()
            assert (await statuses(both, 12, "192.0.2.1")).count(200) == 8
            assert "errors" not in (await hashed(both[0], "{me{id}}", with_text=True)).json
            assert "errors" not in (await hashed(both[0], "{me{id}}")).json
            for app in both:
                assert (
                    'router_shared_store_failures_total{use="rate_limits"} 1.0' in app.telemetry.exposition().decode()
                )
            redis.process.start()

            async def they_share() -> bool:
                return (await statuses(both, 8, somebody())).count(200) == 4

            await eventually(they_share)


async def test_while_redis_hangs_requests_hardly_wait() -> None:
    """One that accepts and says nothing costs its timeout once, and then a second is nothing asked of it."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings.model_validate(
        {"shared": {"redis_url": f"redis://127.0.0.1:{port}/0", "timeout": 0.5}, **limits()}
    )
    app = router(subgraphs(), settings)
    loop = asyncio.get_running_loop()
    started = loop.time()
    for _ in range(20):
        await data(app, "{me{id}}")
    assert loop.time() - started < 6  # each for itself would have waited, twenty times
    await app.close()
    server.close()


async def test_two_processes_share_one_limit(redis_url: str, tmp_path: Path) -> None:
    """Routers as they are run: each counts what the other let in."""
    (tmp_path / "a.graphql").write_text("type Query { one: Int }")
    config = tmp_path / "router.yaml"
    peer = somebody()
    written = {
        "subgraphs": {"a": {"routing_url": "http://127.0.0.1:1/", "schema": {"file": "a.graphql"}}},
        "rate_limits": {"anonymous": {"per_second": 0.01, "burst": 5}},
        "trusted_proxies": ["127.0.0.1"],
        "shared": {"redis_url": redis_url, "timeout": 20.0},
        "internal_port": None,
    }
    config.write_text(yaml.safe_dump(written))
    async with (
        serving("--config", str(config)) as (_, first),
        serving("--config", str(config)) as (_, second),
        aiohttp.ClientSession(headers={"x-forwarded-for": peer}) as session,
    ):
        found = []
        for number in range(10):
            url = (first, second)[number % 2]
            async with session.post(f"{url}/graphql", json={"query": "{__typename}"}) as answer:
                found.append(answer.status)
        assert found == [200] * 5 + [429] * 5
