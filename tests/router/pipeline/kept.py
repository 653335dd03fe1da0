"""Two subgraphs whose answers may be kept, and the router with a cache before them."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode
from typing import Any

import orjson
from pydantic import SecretStr

from router.app import RouterApp, create_app
from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.executor.entity_cache.naming import ALIAS
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.pipeline.health import Health
from router.pipeline.serving import InternalDoor
from router.settings import CacheSettings, RateLimits, Settings
from tests.router.pipeline.client import Response, call
from tests.router.pipeline.test_auth import ED, TOKENS, Issuer

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
PARENT = '{items(ids:["1"]){parent{price}}}'
ENTITY = {"kind": "entity", "subgraph": "items", "type": "Item", "key": {"id": "1"}}


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


def claims_of(request: SubgraphRequest) -> bytes:
    body = request.headers["router-claims"].split(".")[0]
    return urlsafe_b64decode(body + "=" * (-len(body) % 4))


def looked_up(app: RouterApp, outcome: str) -> float:
    """What the metrics say of items."""
    labels = {"subgraph": "items", "type": "Item", "outcome": outcome}
    return app.telemetry.registry.get_sample_value("router_entity_cache_lookups_total", labels) or 0


async def invalidate(app: RouterApp, asked: Any, *, secret: str = SECRET, method: str = "POST") -> Response:
    """The request, at the operators' door."""
    door = InternalDoor(lambda: b"", Health(), app.invalidation)
    body = asked if isinstance(asked, bytes) else orjson.dumps(asked)
    return await call(door, method, "/invalidation", body=body, headers={"authorization": secret})  # type: ignore[arg-type]
