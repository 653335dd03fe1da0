"""The entity cache behind the whole pipeline: what tells two requests apart, what purges, what is counted."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from router.app import RouterApp, create_app
from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.executor.entity_cache.memory_store import MemoryStore
from router.executor.entity_cache.naming import ALIAS, Naming
from router.executor.entity_cache.store import Entry, Purge, StoreDown
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.pipeline.health import Health
from router.pipeline.serving import InternalDoor
from router.settings import CacheSettings, RateLimits, Settings
from tests.router.pipeline.client import Response, call, data, post
from tests.router.pipeline.test_auth import ED, TOKENS, Issuer, token

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

SDL = """
extend schema
  @link(url: "https://specs.apollo.dev/federation/v2.12", import: ["@key", "@cacheTag", "@composeDirective"])
  @link(url: "https://dure.dev/cacheControl/v0.1", import: ["@cacheControl"])
  @composeDirective(name: "@cacheControl")
directive @cacheControl(maxAge: Int, scope: CacheControlScope, inheritMaxAge: Boolean) on OBJECT | FIELD_DEFINITION
enum CacheControlScope { PUBLIC PRIVATE }
"""
LISTS = (
    SDL
    + """
type Query {
  items(ids: [ID!]!): [Item!]!
  shelf(name: String! = "c"): Int @cacheControl(maxAge: 60) @cacheTag(format: "shelf-{$args.name}")
}
type Item @key(fields: "id", resolvable: false) { id: ID! }
"""
)
ITEMS = (
    SDL
    + """
type Item @key(fields: "id") @cacheControl(maxAge: 60) @cacheTag(format: "shelf-{$key.id}") {
  id: ID! price: Int! mine: String @cacheControl(scope: PRIVATE) parent: Item
}
"""
)
SECRET = "a shared secret"
ITEM = '{items(ids:["1"]){id price}}'
MINE = '{items(ids:["1"]){mine}}'


class Items:
    """Subgraphs of prices. ``asked``: what they got; ``told``, ``header``: what they say beside the data."""

    def __init__(self) -> None:
        self.asked: list[SubgraphRequest] = []
        self.told: dict[str, Any] | None = None
        self.header: str | None = None
        self.price = 1
        self.gate: asyncio.Event | None = None

    async def entities(self, request: SubgraphRequest) -> SubgraphResponse:
        self.asked.append(request)
        price = self.price
        if self.gate is not None:
            await self.gate.wait()
        who = request.headers["router-claims"].split(".")[0]
        found = [
            {"__typename": "Item", "id": each["id"], "price": price, "mine": who, "parent": self.parent(request)}
            for each in (request.variables or {})["representations"]
        ]
        return SubgraphResponse({"_entities": found}, None, self.told, self.header)

    def parent(self, request: SubgraphRequest) -> dict[str, Any]:
        """Item 9, with its id where that is asked for."""
        return {"price": self.price} | ({ALIAS: "9"} if f"{ALIAS}: id" in request.query else {})

    async def list(self, request: SubgraphRequest) -> SubgraphResponse:
        if "shelf" in request.query:
            self.asked.append(request)
            return SubgraphResponse({"shelf": self.price}, None, self.told, self.header)
        return SubgraphResponse({"items": [{"__typename": "Item", "id": "1"}]})


def router(**cache: Any) -> tuple[RouterApp, Items]:
    """The router with a cache in memory, and the subgraph that is asked for what is not there."""
    composed = compose([SubgraphInput("lists", "", LISTS), SubgraphInput("items", "", ITEMS)])
    assert composed.supergraph_sdl is not None, composed.errors
    settings = Settings(
        tokens=TOKENS,
        claims_secret=SecretStr("x" * 32),
        forward_headers=("accept-language", "user-agent", "x-forwarded-for", "traceparent", "x-tenant"),
        cache=CacheSettings(enabled=True, invalidation_secret=SecretStr(SECRET), **cache),
        rate_limits=RateLimits(enabled=False),
    )
    items = Items()
    transports = {"lists": InProcessTransport(items.list), "items": InProcessTransport(items.entities)}
    return create_app(composed.supergraph_sdl, settings, transports, Issuer(ED)), items


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
    assert b"u1" not in _claims(asked)
    await data(app, MINE, authorization=f"Bearer {token()}")
    assert b"u1" in _claims(items.asked[-1]), "what is private is asked for by name"


def _claims(request: SubgraphRequest) -> bytes:
    body = request.headers["router-claims"].split(".")[0]
    return urlsafe_b64decode(body + "=" * (-len(body) % 4))


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


def looked_up(app: RouterApp, outcome: str) -> float:
    """What the metrics say of items."""
    labels = {"subgraph": "items", "type": "Item", "outcome": outcome}
    return app.telemetry.registry.get_sample_value("router_entity_cache_lookups_total", labels) or 0


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


PARENT = '{items(ids:["1"]){parent{price}}}'


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


# --- POST /invalidation ---------------------------------------------------------------------------------------------


async def invalidate(app: RouterApp, asked: Any, *, secret: str = SECRET, method: str = "POST") -> Response:
    """The request, at the operators' door."""
    door = InternalDoor(lambda: b"", Health(), app.invalidation)
    body = asked if isinstance(asked, bytes) else orjson.dumps(asked)
    return await call(door, method, "/invalidation", body=body, headers={"authorization": secret})  # type: ignore[arg-type]


ENTITY = {"kind": "entity", "subgraph": "items", "type": "Item", "key": {"id": "1"}}


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
