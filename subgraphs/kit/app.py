"""A subgraph's HTTP door: raw ASGI for ``/graphql``, FastAPI for the rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import orjson
from fastapi import FastAPI, Response
from opentelemetry.trace import SpanKind
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from db import deadline, telemetry
from db.session import Database
from db.statements import answers
from subgraphs.kit.execute import TOO_LATE, GraphQLEndpoint
from subgraphs.kit.wanted import Gone, disconnected, patience, while_wanted

MAX_BODY_BYTES = 4 * 1024 * 1024
"""The router batches up to 1,000 representations into a request."""


def http_app(name: str, endpoint: GraphQLEndpoint[Any], database: Database) -> FastAPI:
    """``/graphql`` for the router, ``/health/live`` and ``/health/ready`` for whoever starts and stops processes.

    ``app.state.drain`` is the ``Drain`` that whoever ends the process begins.
    """
    app = FastAPI(title=f"dure {name}", docs_url=None, redoc_url=None, openapi_url=None)
    drain = app.state.drain = Drain()

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/health/ready")
    async def ready(response: Response) -> dict[str, str]:
        if drain.begun:
            response.status_code = 503
            return {"status": "not ready", "reason": "draining"}
        try:
            async with database.read() as connection:
                await answers(connection)
        except Exception as error:  # whatever it is, the answer is "not now"
            response.status_code = 503
            return {"status": "not ready", "reason": type(error).__name__}
        return {"status": "ready"}

    # A route, not a mount: a mount answers /graphql with a redirect to /graphql/, and every call would be two.
    app.router.routes.append(Route("/graphql", GraphQLDoor(endpoint, name, drain)))
    return app


class Drain:
    """The end of an API: at first it is unready, so that the router goes elsewhere; then its streams are completed."""

    def __init__(self) -> None:
        self.begun = False
        self.over = asyncio.Event()

    async def begin(self, notice: float) -> None:
        """Be unready; after ``notice`` seconds, complete what lives long."""
        self.begun = True
        await asyncio.sleep(notice)
        self.over.set()


class BodyTooLarge(Exception):
    """More bytes than a request may have."""


class GraphQLDoor:
    """GraphQL over POST; a subscription is answered as server-sent events (graphql-sse, distinct connections).

    A query ends when its caller stops waiting. A mutation is given up then only if it has not changed anything yet, and
    goes on whether its caller is there or not.

    A class, so that Starlette's router takes it for the ASGI application it is.
    """

    def __init__(self, endpoint: GraphQLEndpoint[Any], name: str, drain: Drain) -> None:
        self._name = name
        self._drain = drain
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _send(send, 405, {"errors": [{"message": "POST only"}]})
            return
        try:
            request = _request(await _body(receive))
        except BodyTooLarge:
            await _send(send, 413, {"errors": [{"message": f"at most {MAX_BODY_BYTES} bytes"}]})
            return
        if request is None:
            await _send(send, 400, {"errors": [{"message": "expected a JSON object with a query"}]})
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        arguments = (request["query"], request.get("variables"), request.get("operationName"), headers)
        kind = self._endpoint.kind(request["query"], request.get("operationName"))
        if kind == "subscription":
            await _send_events(send, receive, self._endpoint, arguments, self._drain.over)
            return
        seconds = patience(headers)
        try:
            with telemetry.span(self._name, headers.get(telemetry.HEADER), SpanKind.SERVER):
                if kind == "query":
                    answer = await while_wanted(receive, seconds, self._endpoint.execute(*arguments))
                else:
                    with deadline.waited_for(None if seconds is None else time.monotonic() + seconds):
                        answer = await self._endpoint.execute(*arguments)
        except TimeoutError:
            late = {"message": "This took longer than the caller waits.", "extensions": {"code": TOO_LATE}}
            await _send(send, 504, {"data": None, "errors": [late]})
        except Gone:
            return
        else:
            await _send(send, 200, answer)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None when the client left. Raises BodyTooLarge as soon as it is."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def _request(body: bytes | None) -> dict[str, Any] | None:
    try:
        request = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(request, dict) or not isinstance(request.get("query"), str):
        return None
    if not isinstance(request.get("variables"), dict | None):
        return None
    return request if isinstance(request.get("operationName"), str | None) else None


async def _send(send: Send, status: int, answer: dict[str, Any]) -> None:
    body = orjson.dumps(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_events(
    send: Send, receive: Receive, endpoint: GraphQLEndpoint[Any], arguments: Any, over: asyncio.Event
) -> None:
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def stream() -> None:
        async for answer in endpoint.subscribe(*arguments):
            event = b"event: next\ndata: " + orjson.dumps(answer) + b"\n\n"
            await send({"type": "http.response.body", "body": event, "more_body": True})

    await _until_first(stream(), disconnected(receive), over.wait())
    await send({"type": "http.response.body", "body": b"event: complete\ndata:\n\n"})


async def _until_first(*work: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
