"""How long an answer is kept, and by what names it is purged."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from router.app import RouterApp
from router.executor.entity_cache.memory_store import MemoryStore
from router.executor.entity_cache.naming import Naming
from router.executor.entity_cache.store import Entry, Purge
from tests.router.pipeline.client import data, post
from tests.router.pipeline.kept import (
    ENTITY,
    ITEM,
    MINE,
    PARENT,
    Items,
    invalidate,
    router,
)
from tests.router.pipeline.test_auth import token

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@pytest.fixture
async def made() -> AsyncIterator[tuple[RouterApp, Items]]:
    app, items = router()
    yield app, items
    await app.close()


async def test_an_answer_shortens_its_own_life(made: tuple[RouterApp, Items]) -> None:
    """``extensions.cacheControl``: an age of nothing, or privacy where the schema said public, keeps it out."""
    app, items = made
    for told in ({"maxAge": 0}, {"scope": "PRIVATE"}, {"maxAge": 1000}, None):
        items.told = {"cacheControl": told} if told is not None else None
        await data(app, ITEM)
    assert len(items.asked) == 3, "the third was kept"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("max-age=600", True),
        ("public, max-age=30", True),
        ("Max-Age=0, s-maxage=30", True),
        ("immutable", True),
        ("max-age=0", False),
        ("max-age=30, s-maxage=0", False),
        ("max-age=600, PRIVATE", False),
        ('private="x", max-age=600', False),
        ("no-store", False),
        ("no-cache", False),
        ("max-age=soon", False),
        ("max-age=-1", False),
    ],
)
async def test_the_header_shortens_it_too(made: tuple[RouterApp, Items], header: str, kept: bool) -> None:
    """``Cache-Control`` of the subgraph's HTTP answer, as a shared cache reads it."""
    app, items = made
    items.header = header
    for _ in range(2):
        await data(app, ITEM)
    assert len(items.asked) == (1 if kept else 2)


async def test_a_private_answer_may_be_kept_for_its_caller(made: tuple[RouterApp, Items]) -> None:
    """``private`` says nothing against what is kept for one caller anyway."""
    app, items = made
    items.header = "private, max-age=60"
    for _ in range(2):
        await data(app, MINE, authorization=f"Bearer {token()}")
    assert len(items.asked) == 1


async def test_root_answers_are_tagged_by_their_arguments(made: tuple[RouterApp, Items]) -> None:
    """``{$args...}`` from a variable or a literal; one that is left to the subgraph's default has no tag, so it is
    not kept: nobody could purge it."""
    app, items = made
    by_variable = "query($n: String!) { shelf(name: $n) }"
    for name in ("a", "b", "a", "b"):
        await data(app, by_variable, {"n": name})
    await data(app, '{ shelf(name: "a") }')
    assert len(items.asked) == 3
    asked = {"kind": "cache_tag", "subgraphs": ["lists"], "cache_tag": "shelf-a"}
    assert (await invalidate(app, [asked])).status == 202
    for name in ("a", "b"):
        await data(app, by_variable, {"n": name})
    await data(app, '{ shelf(name: "a") }')
    assert len(items.asked) == 5
    for _ in range(2):
        await data(app, "{ shelf }")
    assert len(items.asked) == 7


async def test_what_is_inside_an_answer_is_purged_by_its_id(made: tuple[RouterApp, Items]) -> None:
    """Though the client did not ask for it: a change of another item leaves the answer, its own takes it away."""
    app, items = made
    for _ in range(2):
        assert await data(app, PARENT) == {"items": [{"parent": {"price": 1}}]}
        assert (await invalidate(app, [{**ENTITY, "key": {"id": "2"}}])).status == 202
    assert len(items.asked) == 1
    items.price = 2
    assert (await invalidate(app, [{**ENTITY, "key": {"id": "9"}}])).status == 202
    assert await data(app, PARENT) == {"items": [{"parent": {"price": 2}}]}


async def test_without_the_id_any_item_takes_it_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: it is not lost, it only goes more often than it must."""
    monkeypatch.setattr(Naming, "of", lambda _, operation, __: operation)
    app, items = router()
    await data(app, PARENT)
    assert (await invalidate(app, [{**ENTITY, "key": {"id": "2"}}])).status == 202
    await data(app, PARENT)
    assert len(items.asked) == 2
    await app.close()


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("parent { price }", "parent { price __cache_id: id }"),
        ("parent { id price }", "parent { id price }"),
        ("parent { key: id }", "parent { key: id }"),
        ("parent { __cache_id: price }", "parent { __cache_id: price __cache_id_: id }"),
        ("... on Item { parent { price } }", "... on Item { parent { price __cache_id: id } }"),
        ("parent { parent { price } }", "parent { parent { price __cache_id: id } __cache_id: id }"),
    ],
)
async def test_ids_are_asked_for_where_they_are_missing(made: tuple[RouterApp, Items], asked: str, sent: str) -> None:
    """By a name that nothing else has; not of the entity itself, whose representation has it."""
    app, items = made
    await post(app, f'{{items(ids:["1"]){{ {asked} }}}}')
    assert sent.removeprefix("... on Item { ").removesuffix(" }") in " ".join(items.asked[0].query.split())


async def test_after_a_purge_nothing_counts_for_as_long_as_a_replica_may_be_late() -> None:
    """``hold``: what is fetched right after a purge may come from a late replica, so it serves nobody else.

    Unless it tells its version: then that decides, and an old one is never served again.
    """
    for version, kept in ((None, False), (7, False), (8, True)):
        app, items = router(hold=60)
        assert app.cache is not None
        items.told = {"entityVersions": {"Item:1": version}} if version else None
        await app.cache.store.purge([Purge("Item:1", 8)])
        for _ in range(3):
            await data(app, ITEM)
        assert len(items.asked) == (1 if kept else 3)
        await app.close()


async def test_hold_ends() -> None:
    """The store's own clock decides: before the end nothing counts, after it everything does."""
    now = 100.0
    store = MemoryStore(10_000, hold=5, now=lambda: now)
    await store.purge([Purge("Item:1")])
    for now, counts in ((104.9, False), (105.1, True)):  # noqa: B007 - the store reads it
        stamp = (await store.look_up([])).stamp
        await store.keep(stamp, [Entry(b"k", b"1", ("Item:1",), 60)])
        assert (await store.look_up([b"k"])).entries == [b"1" if counts else None]
