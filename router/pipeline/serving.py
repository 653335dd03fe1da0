"""Listening: a server that lets its application say goodbye before it ends, and a second one for operators."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

import uvicorn

from router.pipeline.accepting import Acceptor
from router.pipeline.asgi import Receive, Scope, Send, send_whole
from router.pipeline.collector import spare_collector
from router.pipeline.health import Health
from router.pipeline.invalidation import Invalidation
from router.pipeline.tls import Certificate, both, following
from router.settings import Settings

logger = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    """uvicorn without signal handlers of its own, and quicker to take connections. ``drain`` is awaited before it stops
    to listen."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]] | None = None) -> None:
        super().__init__(config)
        self._drain = drain
        self._draining: asyncio.Task[None] | None = None
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        listeners = [listener for server in self.servers for listener in server.sockets]
        self._acceptors = [Acceptor(listener.fileno(), self._protocol, self.config.ssl) for listener in listeners]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        for acceptor in self._acceptors:
            acceptor.close()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    def stop(self) -> None:
        """End when what runs has ended; told a second time: at once."""
        if self._draining is not None:
            self.force_exit = self.should_exit = True
            return
        self._draining = asyncio.get_running_loop().create_task(self._go())

    def stop_on_signals(self) -> None:
        """Stop on SIGINT and SIGTERM. Called in the running loop."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)

    def look_again_on_hangup(self, look_again: Callable[[], None]) -> None:
        """SIGHUP: look for what has changed. Called in the running loop. Where there is a terminal, SIGHUP says that it
        has gone, and ends the process as ever."""
        if sys.stdin is not None and sys.stdin.isatty():
            return
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, look_again)

    async def _go(self) -> None:
        try:
            if self._drain is not None:
                await self._drain()
        except Exception:
            logger.exception("draining failed")
        finally:
            self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class InternalDoor:
    """For operators: ``/metrics``, ``/health/live``, ``/health/ready``, and ``/health`` with its reasons.

    ``/invalidation`` and ``/usage`` are there if they are given.
    """

    def __init__(
        self,
        exposition: Callable[[], bytes],
        health: Health,
        invalidation: Invalidation | None = None,
        usage: Callable[[], bytes] | None = None,
    ) -> None:
        self._exposition = exposition
        self._health = health
        self._invalidation = invalidation
        self._usage = usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        match scope["path"]:
            case "/metrics":
                text = b"text/plain; version=0.0.4; charset=utf-8"
                await send_whole(send, 200, text, self._exposition(), [])
            case "/health":
                await send_whole(send, 200, b"application/json", self._health.report(), [])
            case "/health/live":
                await send_whole(send, 200, b"application/json", b'{"status":"UP"}', [])
            case "/health/ready":
                await self._health.answer(send)
            case "/usage" if self._usage is not None:
                await send_whole(send, 200, b"application/json", self._usage(), [])
            case "/invalidation" if self._invalidation is not None:
                await self._invalidation(scope, receive, send)
            case _:
                await send_whole(send, 404, b"text/plain; charset=utf-8", b"Not found.", [])


@asynccontextmanager
async def listening(app: Any, host: str, port: int | None) -> AsyncIterator[None]:
    """``app`` at a port of its own while the block runs. Without one, or if it is taken, the block runs all the same:
    nobody is refused because nobody can watch."""
    listener = _bind(host, port) if port else None
    if listener is None:
        yield
        return
    config = uvicorn.Config(
        app,
        log_level="warning",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = DrainingServer(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        listener.close()


class Served(Protocol):
    """An application that drains, and looks for changes when it is told to."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def drain(self) -> None: ...

    def look_again(self) -> None: ...


async def serve_router(
    app: Served,
    watched: InternalDoor,
    settings: Settings,
    host: str,
    port: int,
    certificate: Certificate | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, and for operators at a port of their own. ``certificate``: by HTTPS."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom to believe is for `trusted_proxies` to say
        ws_max_size=settings.limits.body_bytes,
        timeout_graceful_shutdown=settings.drain_timeout,
        **(certificate.server_options() if certificate else {}),
    )
    server = DrainingServer(config, app.drain)
    server.stop_on_signals()
    server.look_again_on_hangup(both(app.look_again, certificate))
    spare_collector()
    async with (
        listening(watched, settings.internal_host, settings.internal_port),
        following(certificate, settings.watch),
    ):
        await server.serve()


def _bind(host: str, port: int) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        logger.error("no metrics: cannot listen at %s:%s: %s", host, port, error.strerror)
        return None
    return listener
