"""The router as an ASGI application: ``/graphql``, health, and in development the explorer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from router.errors import SupergraphError
from router.executor.transport import Transport
from router.pipeline.asgi import Message, Receive, Scope, Send, send_whole
from router.pipeline.auth import KeySource, TokenVerifier
from router.pipeline.caching import open_cache
from router.pipeline.callers import Callers
from router.pipeline.clients import Clients
from router.pipeline.documents import Rule
from router.pipeline.explorer import ASSETS, Explorer
from router.pipeline.health import Health
from router.pipeline.http import HttpEndpoint
from router.pipeline.lookup import LookUp, MemoryStore
from router.pipeline.pipeline import Graph, Pipeline
from router.pipeline.rate_limits import RateLimiter
from router.pipeline.rest.bindings import read_bindings
from router.pipeline.rest.endpoint import Rest, RestEndpoint
from router.pipeline.subgraphs import Subgraphs
from router.pipeline.supergraph_source import Load, follow
from router.pipeline.websocket import SocketEndpoint
from router.settings import Settings
from router.supergraph.load import load_supergraph
from router.telemetry import Telemetry

POLL = 1.0
"""Changes of the supergraph are looked for this often (seconds)."""

WORKERS = 2
"""Threads that parse, validate and plan, so that the event loop does not."""


def create_app(
    supergraph_sdl: str,
    settings: Settings,
    transports: Mapping[str, Transport] | None = None,
    key_source: KeySource | None = None,
    *,
    rules: tuple[Rule, ...] = (),
    telemetry: Telemetry | None = None,
) -> RouterApp:
    """The application for a supergraph. Raises SupergraphError if it cannot be served, SourceError for bad manifests.

    ``transports`` are used in place of HTTP for the subgraphs they name; ``key_source`` gives the token issuer's JWKS
    in place of ``tokens.jwks_url``; ``rules`` are further limits on operations;
    ``telemetry`` shares the process's registry and tracer.
    """
    return RouterApp(supergraph_sdl, settings, Subgraphs(settings, transports), key_source, rules, telemetry)


class RouterApp:
    """An ASGI application. Give it ``reload`` for a new supergraph, and ``close`` where no lifespan is run."""

    def __init__(
        self,
        supergraph_sdl: str,
        settings: Settings,
        subgraphs: Subgraphs,
        key_source: KeySource | None,
        rules: tuple[Rule, ...],
        telemetry: Telemetry | None = None,
    ) -> None:
        self._settings = settings
        self._subgraphs = subgraphs
        self._clients = Clients(settings)
        self._callers = Callers(
            self._clients, TokenVerifier(settings.tokens, key_source), RateLimiter(settings.rate_limits)
        )
        self._look_up = LookUp(MemoryStore(settings.persisted.size) if settings.persisted.automatic else None)
        self._rules = rules
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="router")
        self._explorer = Explorer(settings.explorer_assets, settings.explorer_examples) if settings.dev else None
        self.health = Health()
        self.telemetry = telemetry or Telemetry()
        self.telemetry.access_log_ratio = settings.access_log_ratio
        self.telemetry.know(operation.name for operation in self._clients.operations)
        self.telemetry.cache_size("documents", lambda: len(self.graphql.pipeline.graph.documents))
        self.telemetry.cache_size("plans", lambda: len(self.graphql.pipeline.graph.plans))
        self.cache = open_cache(settings.cache, self.telemetry)
        """What subgraphs answered: ``cache.store`` is purged by those who know of changes."""
        self.supergraph_sdl = supergraph_sdl
        self.source: Load | None = None
        """Where to look for changes of the supergraph while the lifespan runs."""
        self.ending_sessions: AsyncIterator[str] | None = None
        """The ids of sessions as they end, listened to while the lifespan runs."""
        self.graphql = HttpEndpoint(self._pipeline(supergraph_sdl), settings, self.telemetry.tracing)
        self._rest = self._rest_endpoint()
        self._sockets = SocketEndpoint(lambda: self.graphql.pipeline, settings, self.telemetry)
        self.health.serves(supergraph_sdl)
        self.health.ready = True

    def reload(self, supergraph_sdl: str) -> None:
        """Serve another supergraph from now on. Raises SupergraphError, and goes on with the old one."""
        pipeline = self._pipeline(supergraph_sdl)
        rest = self._bound(pipeline)
        self.graphql.pipeline = pipeline
        if self._rest is not None and rest is not None:
            self._rest.rest = rest
        self.supergraph_sdl = supergraph_sdl
        self.telemetry.reloaded(accepted=True)
        self.health.serves(supergraph_sdl)

    def refuse(self, why: str) -> None:
        """Take down that there was something new that cannot be served."""
        self.telemetry.reloaded(accepted=False)
        self.health.refused(why)

    async def drain(self) -> None:
        """Before the end: not ready any more; sockets and streams are told to go on elsewhere. Requests go on."""
        self.health.draining = True
        await asyncio.sleep(self._settings.drain_notice)
        self.graphql.draining.set()
        await self._sockets.drain()

    async def close(self) -> None:
        """Give back connections and threads."""
        self.health.ready = False
        if self.cache is not None:
            await self.cache.close()
        await self._subgraphs.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by path."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        if scope["type"] == "websocket":
            await self._sockets(scope, receive, send)
        elif self._explorer is not None and scope["method"] == "GET" and _wants_page(path, scope):
            await self._explorer.page(send)
        elif path == "/graphql":
            await self._measured(scope, receive, send)
        elif path == "/health" or path.startswith("/health/"):
            await self.health.answer(send, live=path == "/health/live")
        elif self._explorer is not None and path.startswith(ASSETS):
            await self._explorer.asset(path, send)
        elif self._rest is not None and self._rest.serves(scope):
            await self._rest(scope, receive, send)
        else:
            await send_whole(send, 404, b"text/plain; charset=utf-8", b"Not found.", [])

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status = 499  # the client went before it was answered

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.graphql(scope, receive, counted)
        finally:
            self.telemetry.request(status, time.perf_counter() - started)

    def _rest_endpoint(self) -> RestEndpoint | None:
        rest = self._bound(self.graphql.pipeline)
        if rest is None:
            return None
        return RestEndpoint(rest, lambda: self.graphql.pipeline, self._settings)

    def _bound(self, pipeline: Pipeline) -> Rest | None:
        """The REST API over a graph. Raises SourceError for bindings that do not fit it."""
        file, schema = self._settings.rest, pipeline.schema
        return Rest(read_bindings(file, schema), schema) if file is not None else None

    def _pipeline(self, supergraph_sdl: str) -> Pipeline:
        supergraph = load_supergraph(supergraph_sdl)
        if not supergraph.subgraphs:
            raise SupergraphError("the supergraph has no subgraphs")
        graph = Graph(supergraph, self._settings, self._pool, self._rules)
        return Pipeline(
            graph,
            self._settings,
            self._subgraphs.of(supergraph, self.telemetry),
            self._callers,
            self._look_up,
            self.telemetry,
            self.cache,
        )

    async def _end_sessions(self, ending: AsyncIterator[str]) -> None:
        async for session in ending:
            self._callers.ended_sessions.end(session)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        background: list[asyncio.Task[None]] = []
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if self.source is not None:
                    following = follow(self.source, self.reload, self.supergraph_sdl, POLL, self.refuse)
                    background.append(asyncio.create_task(following))
                if self.ending_sessions is not None:
                    background.append(asyncio.create_task(self._end_sessions(self.ending_sessions)))
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _wants_page(path: str, scope: Scope) -> bool:
    if path == "/":
        return True
    accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return path == "/graphql" and b"text/html" in accept and not scope["query_string"]
