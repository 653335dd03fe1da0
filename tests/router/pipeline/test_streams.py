"""Answers in several payloads: event streams, multipart, deferred parts."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from router.settings import Settings
from tests.router.pipeline.client import data, post
from tests.router.pipeline.subgraphs import Served, router, subgraphs

SUBSCRIPTION = "subscription($n:Int!){reviewAdded(count:$n){body author{name}}}"
EVENTS = [{"data": {"reviewAdded": {"body": f"Event {n}", "author": {"name": "Ada"}}}} for n in range(2)]


async def test_a_subscription_over_server_sent_events() -> None:
    """Each event is completed with other subgraphs' fields; the stream ends with "complete"."""
    response = await post(router(subgraphs()), SUBSCRIPTION, {"n": 2}, accept="text/event-stream")
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, complete, rest = response.body.decode().split("\n\n")
    assert [orjson.loads(event.removeprefix("event: next\ndata: ")) for event in events] == EVENTS
    assert complete.startswith("event: complete")
    assert rest == ""


async def test_a_subscription_over_multipart() -> None:
    """Each event is a part with a payload; the last boundary closes the stream."""
    accept = "multipart/mixed;subscriptionSpec=1.0, application/json"
    response = await post(router(subgraphs()), SUBSCRIPTION, {"n": 2}, accept=accept)
    assert 'boundary="graphql"' in response.headers["content-type"]
    first, *parts, last = response.body.decode().split("--graphql")
    assert (first, last) == ("\r\n", "--\r\n")
    assert [orjson.loads(part.split("\r\n\r\n")[1]) for part in parts] == [{"payload": event} for event in EVENTS]


async def test_a_subscription_needs_a_client_that_takes_streams() -> None:
    """406, and the subgraph is not asked."""
    served = subgraphs()
    response = await post(router(served), SUBSCRIPTION, {"n": 2})
    assert response.status == 406
    assert served["reviews"].requests == []


async def test_a_query_over_an_event_stream_is_one_event() -> None:
    """A client that takes nothing but an event stream gets one."""
    response = await post(router(subgraphs()), "{me{id}}", accept="text/event-stream")
    assert response.body == b'event: next\ndata: {"data":{"me":{"id":"1"}}}\n\nevent: complete\ndata: \n\n'


async def test_deferred_parts_follow_in_multipart() -> None:
    """The first payload comes without the part, the next adds it at its path."""
    query = '{me{id ... @defer(label:"late"){reviews{body}}}}'
    app = router(subgraphs())
    response = await post(app, query, accept="multipart/mixed;deferSpec=20220824, application/json")
    parts = [part.split(b"\r\n\r\n")[1] for part in response.body.split(b"\r\n---")[1:-1]]
    first, second = map(orjson.loads, parts)
    assert first == {"data": {"me": {"id": "1"}}, "hasNext": True}
    assert second == {
        "incremental": [{"data": {"reviews": [{"body": "Fine"}]}, "path": ["me"], "label": "late"}],
        "hasNext": False,
    }
    assert response.body.endswith(b"\r\n-----\r\n")
    assert await data(app, query) == {"me": {"id": "1", "reviews": [{"body": "Fine"}]}}


async def test_when_the_client_goes_the_subgraphs_stream_is_closed() -> None:
    """A disconnect ends the subscription at its source, not only at the client."""
    closed = asyncio.Event()
    first = asyncio.Event()

    class Endless(Served):
        async def subscribe(self, request: Any) -> Any:
            try:
                async for event in super().subscribe(request):
                    yield event
                    first.set()
                    await asyncio.Event().wait()
            finally:
                closed.set()

    served = subgraphs()
    served["reviews"] = Endless("reviews", served["reviews"].sdl.split(")\n", 1)[1])
    served["reviews"].transport = type(served["reviews"].transport)(
        served["reviews"].execute, served["reviews"].subscribe
    )
    app = router(served, Settings(subscription_ping=0.01))
    gone = asyncio.Event()
    pinged = asyncio.Event()
    body = orjson.dumps({"query": SUBSCRIPTION, "variables": {"n": 1}})
    incoming = [{"type": "http.request", "body": body}]

    async def receive() -> Any:
        if incoming:
            return incoming.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message.get("body") == b":\n\n":
            pinged.set()

    headers = [(b"content-type", b"application/json"), (b"accept", b"text/event-stream")]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers}
    async with asyncio.timeout(5):
        serving = asyncio.create_task(app(scope, receive, send))
        await first.wait()
        await pinged.wait()
        gone.set()
        await serving
        await closed.wait()
