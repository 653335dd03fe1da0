"""Two routers, processes of their own, on one Redis: whatever dies, nobody gets another's answer or an old one.

Writers change versions and tell a router; readers of three kinds ask either router at random, through a subgraph that
is slow after it has read. In the middle a router is killed and comes back, and Redis forgets everything.
"""

from __future__ import annotations

import asyncio
import random
import sys
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from redis.asyncio import Redis

from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.pipeline.asgi import Receive, Scope, Send, read_body, send_whole
from tests.router.pipeline.test_auth import ED, Issuer, token
from tests.router.pipeline.test_full_stack import listening
from tests.support.process import Process, accepts, free_port

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:EdDSA is deprecated")]

ROOT = Path(__file__).parents[2]
LINK = """
extend schema
  @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@requiresScopes", "@composeDirective"])
  @link(url: "https://dure.dev/cacheControl/v0.1", import: ["@cacheControl"])
  @composeDirective(name: "@cacheControl")
directive @cacheControl(maxAge: Int, scope: CacheControlScope, inheritMaxAge: Boolean) on OBJECT | FIELD_DEFINITION
enum CacheControlScope { PUBLIC PRIVATE }
"""
LISTS = LINK + 'type Query { items(ids: [ID!]!): [Item!]! } type Item @key(fields: "id", resolvable: false) { id: ID! }'
ITEMS = (
    LINK
    + """
type Item @key(fields: "id") @cacheControl(maxAge: 60) {
  id: ID! version: Int! seen: String @cacheControl(scope: PRIVATE)
  secret: String @requiresScopes(scopes: [["read"]])
}
"""
)
SECRET = "the operators' secret"
IDS = ("1", "2", "3")
FIELDS = {"": ("id version",), "alice": ("id version", "id version seen", "id version secret")}
FIELDS["bob"] = FIELDS["alice"]


class Backend:
    """Both subgraphs and the token issuer: one ASGI application, in the test's process, so that it can count."""

    def __init__(self) -> None:
        self.versions: Counter[str] = Counter()
        self.entities = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/graphql/keys":
            await send_whole(send, 200, b"application/json", orjson.dumps(await Issuer(ED)()), [])
            return
        message = orjson.loads(await read_body(receive, None, 10**6))
        variables = message.get("variables") or {}
        if "ids" in variables:
            data: Any = {"items": [{"__typename": "Item", "id": id_} for id_ in variables["ids"]]}
        else:
            data = await self._entities(variables["representations"], _who(dict(scope["headers"])))
        await send_whole(send, 200, b"application/json", orjson.dumps({"data": data}), [])

    async def _entities(self, asked: list[dict[str, str]], who: str) -> dict[str, Any]:
        self.entities += len(asked)
        read = [(each["id"], self.versions[each["id"]]) for each in asked]
        await asyncio.sleep(random.random() * 0.02)  # and now it may be old
        made = [{"__typename": "Item", "id": id_, "version": n, "seen": who, "secret": who} for id_, n in read]
        return {"_entities": made}


def _who(headers: dict[bytes, bytes]) -> str:
    body = headers[b"router-claims"].decode().split(".")[0]
    return orjson.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"] or ""


class Router:
    """``python -m router serve``, on ports that it keeps."""

    def __init__(self, folder: Path, supergraph: Path, backend: str, redis_url: str, module: str) -> None:
        self.port, self.internal = free_port(), free_port()
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "ROUTER_SUBGRAPHS__ITEMS__URL": backend,
            "ROUTER_SUBGRAPHS__LISTS__URL": backend,
            "ROUTER_TOKENS__JWKS_URL": f"{backend}/keys",
            "ROUTER_TOKENS__ISSUER": "https://issuer",
            "ROUTER_TOKENS__AUDIENCE": "shop",
            "ROUTER_CLAIMS_SECRET": "x" * 32,
            "ROUTER_RATE_LIMITS__ENABLED": "false",
            "ROUTER_RESILIENCE__LAG": "10",
            "ROUTER_SUBGRAPH_TIMEOUT": "20",
            "ROUTER_REQUEST_TIMEOUT": "30",
            "ROUTER_INTERNAL_PORT": str(self.internal),
            "ROUTER_CACHE__ENABLED": "true",
            "ROUTER_CACHE__REDIS_URL": redis_url,
            "ROUTER_CACHE__PREFIX": f"{folder.name}:",
            "ROUTER_CACHE__TIMEOUT": "2",
            "ROUTER_CACHE__INVALIDATION_SECRET": SECRET,
        }
        self.process = Process(
            [sys.executable, "-m", module, "serve", "--supergraph", str(supergraph), "--port", str(self.port)],
            user=None,
            log=folder / f"{self.port}.log",
            ready=lambda: accepts(self.port) and accepts(self.internal),
            env=environment,
        )


