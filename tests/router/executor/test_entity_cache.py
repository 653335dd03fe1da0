"""The entity cache before two subgraphs: what is kept, for whom, and what a purge takes away."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from graphql import parse
from redis.asyncio import Redis

from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.executor.entity_cache.compiled import Caching
from router.executor.entity_cache.memory_store import MemoryStore
from router.executor.entity_cache.redis_store import RedisStore
from router.executor.entity_cache.session import Cache, CacheSession
from router.executor.entity_cache.store import Entry, Purge, Stamp, Store, StoreDown
from router.executor.execute import CompiledPlan
from router.executor.run import ExecutionContext
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.operation.normalize import normalize
from router.planner.plan import plan
from router.query_graph.build import QueryGraph
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph
from tests.support.servers import redis_restartable

LINK = """
extend schema
  @link(url: "https://specs.apollo.dev/federation/v2.9",
        import: ["@key", "@requiresScopes", "@authenticated", "@composeDirective"])
  @link(url: "https://dure.dev/cacheControl/v0.1", import: ["@cacheControl"])
  @composeDirective(name: "@cacheControl")
directive @cacheControl(maxAge: Int, scope: CacheControlScope, inheritMaxAge: Boolean)
  on OBJECT | FIELD_DEFINITION | INTERFACE | UNION
enum CacheControlScope { PUBLIC PRIVATE }
"""
LISTS = LINK + 'type Query { items(ids: [ID!]!): [Item!]! } type Item @key(fields: "id", resolvable: false) { id: ID! }'
ITEMS = (
    LINK
    + """
