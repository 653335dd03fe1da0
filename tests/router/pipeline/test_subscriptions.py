"""Subscriptions from a subgraph's server to the router's client, over real connections of every protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest

from router.app import create_app
from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.executor.event_stream import write_event
from router.executor.transport import SubgraphRequest, SubgraphResponse
from router.pipeline.asgi import Receive, Scope, Send
from router.settings import Settings, SubgraphSettings
from tests.router.executor.support import Subgraph
from tests.router.pipeline.test_full_stack import listening
from tests.router.pipeline.told import LINK, sent

CLOCK = """
type Query { now: Int }
type Subscription { tick: Tick }
type Tick @key(fields: "id") { id: ID! at: Int }
"""
NAMES = 'type Tick @key(fields: "id") { id: ID! name: String }'
QUERY = "subscription{tick{at name}}"
UPSTREAM = [("sse", "pyreqwest"), ("sse", "aiohttp"), ("ws", "pyreqwest")]
BREAK = object()


class Clock:
    """A subgraph's server: one stream of events at a time, over server-sent events or graphql-transport-ws."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.asked: list[str] = []
        self.left = asyncio.Event()

    def tick(self, number: int, **more: Any) -> None:
        self.events.put_nowait({"data": {"tick": {"__typename": "Tick", "id": str(number), "at": number}}} | more)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._sse(receive, send)
        elif scope["type"] == "websocket":
            await self._ws(receive, send)

    async def _sse(self, receive: Receive, send: Send) -> None:
        self.asked.append(orjson.loads((await receive())["body"])["query"])
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for event in self._until_left(receive):
            body = write_event("next", orjson.dumps(event)) if event else write_event("complete", b"")
            await send({"type": "http.response.body", "body": body, "more_body": bool(event)})

    async def _ws(self, receive: Receive, send: Send) -> None:
        async def say(**message: Any) -> None:
            await send({"type": "websocket.send", "text": orjson.dumps(message).decode()})

        await receive()
        await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws"})
        assert orjson.loads((await receive())["text"])["type"] == "connection_init"
        await say(type="connection_ack")
        self.asked.append(orjson.loads((await receive())["text"])["payload"]["query"])
        async for event in self._until_left(receive):
            await (say(id="1", type="next", payload=event) if event else say(id="1", type="complete"))

    async def _until_left(self, receive: Receive) -> AsyncIterator[Any]:
        """The events, with None at their end; the stream breaks off at ``BREAK``."""

        async def leaving() -> None:
            while not (await receive())["type"].endswith("disconnect"):
                continue
            self.left.set()

        listening_for_end = asyncio.create_task(leaving())
        try:
            while not self.left.is_set():
                following = asyncio.create_task(self.events.get())
                await asyncio.wait({following, listening_for_end}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    return
                event = following.result()
                if event is BREAK:
                    raise ConnectionError("the server's stream breaks off, as the test wants it")
                yield event
                if event is None:
                    return
        finally:
            listening_for_end.cancel()


def named(request: SubgraphRequest) -> Any:
    """Names of ticks; the second one's is an error."""
    assert request.variables is not None
    (found,) = sent(request)
    if found["id"] == "2":
        return SubgraphResponse({"_entities": [{"name": None}]}, [{"message": "no", "path": ["_entities", 0, "name"]}])
    return {"_entities": [{"name": f"N{found['id']}"}]}


@asynccontextmanager
async def running(protocol: Any, client: Any) -> AsyncIterator[tuple[Clock, str]]:
    """A clock's server, and the router over it; the names are in this process."""
    clock, names = Clock(), Subgraph(named)
    async with listening(clock) as url, asyncio.timeout(20):
        result = compose([SubgraphInput("clock", url, LINK + CLOCK), SubgraphInput("names", "", LINK + NAMES)])
        assert result.supergraph_sdl is not None
        settings = Settings(http_client=client, subgraphs={"clock": SubgraphSettings(subscriptions=protocol)})
        async with listening(create_app(result.supergraph_sdl, settings, {"names": names.transport})) as router:
            yield clock, router


@asynccontextmanager
async def over_sse(url: str) -> AsyncIterator[Callable[[], Any]]:
    """A client of server-sent events; the function gives the next payload, None at the end."""
    async with (
        aiohttp.ClientSession(headers={"accept": "text/event-stream"}) as session,
        session.post(url, json={"query": QUERY}) as response,
    ):

        async def following() -> Any:
            block = (await response.content.readuntil(b"\n\n")).decode()
            return orjson.loads(block.partition("data: ")[2]) if block.startswith("event: next") else None

        yield following


@asynccontextmanager
async def over_ws(url: str) -> AsyncIterator[Callable[[], Any]]:
    """The same over a WebSocket."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=["graphql-transport-ws"]) as socket,
    ):
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json({"type": "subscribe", "id": "x", "payload": {"query": QUERY}})

        async def following() -> Any:
            message = await socket.receive_json()
            return message["payload"] if message["type"] == "next" else None

        yield following


@pytest.mark.parametrize("client", [over_sse, over_ws])
@pytest.mark.parametrize("upstream", UPSTREAM)
async def test_every_event_is_completed_and_fails_alone(upstream: tuple[str, str], client: Any) -> None:
    """Other subgraphs' fields are fetched anew; an error costs its field in its event; the end is passed on."""
    async with running(*upstream) as (clock, url), client(url) as following:
        for number in (1, 2, 3):
            clock.tick(number)
            answer = await following()
            assert answer["data"] == {"tick": {"at": number, "name": None if number == 2 else f"N{number}"}}
            assert [error["path"] for error in answer.get("errors", [])] == ([["tick", "name"]] if number == 2 else [])
        clock.events.put_nowait({"data": {"tick": None}, "errors": [{"message": "stopped", "path": ["tick"]}]})
        answer = await following()
        assert (answer["data"], answer["errors"][0]["path"]) == ({"tick": None}, ["tick"])
        clock.tick(5)
        assert (await following())["data"]["tick"]["at"] == 5
        clock.events.put_nowait(None)
        assert await following() is None
    assert [query.startswith("subscription") and "name" not in query for query in clock.asked] == [True]


@pytest.mark.parametrize("client", [over_sse, over_ws])
@pytest.mark.parametrize("upstream", UPSTREAM)
async def test_a_client_that_leaves_ends_the_subgraphs_stream(upstream: tuple[str, str], client: Any) -> None:
    """The subgraph learns that nobody listens, while it has nothing to say."""
    async with running(*upstream) as (clock, url):
        async with client(url) as following:
            clock.tick(1)
            assert (await following())["data"]["tick"]["at"] == 1
            assert not clock.left.is_set()
        await clock.left.wait()


@pytest.mark.parametrize("client", [over_sse, over_ws])
@pytest.mark.parametrize("upstream", UPSTREAM)
async def test_a_broken_stream_is_told_and_ended(upstream: tuple[str, str], client: Any) -> None:
    """The client learns why nothing more comes, and can subscribe again."""
    async with running(*upstream) as (clock, url), client(url) as following:
        clock.tick(1)
        await following()
        clock.events.put_nowait(BREAK)
        answer = await following()
        assert answer["data"] is None
        assert answer["errors"][0]["extensions"].pop("traceId")
        assert answer["errors"][0]["extensions"] == {"code": "SUBGRAPH_UNREACHABLE", "service": "clock"}
        assert await following() is None