class Storm:
    """``stale``: answers older than what had been acknowledged as purged when they were asked for."""

    def __init__(self, backend: Backend, routers: list[Router], session: aiohttp.ClientSession) -> None:
        self.backend, self.routers, self.session = backend, routers, session
        self.purged: Counter[str] = Counter()
        self.reads = self.purges = self.stale = 0
        self.over = asyncio.Event()
        self.tokens = {who: token(sub=who, sid=who, scopes=["read"]) for who in ("alice", "bob")}

    async def write(self) -> None:
        """Change something, tell a router that does answer, note what every later reader must see."""
        while not self.over.is_set():
            id_ = random.choice(IDS)
            self.backend.versions[id_] += 1
            version = self.backend.versions[id_]
            await asyncio.sleep(random.random() * 0.005)
            asked = [{"kind": "entity", "subgraph": "items", "type": "Item", "key": {"id": id_}}]
            url = f"http://127.0.0.1:{random.choice(self.routers).internal}/invalidation"
            try:
                async with self.session.post(url, json=asked, headers={"authorization": SECRET}) as answer:
                    taken = answer.status == 202
            except (aiohttp.ClientError, OSError):
                taken = False  # perhaps it was: nobody may rely on it
            if taken:
                self.purges += 1
                self.purged[id_] = max(self.purged[id_], version)
            await asyncio.sleep(random.random() * 0.1)

    async def read(self) -> None:
        """Ask as somebody, and look at every item of the answer."""
        while not self.over.is_set():
            who, wanted = random.choice(list(FIELDS)), random.sample(IDS, 2)
            least = {id_: self.purged[id_] for id_ in wanted}
            query = f"query($ids: [ID!]!) {{ items(ids: $ids) {{ {random.choice(FIELDS[who])} }} }}"
            headers = {"authorization": f"Bearer {self.tokens[who]}"} if who else {}
            url = f"http://127.0.0.1:{random.choice(self.routers).port}/graphql"
            body = {"query": query, "variables": {"ids": wanted}}
            try:
                async with self.session.post(url, json=body, headers=headers) as response:
                    answer = await response.json()
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.01)
                continue
            assert "errors" not in answer, answer
            self.reads += 1
            for item in answer["data"]["items"]:
                self.stale += item["version"] < least[item["id"]]
                assert item.get("seen", who) == who
                assert item.get("secret", who) == who

    async def until(self, reads: int) -> None:
        """So many more reads, or the first stale one."""
        wanted = self.reads + reads
        while self.reads < wanted and not self.stale:  # noqa: ASYNC110 - the tasks have no event for it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def storm(folder: Path, redis_url: str, module: str) -> AsyncIterator[Storm]:
    """Two routers, and the storm over them while the block runs."""
    composed = compose([SubgraphInput("lists", "", LISTS), SubgraphInput("items", "", ITEMS)])
    assert composed.supergraph_sdl is not None, composed.errors
    supergraph = folder / "supergraph.graphql"
    supergraph.write_text(composed.supergraph_sdl)
    backend = Backend()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(backend))
        routers = [Router(folder, supergraph, url, redis_url, module) for _ in range(2)]
        for router in routers:
            stack.callback(router.process.stop)
        await asyncio.gather(*(asyncio.to_thread(router.process.start) for router in routers))
        made = Storm(backend, routers, await stack.enter_async_context(aiohttp.ClientSession()))
        async with asyncio.timeout(100), asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(made.write())
            for _ in range(8):
                group.create_task(made.read())
            try:
                yield made
            finally:
                made.over.set()


async def test_never_anothers_and_never_older_than_what_was_purged(tmp_path: Path, redis_url: str) -> None:
    """Through a router's death and return, and a Redis that forgets; and most of it did come from the cache."""
    async with storm(tmp_path, redis_url, "router") as weather:
        await weather.until(200)
        weather.routers[0].process.kill()
        await weather.until(150)
        async with Redis.from_url(redis_url) as redis:
            await redis.flushall()
        await weather.until(150)
        await asyncio.to_thread(weather.routers[0].process.start)
        await weather.until(200)
    assert weather.stale == 0
    assert weather.purges > 10
    assert weather.backend.entities < 2 * weather.reads * 0.8, "a good part of the items came from the cache"


async def test_without_the_guard_the_same_storm_sees_what_is_old(tmp_path: Path, redis_url: str) -> None:
    """The control: a router that stores slow answers as new ones is caught."""
    async with storm(tmp_path, redis_url, "tests.router.unguarded") as weather:
        await weather.until(20_000)
    assert weather.stale > 0
