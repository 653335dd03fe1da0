"""A client that calls an ASGI application without a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from router.app import RouterApp


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return orjson.loads(self.body)


async def call(
    app: RouterApp,
    method: str = "POST",
    path: str = "/graphql",
    *,
    body: bytes = b"",
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    peer: str | None = None,
) -> Response:
    """One HTTP request, from the address ``peer``."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": urlencode(query or {}).encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": (peer, 50000) if peer else None,
    }
    incoming = [{"type": "http.request", "body": body}]
    sent: list[Any] = []

    async def receive() -> Any:
        if incoming:
            return incoming.pop()
        import asyncio

        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Response(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))


async def post(app: RouterApp, query: Any, variables: Any = None, **headers: str) -> Response:
    """An operation as JSON. Header names may be written with underscores."""
    body = orjson.dumps({"query": query} | ({"variables": variables} if variables is not None else {}))
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await call(app, body=body, headers=named)


async def data(app: RouterApp, query: str, variables: Any = None, **headers: str) -> Any:
    """The data of an answer that must have no errors."""
    answer = (await post(app, query, variables, **headers)).json
    assert "errors" not in answer, answer
    return answer["data"]
