"""One port for everything: the router, and beside it what a developer's start offers under paths of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import aiohttp
from starlette.types import ASGIApp, Receive, Scope, Send

D = TypeVar("D")

OF_SUBGRAPHS = {"/webhooks": "payments", "/media": "products", "/avatars": "users"}
"""Which subgraph answers what is no GraphQL."""
FOR_DEVELOPERS = {"/dev": "users"}

_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "content-encoding",
    "date",
}


def of_subgraphs(door_of: Callable[[str], D], *, dev: bool) -> dict[str, D]:
    """The doors of subgraphs, each of them given by its name, under their paths."""
    names = OF_SUBGRAPHS | (FOR_DEVELOPERS if dev else {})
    return {path: door_of(name) for path, name in names.items()}


def by_prefix(doors: Mapping[str, ASGIApp], otherwise: ASGIApp) -> ASGIApp:
    """Requests whose path begins with a prefix go to its application, all others to ``otherwise``.

    A prefix that ends with a slash is cut off (``/provider/``); any other is kept (``/dev``).
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for prefix, door in doors.items():
                path: str = scope["path"]
                if path.startswith(prefix):
                    kept = "/" + path[len(prefix) :] if prefix.endswith("/") else path
                    await door({**scope, "path": kept, "raw_path": kept.encode()}, receive, send)
                    return
        await otherwise(scope, receive, send)

    return app


class Forward:
    """Hands a request on to another process and its answer back (a developer's convenience, not a proxy to trust)."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15), auto_decompress=False)
        body = await _body(receive)
        query = scope["query_string"].decode()
        url = self._base + scope["path"] + (f"?{query}" if query else "")
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        sent = {key: value for key, value in headers.items() if key not in _HOP}
        try:
            async with self._session.request(scope["method"], url, data=body, headers=sent) as response:
                await _answer(send, response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError):
            await _answer(send, 502, {"content-type": "text/plain"}, b"this part of the shop is not running")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def _body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


async def _answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    kept: list[Any] = [
        (key.lower().encode("latin-1"), value.encode("latin-1"))
        for key, value in headers.items()
        if key.lower() not in _HOP
    ]
    kept.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": kept})
    await send({"type": "http.response.body", "body": body})
