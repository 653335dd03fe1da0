"""The end of a process: what runs is completed, clients are told to go elsewhere."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml

from router.executor.event_stream import write_event
from router.executor.transport import SubgraphRequest
from router.pipeline.asgi import Receive, Scope, Send, read_body, send_whole
from tests.router.pipeline.subgraphs import Served, subgraphs, supergraph
from tests.router.pipeline.test_full_stack import listening
from tests.router.pipeline.told import MULTIPART
from tests.router.test_serve_command import serving
from tests.support.waiting import eventually

ME = {"query": "{me{id}}"}
LATEST = {"query": "{latest{body}}"}
DEFER = {"query": "{latest{body} ...@defer{me{id}}}"}
SUBSCRIBE = {"query": "subscription{reviewAdded(count:1){body}}"}
NOTICE = 1.0


@dataclass
class Slow:
    """``accounts`` answers when it is let; subscriptions to ``reviews`` have one event and no end."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    def app(self, served: Served) -> Any:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            message = orjson.loads(await read_body(receive, None, 10**6))
            request = SubgraphRequest(message["query"], message.get("variables"), None, {}, "query")
            if message["query"].startswith("subscription"):
                await self._stream(served, request, receive, send)
                return
            if served.name == "accounts":
                self.asked += 1
                await self.go.wait()
            answer = await served.execute(request)
            await send_whole(send, 200, b"application/json", orjson.dumps({"data": answer.data}), [])

        return serve

    async def _stream(self, served: Served, request: SubgraphRequest, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for event in served.subscribe(request):
            chunk = write_event("next", orjson.dumps({"data": event.data}))
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            continue


@asynccontextmanager
async def running(folder: Path, **settings: float) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, Slow]]:
    """A router process before slow subgraphs."""
    slow, served = Slow(), subgraphs()
    async with (
        listening(slow.app(served["accounts"])) as accounts,
        listening(slow.app(served["catalog"])) as catalog,
        listening(slow.app(served["reviews"])) as reviews,
    ):
        urls = {"accounts": accounts, "catalog": catalog, "reviews": reviews}
        graph, config = folder / "supergraph.graphql", folder / "router.yaml"
        graph.write_text(supergraph(served, urls))
        given = {"drain_notice": NOTICE, "subgraph_timeout": 30.0, "internal_port": None, **settings}
        config.write_text(yaml.safe_dump(given))
        async with serving("--supergraph", str(graph), "--config", str(config)) as (process, url):
            yield process, url, slow


@asynccontextmanager
async def asked(session: aiohttp.ClientSession, url: str, body: Any, accept: str) -> AsyncIterator[Any]:
    async with session.post(f"{url}/graphql", json=body, headers={"accept": accept}) as response:
        yield response


async def until(response: aiohttp.ClientResponse, part: bytes) -> bytes:
    """What has come, as soon as this is in it."""
    read = b""
    async with asyncio.timeout(20):
        while part not in read:
            chunk = await response.content.readany()
            assert chunk, read
            read += chunk
    return read


async def status(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as response:
        return response.status


async def unready(session: aiohttp.ClientSession, url: str) -> bool:
    return await status(session, f"{url}/health/ready") == 503


async def test_on_sigterm_what_runs_is_completed_and_what_lives_long_goes_elsewhere(tmp_path: Path) -> None:
    """Readiness fails first, while requests are still taken; then sockets and streams are told; nothing is cut off."""
    async with running(tmp_path) as (process, url, slow), aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"])
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json({"id": "1", "type": "subscribe", "payload": SUBSCRIBE})
        assert (await socket.receive_json())["payload"]["data"] == {"reviewAdded": {"body": "Event 0"}}
        async with (
            asked(session, url, SUBSCRIBE, "text/event-stream") as events,
            asked(session, url, DEFER, MULTIPART) as deferred,
        ):
            await until(events, b"Event 0")
            await until(deferred, b'"hasNext":true')
            request = asyncio.create_task(_json(session, url, ME))
            await eventually(lambda: slow.asked == 2)
            process.send_signal(signal.SIGTERM)
            await eventually(lambda: unready(session, url))
            assert await status(session, f"{url}/health/live") == 200
            assert await _json(session, url, LATEST) == {"data": {"latest": {"body": "Good"}}}
            closing = await socket.receive()
            assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 1001)
            assert b"event: complete" in await until(events, b"event: complete")
            slow.go.set()
            assert await request == {"data": {"me": {"id": "1"}}}
            rest = await until(deferred, b"-----\r\n")
            assert b'"data":{"me":{"id":"1"}}' in rest
            assert b'"hasNext":false' in rest
        await socket.close()
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def _json(session: aiohttp.ClientSession, url: str, body: Any) -> Any:
    async with asked(session, url, body, "application/json") as response:
        return await response.json()


async def test_what_does_not_end_is_ended(tmp_path: Path) -> None:
    """A request that goes on for ever does not hold up the end for longer than ``drain_timeout``."""
    async with running(tmp_path, drain_timeout=1) as (process, url, slow), aiohttp.ClientSession() as session:
        request = asyncio.create_task(_json(session, url, ME))
        await eventually(lambda: slow.asked == 1)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 9) == 0
        slow.go.set()
        await asyncio.gather(request, return_exceptions=True)
