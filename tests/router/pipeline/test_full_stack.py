"""Router and subgraphs as servers of their own, over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import uvicorn

from router.app import create_app
from router.executor.event_stream import write_event
from router.executor.transport import SubgraphRequest
from router.pipeline.asgi import Receive, Scope, Send, read_body, send_whole
from router.pipeline.supergraph_source import from_config
from router.settings import Settings, SubgraphSettings, read_settings
from tests.router.pipeline.subgraphs import Served, subgraphs, supergraph

QUERY = "{products{name freight reviews{author{name}}} me{id}}"
ANSWER = {
    "data": {
        "products": [
            {"name": "Table", "freight": 14, "reviews": [{"author": {"name": "Bob"}}, {"author": {"name": "Ada"}}]},
            {"name": "Chair", "freight": 6, "reviews": []},
            None,
        ],
        "me": {"id": "1"},
    }
}


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """Serve an application on a free port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", loop="none", access_log=False))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/graphql"
    finally:
        server.should_exit = True
        await serving


def http_subgraph(served: Served) -> Any:
    """A subgraph as an ASGI application: JSON, and an event stream for subscriptions."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        message = orjson.loads(await read_body(receive, None, 10**6))
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = SubgraphRequest(message["query"], message.get("variables"), None, headers, "query")
        if "_service" in message["query"]:
            body = orjson.dumps({"data": {"_service": {"sdl": served.sdl}}})
            await send_whole(send, 200, b"application/json", body, [])
        elif headers["accept"] == "text/event-stream":
            events = [
                write_event("next", orjson.dumps({"data": event.data})) async for event in served.subscribe(request)
            ]
            body = b"".join(events) + write_event("complete", b"")
            await send_whole(send, 200, b"text/event-stream", body, [])
        else:
            answer = await served.execute(request)
            body = orjson.dumps({"data": answer.data, "errors": answer.errors})
            await send_whole(send, 200, b"application/json", body, [])

    return app


@asynccontextmanager
async def running_subgraphs(served: dict[str, Served]) -> AsyncIterator[dict[str, str]]:
    """All subgraphs on ports of their own."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(listening(http_subgraph(one))) for name, one in served.items()}


async def ask(url: str, query: str, **headers: str) -> Any:
    async with aiohttp.ClientSession() as session, session.post(url, json={"query": query}, headers=headers) as answer:
        return await answer.json(content_type=None)


@pytest.mark.parametrize("client", ["pyreqwest", "aiohttp"])
async def test_a_query_over_real_connections(client: Any) -> None:
    """The same answer as in memory, with either HTTP client; a subgraph that stops costs its own fields."""
    served = subgraphs()
    async with running_subgraphs(served) as urls:
        app = create_app(supergraph(served, urls), Settings(http_client=client))
        async with listening(app) as url:
            assert await ask(url, QUERY) == ANSWER
            app.graphql.pipeline._transports["reviews"].inner._url = "http://127.0.0.1:1/"  # type: ignore[attr-defined]
            answer = await ask(url, QUERY)
            assert answer["data"]["me"] == {"id": "1"}
            assert {error["extensions"]["code"] for error in answer["errors"]} == {"SUBGRAPH_UNREACHABLE"}
            assert b'router_subgraph_failures_total{subgraph="reviews"} 1.0' in app.telemetry.exposition()


async def test_trusted_answers_pass_through_unchanged() -> None:
    """A trusted subgraph's bytes are the same answer as the completed one."""
    served = subgraphs()
    async with running_subgraphs(served) as urls:
        trusting = Settings(subgraphs={name: SubgraphSettings(trust_answers=True) for name in urls})
        answers = []
        for settings in (Settings(), trusting):
            async with listening(create_app(supergraph(served, urls), settings)) as url:
                answers.append(await ask(url, "{me{id name} again:me{id}}"))
        assert answers[0] == answers[1] == {"data": {"me": {"id": "1", "name": "Ada"}, "again": {"id": "1"}}}


async def test_a_subscription_from_a_subgraphs_event_stream_to_the_clients() -> None:
    """Events travel from the subgraph's stream through the router's to the client."""
    served = subgraphs()
    async with (
        running_subgraphs(served) as urls,
        listening(create_app(supergraph(served, urls), Settings())) as url,
        aiohttp.ClientSession(headers={"accept": "text/event-stream"}) as session,
        session.post(url, json={"query": "subscription{reviewAdded(count:2){body author{name}}}"}) as response,
    ):
        text = await response.text()
    assert text.count("event: next") == 2
    assert '"author":{"name":"Ada"}' in text


async def test_configured_subgraphs_are_composed_and_followed(tmp_path: Path) -> None:
    """Without a supergraph file the configuration is composed, from files and from running subgraphs."""
    served = subgraphs()
    async with running_subgraphs(served) as urls:
        entries: dict[str, Any] = {
            name: {"routing_url": url, "schema": {"subgraph_url": url}} for name, url in urls.items()
        }
        (tmp_path / "accounts.graphql").write_text(served["accounts"].sdl)
        entries["accounts"]["schema"] = {"file": "accounts.graphql"}
        config = tmp_path / "router.yaml"
        config.write_bytes(orjson.dumps({"subgraphs": entries, "limits": {"depth": 9}}))
        load = from_config(config)
        settings = read_settings(config)
        assert settings.limits.depth == 9
        async with listening(create_app(await load(), settings)) as url:
            assert await ask(url, QUERY) == ANSWER
        first = await load()
        (tmp_path / "accounts.graphql").write_text(served["accounts"].sdl.replace("me:", "myself:"))
        assert "myself" in await load() != first
