"""Live changes, within a process and over Redis, and waiting for copies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ulid import ULID

from db import redis as connections
from subgraphs.kit import changes as kit
from subgraphs.kit.changes import Changes, InProcessChanges, RedisChanges
from subgraphs.kit.copies import when_complete
from subgraphs.kit.ids import new_ulid
from tests.conftest import serve
from tests.support import servers


@pytest.fixture(params=["process", pytest.param("redis", marks=pytest.mark.integration)])
async def changes(request: pytest.FixtureRequest) -> AsyncIterator[Changes]:
    if request.param == "process":
        yield InProcessChanges()
        return
    client = connections.connect(request.getfixturevalue("redis_url"))
    yield RedisChanges(client, new_ulid())
    await client.aclose()


async def heard_after(changes: Changes, heard: asyncio.Future[str], topic: str) -> str:
    """What is heard once the topic is told; told again and again until the listener is there."""
    async with asyncio.timeout(20):
        while not heard.done():
            await changes.tell(topic)
            await asyncio.wait([heard], timeout=0.05)
        return await heard


async def test_a_listener_hears_its_topics_and_no_others(changes: Changes) -> None:
    listener = changes.listen("a", "b")
    heard = asyncio.ensure_future(anext(listener))
    await changes.tell("c")
    assert await heard_after(changes, heard, "a") == "a"
    topics = [await heard_after(changes, asyncio.ensure_future(anext(listener)), "b") for _ in range(3)]
    assert "b" in topics
    assert "c" not in topics
    await listener.aclose()  # type: ignore[attr-defined]


async def test_a_topic_is_not_lost_behind_another_and_tellings_become_one() -> None:
    changes = InProcessChanges()
    listener = changes.listen("a", "b")
    heard = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    for topic in ("a", "b", "a", "b", "a"):
        await changes.tell(topic)
    assert [await heard, await anext(listener)] == ["a", "b"]
    more = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    assert not more.done()
    more.cancel()
    await asyncio.gather(more, return_exceptions=True)
    assert not changes.board.topics, "who left is forgotten"


async def test_what_changes_during_the_first_look_is_told(changes: Any) -> None:
    listener = changes.listen("a", at_once=True)
    assert await anext(listener) == ""
    await changes.tell("a")
    async with asyncio.timeout(5):
        assert await anext(listener) == "a"
    await listener.aclose()
    assert not changes.board.topics


async def test_a_beginning_stands_for_all_topics_that_begin_so(changes: Changes) -> None:
    listener = changes.listen("session:*", at_once=True)
    assert await anext(listener) == ""
    await changes.tell("order:1")
    await changes.tell("session:1")
    async with asyncio.timeout(5):
        assert await anext(listener) == "session:1"
    await listener.aclose()  # type: ignore[attr-defined]


@pytest.mark.integration
async def test_many_listeners_need_one_connection(redis_url: str) -> None:
    """More listeners than the client may have connections."""
    client = connections.connect(redis_url, max_connections=4)
    changes = RedisChanges(client, new_ulid())
    listeners = [changes.listen(f"topic:{number}", at_once=True) for number in range(200)]
    assert await asyncio.gather(*(anext(each) for each in listeners)) == [""] * 200
    for number in range(200):
        await changes.tell(f"topic:{number}")
    async with asyncio.timeout(20):
        assert await asyncio.gather(*(anext(each) for each in listeners)) == [f"topic:{n}" for n in range(200)]
    await asyncio.gather(*(each.aclose() for each in listeners))  # type: ignore[attr-defined]
    assert not changes.board.topics
    await client.aclose()


@pytest.mark.integration
async def test_redis_may_go_and_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fails while it is away; afterwards the listener looks once, and hears again."""
    monkeypatch.setattr(kit, "PAUSE_SECONDS", 0.05)
    serving = serve(servers.redis_restartable())
    server = next(serving)
    client = connections.connect(server.url)
    changes = RedisChanges(client)
    listener = changes.listen("a")
    assert await heard_after(changes, asyncio.ensure_future(anext(listener)), "a") == "a"
    server.process.stop()
    await changes.tell("a")
    async with asyncio.timeout(20):
        assert await anext(listener) == "a", "it may have missed something: look"
    server.process.start()
    for _ in range(3):
        assert await heard_after(changes, asyncio.ensure_future(anext(listener)), "a") == "a"
    await listener.aclose()  # type: ignore[attr-defined]
    await client.aclose()
    next(serving, None)


async def test_a_fresh_fact_is_waited_for() -> None:
    ulid, looks = new_ulid(), 0

    async def look() -> bool:
        nonlocal looks
        looks += 1
        return looks == 3

    assert await when_complete(look, lambda found: [] if found else [ulid])
    assert looks == 3


async def test_waiting_has_an_end_and_an_old_id_costs_none() -> None:
    old = str(ULID.from_datetime(datetime.now(UTC) - timedelta(minutes=5)))
    looks: list[str] = []

    async def look() -> bool:
        looks.append("look")
        return False

    assert not await when_complete(look, lambda _: [old])
    assert len(looks) == 1
    assert not await when_complete(look, lambda _: [new_ulid()], patience=0.05)
    assert len(looks) > 2