type Item @key(fields: "id") @cacheControl(maxAge: 60) {
  id: ID!
  version: Int!
  seen: String @cacheControl(scope: PRIVATE)
  secret: String @requiresScopes(scopes: [["read"]])
  stock: Int @cacheControl(maxAge: 0)
  part: Part
}
type Part { size: Int }
"""
)
USERS = ("", "alice", "bob")


class Shop:
    """Items with versions. ``delay`` comes between reading and answering; ``hidden`` items show to alice only."""

    def __init__(self, delay: float = 0.0) -> None:
        composed = compose([SubgraphInput("lists", "", LISTS), SubgraphInput("items", "", ITEMS)])
        assert composed.supergraph_sdl is not None, composed.errors
        self.supergraph = load_supergraph(composed.supergraph_sdl)
        self.schema = api_schema(self.supergraph)
        self.versions: Counter[str] = Counter()
        self.delay = delay
        self.asked: list[tuple[str, list[str]]] = []
        self.hidden: set[str] = set()
        self.listed = 0
        self.failing = False
        self.tells_versions = False
        self.gate: asyncio.Event | None = None
        self.calls = asyncio.Semaphore(0)
        self.transports = {"lists": InProcessTransport(self._lists), "items": InProcessTransport(self._items)}

    def compiled(self, query: str) -> CompiledPlan:
        operation = normalize(parse(query), None, self.schema, {}, defer=False)
        return CompiledPlan(plan(QueryGraph(self.supergraph), operation), caching=Caching(self.supergraph, 600))

    async def ask(self, compiled: CompiledPlan, cache: Cache | None, ids: list[str], who: str = "") -> Any:
        session = None
        if cache is not None:
            session = CacheSession(cache, {"who": ""}, who.encode() or None, b"")
        context = ExecutionContext({"who": who}, cache=session)
        return orjson.loads(await compiled.execute({"ids": ids}, self.transports, context))

    async def _lists(self, request: SubgraphRequest) -> SubgraphResponse:
        ids = (request.variables or {})["ids"]
        self.listed += 1
        return SubgraphResponse({"items": [{"__typename": "Item", "id": id_} for id_ in ids]})

    async def _items(self, request: SubgraphRequest) -> SubgraphResponse:
        who = request.headers["who"]
        ids = [each["id"] for each in (request.variables or {})["representations"]]
        self.asked.append((who, ids))
        self.calls.release()
        read = [(id_, self.versions[id_]) for id_ in ids]
        await asyncio.sleep(random.random() * self.delay)
        if self.gate is not None:
            await self.gate.wait()
        if self.failing:
            return SubgraphResponse(None, [{"message": "broken"}])
        told = {"entityVersions": {f"Item:{id_}": version for id_, version in read}} if self.tells_versions else None
        entities = [
            None if id_ in self.hidden and who != "alice" else _item(id_, version, who) for id_, version in read
        ]
        return SubgraphResponse({"_entities": entities}, None, told)


def _item(id_: str, version: int, who: str) -> dict[str, Any]:
    return {"__typename": "Item", "id": id_, "version": version, "seen": f"by {who}", "secret": who, "stock": 1}


PUBLIC = "query($ids: [ID!]!) { items(ids: $ids) { id version } }"
SEEN = "query($ids: [ID!]!) { items(ids: $ids) { id version seen } }"
SECRET = "query($ids: [ID!]!) { items(ids: $ids) { id version secret } }"


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        made: Store = MemoryStore(1_000_000)
    else:
        # The tests are about what is right: a busy machine must not make the cache rest.
        made = RedisStore(request.getfixturevalue("redis_url"), timeout=5, prefix=f"test{random.random()}:")
    yield made
    await made.close()


async def test_only_what_is_missing_is_asked_for(store: Store) -> None:
    """A second query takes from the cache what the first brought, and asks for the rest in one request."""
    shop, cache = Shop(), Cache(store)
    compiled = shop.compiled(PUBLIC)
    await shop.ask(compiled, cache, ["1", "2"])
    answer = await shop.ask(compiled, cache, ["2", "3", "1", "4"], "alice")
    assert [item["id"] for item in answer["data"]["items"]] == ["2", "3", "1", "4"]
    assert shop.asked == [("", ["1", "2"]), ("", ["3", "4"])]


@pytest.mark.parametrize("fields", ["version stock", "version part { size }"])
async def test_what_has_no_age_is_not_kept(fields: str) -> None:
    """An age of 0, and a composite field without a hint, keep the whole selection out of the cache."""
    shop, cache = Shop(), Cache(MemoryStore(1_000_000))
    compiled = shop.compiled(f"query($ids: [ID!]!) {{ items(ids: $ids) {{ {fields} }} }}")
    for _ in range(2):
        await shop.ask(compiled, cache, ["1"])
    assert len(shop.asked) == 2


@pytest.mark.parametrize("query", [SEEN, SECRET])
async def test_what_is_private_or_guarded_is_kept_for_its_caller_alone(store: Store, query: str) -> None:
    """Alice's answer serves alice again, and nobody else; a stranger's is not kept at all."""
    shop, cache = Shop(), Cache(store)
    compiled = shop.compiled(query)
    for who in (*USERS, *USERS):
        answer = await shop.ask(compiled, cache, ["1"], who)
        assert answer["data"]["items"][0].get("seen", f"by {who}") == f"by {who}"
        assert answer["data"]["items"][0].get("secret", who) == who
    assert [who for who, _ in shop.asked] == ["", "alice", "bob", ""]


async def test_what_a_stranger_may_not_see_never_becomes_public(store: Store) -> None:
    """Alice gets what only she sees, every time; a stranger never does, not even after her."""
    shop, cache = Shop(), Cache(store)
    shop.hidden.add("1")
    compiled = shop.compiled(PUBLIC)
    for who, sees in (("alice", True), ("", False), ("alice", True), ("bob", False)):
        answer = await shop.ask(compiled, cache, ["1", "2"], who)
        assert ((answer["data"] or {}).get("items") is not None) is sees


async def test_answers_with_errors_are_not_kept(store: Store) -> None:
    """After a failure the subgraph is asked again, and its error is the client's, once."""
    shop, cache = Shop(), Cache(store)
    shop.failing = True
    compiled = shop.compiled(PUBLIC)
    assert len((await shop.ask(compiled, cache, ["1"], "alice"))["errors"]) == 1
    shop.failing = False
    assert "errors" not in await shop.ask(compiled, cache, ["1"])


