"""The router as an ASGI application: ``/graphql``, health, and in development the explorer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from router.errors import SourceError
from router.executor.transport import Transport
from router.pipeline.asgi import Message, Receive, Scope, Send, send_whole
from router.pipeline.auth import KeySource
from router.pipeline.caching import invalidation, open_cache
from router.pipeline.collector import collect_later
from router.pipeline.documents import Rule
from router.pipeline.edition import Edition, Lasting
from router.pipeline.explorer import ASSETS
from router.pipeline.following import Source, Wanted, follow
from router.pipeline.health import Health
from router.pipeline.http import HttpEndpoint
from router.pipeline.rest.endpoint import RestEndpoint
from router.pipeline.signed_in import EndedSessions
from router.pipeline.subgraphs import Subgraphs
from router.pipeline.warm_up import plan_again, try_published
from router.pipeline.websocket import SocketEndpoint
from router.settings import Settings, changed_at_start
from router.telemetry import Telemetry

WORKERS = 2
"""Threads that parse, validate and plan, so that the event loop does not."""

WARM_SECONDS = 5.0
"""The start waits so long for the plans of persisted operations; the rest is planned while it serves."""

logger = logging.getLogger(__name__)


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
    return RouterApp(supergraph_sdl, settings, Subgraphs(transports), key_source, rules, telemetry)


class RouterApp:
    """An ASGI application. Give it ``reload`` for something new to serve, and ``close`` where no lifespan is run."""

    def __init__(
        self,
        supergraph_sdl: str,
        settings: Settings,
        subgraphs: Subgraphs,
        key_source: KeySource | None,
        rules: tuple[Rule, ...],
        telemetry: Telemetry | None = None,
    ) -> None:
        self._subgraphs = subgraphs
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="router")
        self.health = Health()
        self.telemetry = telemetry or Telemetry()
        self.cache = open_cache(settings.cache, self.telemetry)
        """What subgraphs answered: ``cache.store`` is purged by those who know of changes."""
        self.invalidation = invalidation(self.cache, settings.cache)
        """For the operators' port."""
        self._lasting = Lasting(subgraphs, self._pool, rules, key_source, self.telemetry, self.cache)
        self.follows: tuple[Source, Wanted] | None = None
        """Where to look for changes while the lifespan runs, and what it gave for this application."""
        self.ending_sessions: AsyncIterator[str] | None = None
        """The ids of sessions as they end, listened to while the lifespan runs."""
        self._called = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._collecting: asyncio.TimerHandle | None = None
        self._edition = Edition(supergraph_sdl, settings, self._lasting, None)
        self._sockets = SocketEndpoint(
            lambda: self._edition.pipeline, lambda: self._edition.admission, settings, self.telemetry
        )
        self._serve(self._edition)
        self.telemetry.cache_size("documents", lambda: len(self._edition.graph.documents))
        self.telemetry.cache_size("plans", lambda: len(self._edition.graph.plans))
        self.health.add("persistedOperations", self._published)
        self.health.add("subgraphs", self._breakers)
        self.health.add("degraded", lambda: [name for name, state in self._breakers().items() if state != "closed"])
        self.health.ready = True

    @property
    def supergraph_sdl(self) -> str:
        """What is served."""
        return self._edition.supergraph_sdl

    @property
    def settings(self) -> Settings:
        """How it is served."""
        return self._edition.settings

    @property
    def graphql(self) -> HttpEndpoint:
        """``/graphql`` over HTTP."""
        return self._edition.graphql

    @property
    def ended_sessions(self) -> EndedSessions:
        """Sessions that are over before their tokens."""
        return self._lasting.ended_sessions

    def look_again(self) -> None:
        """Look for changes now, and try again what was refused."""
        self._called.set()

    async def reload(self, supergraph_sdl: str | None = None, settings: Settings | None = None) -> None:
        """Serve another supergraph, or under other settings, once its plans are made. Files that settings name are
        read again. Requests and streams end as they began.

        Raises RouterError, and goes on as before: also if a persisted operation that ran would not run any more.
        """
        async with self._reloading:
            now = self._edition
            made = await asyncio.to_thread(
                Edition, supergraph_sdl or now.supergraph_sdl, settings or now.settings, self._lasting, now
            )
            await self._prepare(made, now)
            self._serve(made)
            self._collecting = collect_later(self._collecting, now.settings.request_timeout)
            self.telemetry.reloaded(accepted=True)

    async def take(self, wanted: Wanted) -> None:
        """See ``Serves``."""
        await self.reload(wanted.supergraph_sdl, wanted.settings)

    def refuse(self, why: str) -> None:
        """Take down that there was something new that cannot be served."""
        self.telemetry.reloaded(accepted=False)
        self.health.refused(why)

    def keep(self) -> None:
        """What was refused is gone."""
        self.telemetry.settled()
        self.health.settled()

    async def warm_up(self) -> None:
        """Plan all persisted operations; those that cannot be run are told."""
        async with self._reloading:
            edition = self._edition
            edition.broken = await try_published(edition.graph, edition.operations, edition.settings.limits)
            self._tell_broken(edition)

    async def _prepare(self, made: Edition, now: Edition) -> None:
        made.broken = await try_published(made.graph, made.operations, made.settings.limits)
        worse = [why for text, why in made.broken.items() if text not in now.broken]
        if worse and made.settings.persisted.refuse_broken:
            raise SourceError("Persisted operations would not run any more:\n" + "\n".join(worse))
        await plan_again(made.graph, now.graph.plans.hottest(made.settings.warm_plans))

    def _serve(self, edition: Edition) -> None:
        for name in changed_at_start(self._edition.settings, edition.settings):
            logger.warning("%s has changed: that takes effect at the next start", name)
        self._edition = edition
        self._sockets.use(edition.settings)
        self.telemetry.access_log_ratio = edition.settings.access_log_ratio
        self.telemetry.know(operation.name for operation in edition.operations)
        self.telemetry.breakers(self._breakers())
        self._tell_broken(edition)
        self.health.serves(edition.supergraph_sdl)

    def _tell_broken(self, edition: Edition) -> None:
        self.telemetry.broken(len(edition.broken))
        for why in edition.broken.values():
            logger.error("a persisted operation cannot be run: %s", why)

    def usage(self) -> bytes:
        """Who has used what, as JSON: see ``Usage``."""
        return orjson.dumps(self.telemetry.usage.report(self._edition.published))

    def _published(self) -> dict[str, Any]:
        edition = self._edition
        return {"count": len(edition.operations), "broken": sorted(edition.broken.values())}

    def _breakers(self) -> dict[str, str]:
        return {name: transport.state.value for name, transport in self._edition.transports.items()}

    async def drain(self) -> None:
        """Before the end: not ready any more; sockets and streams are told to go on elsewhere. Requests go on."""
        self.health.draining = True
        await asyncio.sleep(self.settings.drain_notice)
        self._lasting.draining.set()
        await self._sockets.drain()

    async def close(self) -> None:
        """Give back connections and threads."""
        self.health.ready = False
        if self._collecting is not None:
            self._collecting.cancel()
        await self._lasting.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by path."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        explorer, rest = self._edition.explorer, self._edition.rest
        if scope["type"] == "websocket":
            await self._sockets(scope, receive, send)
        elif explorer is not None and scope["method"] == "GET" and _wants_page(path, scope):
            await explorer.page(send)
        elif path == "/graphql":
            await self._measured(self.graphql, scope, receive, send)
        elif path == "/health" or path.startswith("/health/"):
            await self.health.answer(send, live=path == "/health/live")
        elif explorer is not None and path.startswith(ASSETS):
            await explorer.asset(path, send)
        elif rest is not None and rest.serves(scope):
            await self._measured(rest, scope, receive, send)
        else:
            await send_whole(send, 404, b"text/plain; charset=utf-8", b"Not found.", [])

    async def _measured(self, door: HttpEndpoint | RestEndpoint, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status = 499  # the client went before it was answered

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await door(scope, receive, counted)
        finally:
            self.telemetry.request(status, time.perf_counter() - started)

    async def _end_sessions(self, ending: AsyncIterator[str]) -> None:
        async for session in ending:
            self.ended_sessions.end(session)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        background: list[asyncio.Task[None]] = []
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                warming = asyncio.create_task(self.warm_up())
                background.append(warming)
                await asyncio.wait((warming,), timeout=WARM_SECONDS)
                if self.follows is not None:
                    source, served = self.follows
                    following = follow(source, served, self, self.settings.watch, self._called)
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
