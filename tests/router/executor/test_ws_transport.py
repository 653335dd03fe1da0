"""Subscriptions to a subgraph over WebSocket, against a server of the same protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from router.errors import SubgraphError
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.executor.ws_transport import WebSocketTransport

REQUEST = SubgraphRequest("subscription{a}", {"n": 1}, None, {"x-tenant": "t"}, "subscription")
Talk = Callable[[ServerConnection], Awaitable[None]]


async def say(socket: ServerConnection, **message: Any) -> None:
    await socket.send(orjson.dumps(message).decode())


async def hear(socket: ServerConnection) -> Any:
    return orjson.loads(await socket.recv())


@asynccontextmanager
async def subgraph(talk: Talk) -> AsyncIterator[WebSocketTransport]:
    """A server that says what the test wants, and a transport to it."""

    async def execute(request: SubgraphRequest) -> SubgraphResponse:
        return SubgraphResponse({"over": "http"})

    async with serve(talk, "127.0.0.1", 0, subprotocols=[Subprotocol("graphql-transport-ws")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield WebSocketTransport(InProcessTransport(execute), f"http://127.0.0.1:{port}/graphql", 10_000)


async def collected(transport: WebSocketTransport) -> list[SubgraphResponse]:
    async with asyncio.timeout(5):
        return [event async for event in transport.subscribe(REQUEST)]


async def test_events_arrive_until_complete() -> None:
    """Initialise, subscribe, events; pings are answered; queries go over HTTP."""
    heard: list[Any] = []

    async def talk(socket: ServerConnection) -> None:
        assert socket.request is not None
        heard.append(socket.request.headers["x-tenant"])
        heard.append((await hear(socket))["type"])
        await say(socket, type="connection_ack")
        heard.append(await hear(socket))
        await say(socket, type="ping")
        heard.append(await hear(socket))
        await say(socket, id="1", type="next", payload={"data": {"a": 1}})
        await say(socket, id="1", type="next", payload={"data": None, "errors": [{"message": "m"}]})
        await say(socket, id="1", type="complete")

    async with subgraph(talk) as transport:
        assert await collected(transport) == [
            SubgraphResponse({"a": 1}),
            SubgraphResponse(None, [{"message": "m"}]),
        ]
        assert (await transport.execute(REQUEST)).data == {"over": "http"}
    payload = {"query": "subscription{a}", "variables": {"n": 1}}
    subscribe = {"id": "1", "type": "subscribe", "payload": payload}
    assert heard == ["t", "connection_init", subscribe, {"type": "pong"}]


async def test_a_refused_subscription_is_one_answer_with_errors() -> None:
    """The "error" message ends the stream with its errors."""

    async def talk(socket: ServerConnection) -> None:
        await hear(socket)
        await say(socket, type="connection_ack")
        await hear(socket)
        await say(socket, id="1", type="error", payload=[{"message": "no"}])

    async with subgraph(talk) as transport:
        assert await collected(transport) == [SubgraphResponse(None, [{"message": "no"}])]


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("not json", "SUBGRAPH_MALFORMED_RESPONSE"),
        ("[]", "SUBGRAPH_MALFORMED_RESPONSE"),
        ('{"type":"connection_ack"}', "SUBGRAPH_UNREACHABLE"),
        (None, "SUBGRAPH_MALFORMED_RESPONSE"),
    ],
)
async def test_breaches_are_clean_errors(first: str | None, code: str) -> None:
    """No JSON, no object, a connection that breaks off before "complete", one that ends before it began."""

    async def talk(socket: ServerConnection) -> None:
        await hear(socket)
        if first is not None:
            await socket.send(first)
        if code == "SUBGRAPH_UNREACHABLE":
            await hear(socket)
            socket.transport.abort()
        elif first is not None:
            await socket.wait_closed()

    async with subgraph(talk) as transport:
        with pytest.raises(SubgraphError) as raised:
            await collected(transport)
    assert raised.value.code == code