async def test_requests_at_once_share_one_fetch_and_survive_its_leader() -> None:
    """Fifty requests that miss the same entity ask once, though the first of them is given up."""
    shop, cache = Shop(), Cache(MemoryStore(1_000_000))
    shop.gate = asyncio.Event()
    compiled = shop.compiled(PUBLIC)
    tasks = [asyncio.create_task(shop.ask(compiled, cache, ["1"])) for _ in range(50)]
    await shop.calls.acquire()
    tasks[0].cancel()
    shop.gate.set()
    answers = await asyncio.gather(*tasks[1:])
    assert len(shop.asked) == 1
    assert all(answer["data"]["items"] == [{"id": "1", "version": 0}] for answer in answers)
    assert isinstance((await asyncio.gather(tasks[0], return_exceptions=True))[0], asyncio.CancelledError)


async def test_a_slow_answer_does_not_come_back_after_a_purge(store: Store) -> None:
    """What was read before a purge is not shared with those who come after it, on its way or kept."""
    shop, cache = Shop(), Cache(store)
    shop.gate = asyncio.Event()
    compiled = shop.compiled(PUBLIC)
    slow = asyncio.create_task(shop.ask(compiled, cache, ["1"]))
    await shop.calls.acquire()
    shop.versions["1"] = 1
    await store.purge([Purge("Item:1")])
    quick = asyncio.create_task(shop.ask(compiled, cache, ["1"]))
    await shop.calls.acquire()
    shop.gate.set()
    assert (await slow)["data"]["items"][0]["version"] == 0
    assert (await quick)["data"]["items"][0]["version"] == 1
    assert (await shop.ask(compiled, cache, ["1"]))["data"]["items"][0]["version"] == 1


async def test_a_late_replica_cannot_refill_an_old_version(store: Store) -> None:
    """An answer that tells an older version than the purged one is not served, whenever it was fetched."""
    shop, cache = Shop(), Cache(store)
    shop.tells_versions = True
    compiled = shop.compiled(PUBLIC)
    await store.purge([Purge("Item:1", 1)])
    await shop.ask(compiled, cache, ["1"])  # the replica still says 0
    shop.versions["1"] = 1
    assert (await shop.ask(compiled, cache, ["1"]))["data"]["items"][0]["version"] == 1
    assert (await shop.ask(compiled, cache, ["1"]))["data"]["items"][0]["version"] == 1
    assert len(shop.asked) == 2


@pytest.mark.parametrize("tag", ["Item:1", "type:Item", "subgraph:items"])
async def test_purging_by_entity_type_or_subgraph(store: Store, tag: str) -> None:
    """Each kind of tag takes the entry away; another entity's does not."""
    shop, cache = Shop(), Cache(store)
    compiled = shop.compiled(PUBLIC)
    await shop.ask(compiled, cache, ["1"])
    await store.purge([Purge("Item:2")])
    await shop.ask(compiled, cache, ["1"])
    assert len(shop.asked) == 1
    await store.purge([Purge(tag)])
    await shop.ask(compiled, cache, ["1"])
    assert len(shop.asked) == 2


async def _storm(shop: Shop, caches: list[Cache], *, honest: bool) -> int:
    """Writers, purges, slow readers, three callers, all at random; how many answers were older than a purge."""
    plans = [shop.compiled(query) for query in (PUBLIC, SEEN, SECRET)]
    purged: Counter[str] = Counter()
    stale = 0
    ids = [str(number) for number in range(4)]

    async def write() -> None:
        for _ in range(60):
            id_ = random.choice(ids)
            shop.versions[id_] += 1
            version = shop.versions[id_]
            await asyncio.sleep(random.random() * 0.002)
            if honest:
                await random.choice(caches).store.purge([Purge(f"Item:{id_}"), Purge("unnamed:Item")])
            purged[id_] = max(purged[id_], version)
            await asyncio.sleep(random.random() * 0.004)

    async def read() -> None:
        nonlocal stale
        for _ in range(60):
            who, wanted = random.choice(USERS), random.sample(ids, 2)
            least = {id_: purged[id_] for id_ in wanted}
            answer = await shop.ask(random.choice(plans), random.choice(caches), wanted, who)
            for item in answer["data"]["items"]:
                stale += item["version"] < least[item["id"]]
                assert item.get("seen", f"by {who}") == f"by {who}"
                assert item.get("secret", who) == who
            await asyncio.sleep(0)

    await asyncio.gather(*(write() for _ in range(3)), *(read() for _ in range(12)))
    return stale


