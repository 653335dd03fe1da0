"""The entity cache behind the whole pipeline: what tells two requests apart, what purges, what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from router.app import RouterApp, create_app
from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.executor.entity_cache.memory_store import MemoryStore
from router.executor.entity_cache.store import StoreDown
from router.settings import CacheSettings, Settings
from tests.router.pipeline.client import call, data, post
from tests.router.pipeline.kept import (
    ENTITY,
    ITEM,
    ITEMS,
    LISTS,
    MINE,
    SECRET,
    Items,
    claims_of,
    invalidate,
    looked_up,
    router,
)
from tests.router.pipeline.test_auth import token

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@pytest.fixture
async def made() -> AsyncIterator[tuple[RouterApp, Items]]:
    app, items = router()
    yield app, items
    await app.close()


@pytest.mark.parametrize("name", ["user-agent", "x-forwarded-for", "traceparent", "x-request-id", "x-unknown"])
async def test_what_changes_no_answer_does_not_split_the_cache(made: tuple[RouterApp, Items], name: str) -> None:
    """Browsers, addresses, traces, and headers that are not even forwarded share one entry."""
    app, items = made
    for number in range(3):
        await data(app, ITEM, **{name: f"00-{number + 1:032x}-{number + 1:016x}-00"})
    assert len(items.asked) == 1


@pytest.mark.parametrize("name", ["accept-language", "x-tenant"])
async def test_what_may_change_an_answer_does(made: tuple[RouterApp, Items], name: str) -> None:
    """Every value of another forwarded header has entries of its own."""
    app, items = made
    for value in ("ko", "en", "ko"):
        await data(app, ITEM, **{name: value})
    assert [request.headers[name] for request in items.asked] == ["ko", "en"]


async def test_a_header_is_ignored_where_it_is_said_to_change_nothing() -> None:
    """``ignore_headers`` is the operator's word on it."""
    app, items = router(ignore_headers=("accept-language",))
    for value in ("ko", "en"):
        await data(app, ITEM, accept_language=value)
    assert len(items.asked) == 1
    await app.close()


async def test_the_claims_are_never_ignored() -> None:
    """Naming the claims header among the ignored ones does not mix callers: each gets what is one's own."""
    app, items = router(ignore_headers=("router-claims", "authorization"))
    seen: dict[str, set[str]] = {"u1": set(), "u2": set()}
    for who in ("u1", "u2", "u1", "u2"):
        answer = await data(app, MINE, authorization=f"Bearer {token(sub=who, sid=who)}")
        seen[who].add(answer["items"][0]["mine"])
    assert len(items.asked) == 2
    assert not seen["u1"] & seen["u2"]
    await data(app, MINE)
    assert len(items.asked) == 3, "a stranger gets nobody's"
    await app.close()


async def test_what_is_public_is_asked_for_as_nobody(made: tuple[RouterApp, Items]) -> None:
    """The first to ask is signed in; what all get then was not answered to him."""
    app, items = made
    await data(app, ITEM, authorization=f"Bearer {token()}")
    await data(app, ITEM)
    (asked,) = items.asked
    assert b"u1" not in claims_of(asked)
    await data(app, MINE, authorization=f"Bearer {token()}")
    assert b"u1" in claims_of(items.asked[-1]), "what is private is asked for by name"


