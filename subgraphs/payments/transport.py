"""How bytes reach the provider: over HTTP, or in memory when its simulator runs in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import aiohttp
from starlette.types import ASGIApp, Receive, Scope
from starlette.types import Send as AsgiSend


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """The call timed out or broke off: it may have been carried out or not."""


Send = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Response]]
"""Method, path with query, headers and body in; the response out. Raises NoAnswer."""


class HttpSender:
    """Sends to ``base_url``, over connections that are kept: as many as calls that are made at once."""

    def __init__(
        self, base_url: str, *, connect_seconds: float, timeout_seconds: float, connections: int = 128
    ) -> None:
        self._base = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=connect_seconds)
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=self._connections)
            self._session = aiohttp.ClientSession(timeout=self._timeout, connector=connector)
        try:
            async with self._session.request(
                method, self._base + path, headers=dict(headers), data=body or None, allow_redirects=False
            ) as response:
                return Response(response.status, dict(response.headers), await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoAnswer(f"{_called(method, path)}: {type(error).__name__}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class AsgiSender:
    """Calls an ASGI application of this process, within ``timeout_seconds``."""

    def __init__(self, app: ASGIApp, *, timeout_seconds: float = 10.0) -> None:
        self._app = app
        self._timeout = timeout_seconds

    async def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._call(method, path, headers, body)
        except TimeoutError as error:
            raise NoAnswer(f"{_called(method, path)}: timed out") from error

    async def _call(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        status = 0
        answered: dict[str, str] = {}
        chunks: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered.update({key.decode("latin-1"): value.decode("latin-1") for key, value in message["headers"]})
            else:
                chunks.append(message.get("body", b""))

        await self._app(_scope(method, path, headers), receive, send)
        return Response(status, answered, b"".join(chunks))

    async def close(self) -> None:
        """Nothing is held."""


class ProviderHere(Protocol):
    """A provider in this process: an ASGI application that can be charged by a mere function call."""

    async def __call__(self, scope: Scope, receive: Receive, send: AsgiSend) -> None: ...

    async def charge(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes] | None:
        """Status and JSON of ``POST path``, at once; None: to be asked by HTTP."""


class HereSender:
    """Calls a provider of this process, without the words of HTTP where it takes them so."""

    def __init__(self, provider: ProviderHere, *, timeout_seconds: float = 10.0) -> None:
        self._charge = provider.charge
        self._asgi = AsgiSender(provider, timeout_seconds=timeout_seconds)

    async def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if method == "POST":
            answer = await self._charge(path, {name.lower(): value for name, value in headers.items()}, body)
            if answer is not None:
                return Response(answer[0], _JSON, answer[1])
        return await self._asgi(method, path, headers, body)


_JSON = {"content-type": "application/json"}


def _called(method: str, path: str) -> str:
    """What is called, ``POST /v1/billing``: what follows may be a secret, and the reason of a failure is noted."""
    return f"{method} {'/'.join(path.partition('?')[0].split('/')[:3])}"


def _scope(method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    parts = urlsplit(path)
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(key.lower().encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("provider", 80),
    }