async def test_never_another_callers_and_never_older_than_a_purge(store: Store) -> None:
    """Two routers on one store, concurrent writes, slow answers: every answer is the caller's own and new enough."""
    shop = Shop(delay=0.005)
    caches = [Cache(store), Cache(store)]
    assert await _storm(shop, caches, honest=True) == 0
    assert sum(len(ids) for _, ids in shop.asked) < 12 * 60 * 2, "nothing came from the cache"


async def test_the_storm_would_find_what_is_old() -> None:
    """Without purges the same storm does see old versions."""
    assert await _storm(Shop(delay=0.005), [Cache(MemoryStore(1_000_000))], honest=False) > 0


@pytest.mark.parametrize("clock", [1_795_000_000_000_001, 1_795_000_000_000_049, 1_795_000_000_000_099])
async def test_redis_counts_exactly(redis_url: str, clock: int) -> None:
    """The clock is long: not one purge may be lost, nor one too many seen, by rounding."""
    store = RedisStore(redis_url, timeout=5, prefix=f"test{random.random()}:")
    await store._client.hset(store._prefix + b"purges", mapping={"clock": clock, "floor": clock})
    before = (await store.look_up([])).stamp
    await store.purge([Purge("Item:1")])
    after = (await store.look_up([])).stamp
    assert (before.clock, after.clock) == (clock, clock + 1)
    for stamp, counts in ((before, False), (after, True)):
        await store.keep(stamp, [Entry(b"k", b"1", ("Item:1",), 60)])
        assert (await store.look_up([b"k"])).entries == [b"1" if counts else None]
    version = clock + 7
    await store.purge([Purge("Item:2", version)])
    for told, counts in ((version - 1, False), (version, True)):
        await store.keep(before, [Entry(b"k", b"1", ("Item:2",), 60, {"Item:2": told})])
        assert (await store.look_up([b"k"])).entries == [b"1" if counts else None]
    await store.close()


async def test_redis_waits_for_late_replicas(redis_url: str) -> None:
    """``hold`` by the server's clock: what is fetched in that time does not count, what is fetched after it does."""
    store = RedisStore(redis_url, timeout=5, hold=0.3, prefix=f"test{random.random()}:")
    await store.purge([Purge("Item:1")])
    began = time.monotonic()
    counted = False
    while not counted:
        stamp = (await store.look_up([])).stamp
        await store.keep(stamp, [Entry(b"k", b"1", ("Item:1",), 60), Entry(b"other", b"1", ("Item:2",), 60)])
        kept, other = (await store.look_up([b"k", b"other"])).entries
        assert other == b"1"
        counted = kept is not None
        assert time.monotonic() - began < 10
    assert time.monotonic() - began >= 0.29
    await store.close()


async def test_a_flush_forgets_entries_on_their_way(redis_url: str) -> None:
    """A purge that a flush made the store forget still keeps out what was fetched before it."""
    store = RedisStore(redis_url, timeout=5, prefix=f"test{random.random()}:")
    before = (await store.look_up([b"k"])).stamp
    await store.purge([Purge("Item:1")])
    await store._client.flushall()
    await store.keep(before, [Entry(b"k", b"1", ("Item:1",), 60)])
    found = await store.look_up([b"k"])
    assert found.entries == [None]
    await store.keep(found.stamp, [Entry(b"k", b"2", ("Item:1",), 60)])
    assert (await store.look_up([b"k"])).entries == [b"2"]
    await store.close()


class Trusting(RedisStore):
    """The control: it takes every server for the one that has all purges."""

    async def _meet(self, connection: Any) -> None:
        await connection.on_connect_check_health(check_health=True)