async def test_fifty_at_once_are_one_fetch(made: tuple[RouterApp, Items]) -> None:
    """A page that everybody opens in the same moment costs one request; the metrics say which type was looked up."""
    app, items = made
    items.gate = asyncio.Event()
    readers = [asyncio.create_task(data(app, ITEM)) for _ in range(50)]
    async with asyncio.timeout(10):
        while looked_up(app, "miss") < 50:  # noqa: ASYNC110 - the cache has no event for it
            await asyncio.sleep(0)
    items.gate.set()
    answers = await asyncio.gather(*readers)
    assert len(items.asked) == 1
    assert all(answer == answers[0] for answer in answers)
    await data(app, ITEM)
    assert (looked_up(app, "miss"), looked_up(app, "hit")) == (50, 1)


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "subgraph", "subgraph": "items"},
        {"kind": "type", "subgraph": "items", "type": "Item"},
        ENTITY,
        {**ENTITY, "version": 3},
        {**ENTITY, "key": {"sku": "a"}},
        {"kind": "cache_tag", "subgraphs": ["items"], "cache_tag": "shelf-1"},
    ],
)
async def test_each_kind_of_invalidation_is_seen_by_the_next_reader(
    made: tuple[RouterApp, Items], asked: dict[str, Any]
) -> None:
    """What has changed is read anew after the 202, and kept again."""
    app, items = made
    await data(app, ITEM)
    items.price = 2
    assert (await data(app, ITEM))["items"][0]["price"] == 1
    answer = await invalidate(app, [asked])
    assert answer.status == 202
    assert answer.json["count"] >= 1
    for _ in range(2):
        assert (await data(app, ITEM))["items"][0]["price"] == 2
    assert len(items.asked) == 2


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "subgraph", "subgraph": "lists"},
        {"kind": "type", "subgraph": "items", "type": "Other"},
        {**ENTITY, "key": {"id": "2"}},
        {"kind": "cache_tag", "subgraphs": ["items"], "cache_tag": "shelf-2"},
    ],
)
async def test_what_is_not_named_stays(made: tuple[RouterApp, Items], asked: dict[str, Any]) -> None:
    """Another subgraph's, type's, entity's or tag's invalidation takes nothing away."""
    app, items = made
    await data(app, ITEM)
    assert (await invalidate(app, [asked])).status == 202
    await data(app, ITEM)
    assert len(items.asked) == 1


@pytest.mark.parametrize(
    ("asked", "secret", "method", "status"),
    [
        ([ENTITY], "another secret", "POST", 401),
        ([ENTITY], "", "POST", 401),
        ([ENTITY], SECRET, "GET", 405),
        (b"not JSON", SECRET, "POST", 400),
        (ENTITY, SECRET, "POST", 400),
        ([{"kind": "everything"}], SECRET, "POST", 400),
        ([{**ENTITY, "version": -1}], SECRET, "POST", 400),
        ([{**ENTITY, "more": 1}], SECRET, "POST", 400),
        ([ENTITY] * 1001, SECRET, "POST", 400),
        (b"[" + b" " * 1024 * 1024 + b"]", SECRET, "POST", 413),
    ],
)
async def test_bad_invalidations_change_nothing(
    made: tuple[RouterApp, Items], asked: Any, secret: str, method: str, status: int
) -> None:
    """Each is refused with its own status and a reason, and the cache is as before."""
    app, items = made
    await data(app, ITEM)
    answer = await invalidate(app, asked, secret=secret, method=method)
    assert answer.status == status
    assert answer.json["errors"][0]["message"]
    await data(app, ITEM)
    assert len(items.asked) == 1


async def test_a_store_that_is_away_says_so(made: tuple[RouterApp, Items], monkeypatch: pytest.MonkeyPatch) -> None:
    """503 and when to come again: who has told of a change must not believe that it was taken."""
    app, _ = made

    async def down(_: object, __: object) -> None:
        raise StoreDown("away")

    monkeypatch.setattr(MemoryStore, "purge", down)
    answer = await invalidate(app, [ENTITY])
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_without_a_secret_there_is_no_door() -> None:
    """Nobody can purge where no secret was set; and the clients' port never has it."""
    app, _ = router()
    assert (await call(app, "POST", "/invalidation", headers={"authorization": SECRET})).status == 404
    await app.close()
    settings = Settings(cache=CacheSettings(enabled=True))
    composed = compose([SubgraphInput("lists", "", LISTS), SubgraphInput("items", "", ITEMS)])
    app = create_app(str(composed.supergraph_sdl), settings, {})
    assert (await invalidate(app, [ENTITY])).status == 404
    await app.close()


async def test_an_answer_that_was_on_its_way_does_not_undo_an_invalidation(made: tuple[RouterApp, Items]) -> None:
    """A slow answer, read before the change, is given to who asked before it and to nobody after."""
    app, items = made
    items.gate = asyncio.Event()
    slow = asyncio.create_task(post(app, ITEM))
    async with asyncio.timeout(10):
        while not items.asked:  # noqa: ASYNC110 - the subgraph has no event for it
            await asyncio.sleep(0)
    items.price = 2
    assert (await invalidate(app, [ENTITY])).status == 202
    items.gate.set()
    assert (await slow).json["data"]["items"][0]["price"] == 1
    assert (await data(app, ITEM))["items"][0]["price"] == 2
