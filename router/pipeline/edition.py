"""What is served at one time: a supergraph under some settings. A reload makes the next edition and then swaps them,
so a request ends in the edition that it began in, and what cannot be served never is."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from router.errors import SupergraphError
from router.executor.entity_cache.session import Cache
from router.pipeline.addresses import Addresses
from router.pipeline.auth import KeySource, TokenVerifier
from router.pipeline.buckets import MemoryBuckets, RedisBuckets
from router.pipeline.callers import Callers
from router.pipeline.clients import NO_KEY, Clients
from router.pipeline.documents import Rule
from router.pipeline.explorer import Explorer
from router.pipeline.http import HttpEndpoint
from router.pipeline.lookup import LookUp, MemoryStore, RedisTexts
from router.pipeline.persisted import PersistedOperation
from router.pipeline.pipeline import Graph, Pipeline
from router.pipeline.policies import Policies
from router.pipeline.rate_limits import RateLimiter
from router.pipeline.rest.bindings import read_bindings
from router.pipeline.rest.endpoint import Rest, RestEndpoint
from router.pipeline.shared import Shared
from router.pipeline.shedding import Admission
from router.pipeline.signed_in import EndedSessions
from router.pipeline.subgraphs import Subgraphs
from router.settings import Settings, SharedSettings
from router.supergraph.load import load_supergraph
from router.telemetry import Telemetry
from router.telemetry.tracing import Tracing

Opened = TypeVar("Opened", bound="Shared | Policies")


@dataclass(frozen=True, slots=True)
class Lasting:
    """What all editions of a process share."""

    subgraphs: Subgraphs
    pool: Executor
    rules: tuple[Rule, ...]
    key_source: KeySource | None
    telemetry: Telemetry
    cache: Cache | None
    ended_sessions: EndedSessions = field(default_factory=EndedSessions)
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    opened: list[Shared | Policies] = field(default_factory=list)
    """Closed with the process's other connections: an edition that has gone may still use them."""

    def share(self, settings: SharedSettings, use: str) -> Shared | None:
        """What routers share for this use, if they share anything."""
        if settings.redis_url is None:
            return None
        return self.opens(Shared(settings.redis_url, settings, lambda: self.telemetry.shared_failed(use)))

    def opens(self, one: Opened) -> Opened:
        """Take note of something to close."""
        self.opened.append(one)
        return one

    async def close(self) -> None:
        """Give back connections."""
        for one in self.opened:
            await one.close()
        if self.cache is not None:
            await self.cache.close()
        await self.subgraphs.close()


class Edition:
    """Everything that depends on supergraph or settings. ``before``: whose counters and caches go on, where the
    settings that they depend on are the same."""

    def __init__(self, supergraph_sdl: str, settings: Settings, lasting: Lasting, before: Edition | None) -> None:
        """Raises SupergraphError, and SourceError for manifests, keys or bindings that cannot be used."""
        supergraph = load_supergraph(supergraph_sdl)
        if not supergraph.subgraphs:
            raise SupergraphError("the supergraph has no subgraphs")
        self.supergraph_sdl = supergraph_sdl
        self.settings = settings
        self.clients = Clients(settings)
        self.addresses = Addresses(settings.trusted_proxies)
        self._carry_on(lasting, before)
        callers = Callers(self.clients, self.tokens, self.limiter, lasting.ended_sessions)
        self.graph = Graph(supergraph, settings, lasting.pool, lasting.rules)
        self.transports = lasting.subgraphs.of(supergraph, settings, lasting.telemetry)
        self.pipeline = Pipeline(
            self.graph,
            settings,
            self.transports,
            callers,
            self.look_up,
            self.addresses,
            lasting.telemetry,
            lasting.cache,
            self.policies,
        )
        self.graphql = HttpEndpoint(
            self.pipeline, settings, lasting.telemetry.tracing, self.admission, lasting.draining
        )
        self.rest = self._rest_endpoint(lasting.telemetry.tracing)
        self.explorer = Explorer(settings.explorer_assets, settings.explorer_examples) if settings.dev else None
        self.broken: dict[str, str] = {}
        """Persisted operations that cannot be run, by their text, and why: filled by whoever checks them."""

    @property
    def operations(self) -> tuple[PersistedOperation, ...]:
        """Every operation that the operator has published: in manifests, or bound to paths."""
        found = (*self.clients.operations, *self._bound())
        return tuple({one.body: one for one in reversed(found)}.values())[::-1]

    @property
    def published(self) -> dict[str, list[str]]:
        """Names of all these operations, by who runs them."""
        mine = self.clients.published
        return {**mine, NO_KEY: [*mine.get(NO_KEY, ()), *(operation.name for operation in self._bound())]}

    def _bound(self) -> list[PersistedOperation]:
        endpoints = self.rest.rest.api.endpoints if self.rest is not None else ()
        return [call.operation for one in endpoints for call in one.calls]

    def _carry_on(self, lasting: Lasting, before: Edition | None) -> None:
        settings = self.settings
        same = _same(before, settings, "tokens")
        self.tokens: TokenVerifier = same.tokens if same else TokenVerifier(settings.tokens, lasting.key_source)
        same = _same(before, settings, "rate_limits", "trusted_proxies", "shared")
        self.limiter: RateLimiter = same.limiter if same else self._limiter(lasting)
        same = _same(before, settings, "persisted", "shared")
        self.look_up: LookUp = same.look_up if same else self._look_up(lasting)
        same = _same(before, settings, "policies", "http_client", "connect_timeout")
        self.policies: Policies = same.policies if same else lasting.opens(Policies(settings))
        same = _same(before, settings, "resilience")
        self.admission: Admission = same.admission if same else _admission(settings)

    def _limiter(self, lasting: Lasting) -> RateLimiter:
        settings = self.settings
        own = MemoryBuckets(settings.rate_limits.callers)
        shared = lasting.share(settings.shared, "rate_limits") if settings.rate_limits.enabled else None
        buckets = RedisBuckets(shared, own) if shared is not None else own
        return RateLimiter(settings.rate_limits, buckets, self.addresses)

    def _look_up(self, lasting: Lasting) -> LookUp:
        persisted = self.settings.persisted
        if not persisted.automatic:
            return LookUp(None)
        own = MemoryStore(persisted.size)
        shared = lasting.share(self.settings.shared, "persisted")
        return LookUp(RedisTexts(shared, own, persisted.lifetime) if shared is not None else own)

    def _rest_endpoint(self, tracing: Tracing) -> RestEndpoint | None:
        if self.settings.rest is None:
            return None
        schema = self.graph.schema
        rest = Rest(read_bindings(self.settings.rest, schema), schema)
        return RestEndpoint(rest, lambda: self.pipeline, self.settings, self.admission, tracing)


def _same(before: Edition | None, settings: Settings, *names: str) -> Edition | None:
    """``before``, if these settings are the same in it."""
    if before is None or any(getattr(before.settings, name) != getattr(settings, name) for name in names):
        return None
    return before


def _admission(settings: Settings) -> Admission:
    bounds = settings.resilience
    return Admission(bounds.requests, bounds.requests_floor, bounds.lag, bounds.busy)