async def test_a_server_that_starts_from_a_snapshot_has_nothing_that_counts() -> None:
    """It has the entry, and not the purge that came after the snapshot; nor does what was on its way count."""
    with redis_restartable() as server:
        store = RedisStore(server.url, timeout=5)
        before = (await store.look_up([])).stamp
        await store.keep(before, [Entry(b"k", b"1", ("Item:1",), 60)])
        assert (await store.look_up([b"k"])).entries == [b"1"]
        await store._client.save()
        await store.purge([Purge("Item:1")])
        server.process.kill()
        await asyncio.to_thread(server.process.start)
        async with Redis.from_url(server.url) as raw:
            assert await raw.exists("router:cache:k"), "the snapshot was loaded"
            assert not await raw.hexists("router:cache:purges", "=Item:1")
        control = Trusting(server.url, timeout=5)
        assert (await control.look_up([b"k"])).entries == [b"1"], "without the guard the old answer is back"
        await control.close()
        assert (await store.look_up([b"k"])).entries == [None]
        await store.keep(before, [Entry(b"k", b"1", ("Item:1",), 60)])
        found = await store.look_up([b"k"])
        assert found.entries == [None]
        await store.keep(found.stamp, [Entry(b"k", b"2", ("Item:1",), 60)])
        other = RedisStore(server.url, timeout=5)
        assert (await other.look_up([b"k"])).entries == [b"2"], "another router knows this server, too"
        await store.close()
        await other.close()


@pytest.mark.parametrize("tag", ["clock", "floor", "server", "", "=", "a\nb", "한글"])
async def test_a_tag_may_have_any_name(store: Store, tag: str) -> None:
    """Nothing that a subgraph calls a tag disturbs the store's own books."""
    stamp = (await store.look_up([])).stamp
    await store.keep(stamp, [Entry(b"k", b"1", (tag,), 60, {tag: 1}), Entry(b"other", b"1", ("Item:1",), 60)])
    assert (await store.look_up([b"k", b"other"])).entries == [b"1", b"1"]
    await store.purge([Purge(tag, 2)])
    assert (await store.look_up([b"k", b"other"])).entries == [None, b"1"]
    await store.purge([Purge(tag)])
    assert (await store.look_up([b"k", b"other"])).entries == [None, b"1"]


async def test_what_has_too_many_tags_is_not_kept(store: Store) -> None:
    """A thousand tags would be looked up each time; that many are kept, one more is not, by both stores."""
    shop, cache = Shop(), Cache(store)
    compiled = shop.compiled("query($ids: [ID!]!) { items(ids: $ids) { id } }")
    for count, requests in ((998, 1), (999, 2)):  # and two tags for the type and the subgraph
        shop.listed = 0
        for _ in range(2):
            await shop.ask(compiled, cache, [str(number) for number in range(count)])
        assert shop.listed == requests


async def test_without_redis_everything_works() -> None:
    """A store that is away costs no error, and rests instead of being tried by each request."""
    store = RedisStore("redis://127.0.0.1:1/0", pause=60)
    shop, cache = Shop(), Cache(store)
    compiled = shop.compiled(PUBLIC)
    for _ in range(3):
        assert "errors" not in await shop.ask(compiled, cache, ["1"], "alice")
    assert len(shop.asked) == 3
    with pytest.raises(StoreDown, match="resting"):
        await store.look_up([b"k"])
    with pytest.raises(StoreDown):
        await store.purge([Purge("Item:1")])
    await store.close()


async def test_memory_is_bounded_and_entries_end() -> None:
    """The least recently used go first; an entry is gone when its time is up; too many purges begin anew."""
    now = 0.0
    store = MemoryStore(1_500, remembered=2, now=lambda: now)
    for key in (b"a", b"b", b"a", b"c"):
        await store.keep(Stamp(0, 0), [Entry(key, b"x" * 100, (), 10)])
    assert (await store.look_up([b"a", b"b", b"c"])).entries == [b"x" * 100] * 3
    await store.keep(Stamp(0, 0), [Entry(b"d", b"x" * 100, (), 10)])
    assert [entry is not None for entry in (await store.look_up([b"a", b"b", b"c", b"d"])).entries].count(False) == 1
    now = 11.0
    assert (await store.look_up([b"c", b"d"])).entries == [None, None]
    await store.keep((await store.look_up([])).stamp, [Entry(b"e", b"x", (), 10)])
    await store.purge([Purge(tag) for tag in "123"])
    assert (await store.look_up([b"e"])).entries == [None]
