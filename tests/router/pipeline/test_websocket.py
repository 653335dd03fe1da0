"""The graphql-transport-ws protocol, as its specification words it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from router.app import RouterApp
from router.settings import Settings
from tests.router.pipeline.subgraphs import router, subgraphs
from tests.router.pipeline.test_shedding import Held, held_router

SUBSCRIBE = {"query": "subscription{reviewAdded(count:1){body author{name}}}"}


class Socket:
    """The client's end."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Any] = asyncio.Queue(maxsize=5)  # a client reads at its own pace

    async def send(self, **message: Any) -> None:
        await self.incoming.put({"type": "websocket.receive", "text": orjson.dumps(message).decode()})

    async def event(self) -> Any:
        async with asyncio.timeout(5):
            return await self.outgoing.get()

    async def receive(self) -> Any:
        """The next message other than pings."""
        while True:
            event = await self.event()
            assert event["type"] == "websocket.send", event
            message = orjson.loads(event["text"])
            if message["type"] != "ping":
                return message

    async def closed(self) -> int:
        """The code the server closes with."""
        while (event := await self.event())["type"] != "websocket.close":
            continue
        return int(event["code"])


@asynccontextmanager
async def connect(
    app: RouterApp, protocol: str = "graphql-transport-ws", peer: str | None = None, **headers: str
) -> AsyncIterator[Socket]:
    socket = Socket()
    await socket.incoming.put({"type": "websocket.connect"})
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "websocket", "path": "/graphql", "subprotocols": [protocol], "headers": raw}
    scope["client"] = (peer, 50000) if peer else None
    serving = asyncio.create_task(app(scope, socket.incoming.get, socket.outgoing.put))
    try:
        yield socket
    finally:
        await socket.incoming.put({"type": "websocket.disconnect"})
        async with asyncio.timeout(5):
            await serving


@asynccontextmanager
async def initialised(app: RouterApp, payload: Any = None, peer: str | None = None) -> AsyncIterator[Socket]:
    async with connect(app, peer=peer) as socket:
        assert (await socket.event())["type"] == "websocket.accept"
        await socket.send(type="connection_init", payload=payload)
        assert await socket.receive() == {"type": "connection_ack"}
        yield socket


async def test_subscriptions_queries_and_errors_share_a_socket() -> None:
    """ "next" and "complete" for what runs, "error" for what is refused, "pong" for a ping."""
    async with initialised(router(subgraphs())) as socket:
        await socket.send(id="1", type="subscribe", payload=SUBSCRIBE)
        event = {"data": {"reviewAdded": {"body": "Event 0", "author": {"name": "Ada"}}}}
        assert await socket.receive() == {"id": "1", "type": "next", "payload": event}
        assert await socket.receive() == {"id": "1", "type": "complete"}
        await socket.send(id="1", type="subscribe", payload={"query": "{me{id}}"})
        assert (await socket.receive())["payload"] == {"data": {"me": {"id": "1"}}}
        assert (await socket.receive())["type"] == "complete"
        await socket.send(id="2", type="subscribe", payload={"query": "{nothing}"})
        refused = await socket.receive()
        assert (refused["type"], refused["id"]) == ("error", "2")
        assert refused["payload"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


async def test_the_token_may_come_with_the_initialisation() -> None:
    """A token in the payload counts as the authorization header: here it is refused as such."""
    async with connect(router(subgraphs())) as socket:
        assert (await socket.event())["type"] == "websocket.accept"
        await socket.send(type="connection_init", payload={"Authorization": "Bearer nonsense"})
        assert await socket.closed() == 4403


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "subscribe", "id": "1", "payload": SUBSCRIBE}], 4401),
        ([{"type": "connection_init"}, {"type": "connection_init"}], 4429),
        ([{"type": "connection_init"}, {"type": "start", "id": "1"}], 4400),
        ([{"type": "connection_init"}, {"type": "subscribe", "payload": SUBSCRIBE}], 4400),
        ([{"type": "connection_init"}, *[{"type": "subscribe", "id": "1", "payload": SUBSCRIBE}] * 2], 4409),
        ([], 4408),
    ],
)
async def test_breaking_the_protocol_closes_with_its_code(messages: list[Any], code: int) -> None:
    """Each breach has a code of its own."""
    app = router(subgraphs(), Settings(subscription_init_timeout=0.2))
    async with connect(app) as socket:
        for message in messages:
            await socket.send(**message)
        assert await socket.closed() == code


async def test_other_protocols_and_other_sites_are_refused() -> None:
    """The legacy protocol is off, and a page of another site cannot open a socket."""
    app = router(subgraphs())
    async with connect(app, "graphql-ws") as socket:
        assert await socket.closed() == 4403
    async with connect(app, origin="https://evil.example", host="shop.example") as socket:
        assert await socket.closed() == 4403


async def test_complete_ends_a_subscription_and_frees_its_id() -> None:
    """After "complete" no more events come, and the id can be used again."""
    app = router(subgraphs())
    async with initialised(app) as socket:
        many = {"query": "subscription{reviewAdded(count:100000){body}}"}
        await socket.send(id="1", type="subscribe", payload=many)
        assert (await socket.receive())["type"] == "next"
        await socket.send(id="1", type="complete")
        await socket.send(id="1", type="subscribe", payload={"query": "{me{id}}"})
        while (message := await socket.receive())["payload"]["data"].get("me") is None:
            assert message["type"] == "next"
        assert (await socket.receive()) == {"id": "1", "type": "complete"}


async def test_operations_of_one_socket_are_limited() -> None:
    """The operation over the limit is refused, the others go on."""
    async with initialised(router(subgraphs(), Settings(subscriptions_per_socket=0))) as socket:
        await socket.send(id="1", type="subscribe", payload=SUBSCRIBE)
        assert (await socket.receive())["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


async def test_pings_are_sent_while_the_socket_is_quiet() -> None:
    """A sign of life keeps proxies from closing the socket."""
    app = router(subgraphs(), Settings(subscription_ping=0.01))
    async with connect(app) as socket:
        await socket.event()
        await socket.send(type="connection_init")
        kinds = {orjson.loads((await socket.event())["text"])["type"] for _ in range(3)}
        assert kinds == {"connection_ack", "ping"}


async def test_what_is_answered_as_a_whole_is_answered_before_the_end() -> None:
    """A query that runs is completed, a new one is refused, a subscription is not waited for; then 1001."""
    held = Held()
    app = held_router(held)
    async with initialised(app) as socket, initialised(app) as other:
        endless = "subscription{reviewAdded(count:1000000){body}}"
        await other.send(id="1", type="subscribe", payload={"query": endless})
        assert (await other.receive())["type"] == "next"
        await socket.send(id="1", type="subscribe", payload={"query": "{me{id}}"})
        await held.asked.acquire()
        draining = asyncio.create_task(app.drain())
        assert await other.closed() == 1001
        await socket.send(id="2", type="subscribe", payload={"query": "{me{id}}"})
        refused = await socket.receive()
        assert (refused["id"], refused["payload"][0]["extensions"]["code"]) == ("2", "OVERLOADED")
        held.free.set()
        assert (await socket.receive())["payload"] == {"data": {"me": {"id": "1"}}}
        assert (await socket.receive())["type"] == "complete"
        assert await socket.closed() == 1001
        await draining
