"""The HTTP door, over real HTTP; and subscriptions that refuse or break."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import strawberry
import uvicorn

from db.session import Database
from subgraphs.kit.app import MAX_BODY_BYTES, http_app
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.errors import AccessDenied
from subgraphs.kit.execute import Caller, GraphQLEndpoint
from subgraphs.kit.identity import CLAIMS_HEADER, ClaimsVerifier, sign_claims
from tests.support.process import free_port
from tests.support.waiting import eventually

CHANGES = InProcessChanges()


def claims() -> dict[str, str]:
    return {CLAIMS_HEADER: sign_claims("s", {"sub": "U1", "exp": time.time() + 60})}


@strawberry.type
class Query:
    @strawberry.field
    def whoami(self, info: strawberry.Info[Caller, None]) -> str | None:
        return info.context.identity.user_id


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def changed(self) -> AsyncIterator[str]:
        async for topic in CHANGES.listen("topic", at_once=True):
            yield topic

    @strawberry.subscription
    async def refused(self, to: int = 0) -> AsyncIterator[int]:
        if to < 1:
            raise AccessDenied("FORBIDDEN", "Not yours.")
        yield to

    @strawberry.subscription
    async def broken(self) -> AsyncIterator[int]:
        yield 1
        raise RuntimeError("password=hunter2")


def endpoint() -> GraphQLEndpoint[Caller]:
    schema = strawberry.federation.Schema(query=Query, subscription=Subscription)
    return GraphQLEndpoint(schema, lambda caller: caller, ClaimsVerifier("s"))


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with Database(f"sqlite+aiosqlite:///{tmp_path}/app.db") as database:
        port = free_port()
        config = uvicorn.Config(http_app("test", endpoint(), database), port=port, log_level="error")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(server.serve())
        await eventually(lambda: server.started)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
        server.should_exit = True
        await task


async def test_a_query_is_answered_without_a_detour(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": "{ whoami }"}, headers=claims())
    assert (answer.status_code, answer.json()) == (200, {"data": {"whoami": "U1"}})
    assert (await client.get("/graphql")).status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"query": 5}',
        b'{"query": "{ whoami }", "variables": []}',
        b"\xff",
        b'{"operationName": 1}',
    ],
)
async def test_what_is_no_request_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post("/graphql", content=body, headers=claims())).status_code == 400


async def test_a_body_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    body = b'{"query": "{ whoami }", "x": "' + b"x" * MAX_BODY_BYTES + b'"}'
    assert (await client.post("/graphql", content=body, headers=claims())).status_code == 413


async def test_health_says_alive_and_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/ready")).status_code == 200


async def test_not_ready_without_its_database() -> None:
    async with Database(f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/nothing") as database:
        transport = httpx.ASGITransport(http_app("test", endpoint(), database))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/health/ready")).status_code == 503
            assert (await client.get("/health/live")).status_code == 200


async def test_a_subscription_is_a_stream_of_events(client: httpx.AsyncClient) -> None:
    request = {"query": "subscription { count(to: 2) }"}
    answer = await client.post("/graphql", json=request, headers=claims())
    assert answer.headers["content-type"] == "text/event-stream"
    events = answer.text.split("\n\n")
    assert [orjson.loads(each.split("data: ")[1]) for each in events[:2]] == [
        {"data": {"count": 0}},
        {"data": {"count": 1}},
    ]
    assert events[2].startswith("event: complete")


async def test_a_client_who_leaves_is_forgotten(client: httpx.AsyncClient) -> None:
    request = {"query": "subscription { changed }"}
    async with client.stream("POST", "/graphql", json=request, headers=claims()) as answer:
        await anext(answer.aiter_lines())
        await eventually(lambda: CHANGES.board.topics)
    await eventually(lambda: not CHANGES.board.topics)


async def test_an_api_that_ends_is_unready_first_and_then_completes_its_streams(tmp_path: Path) -> None:
    """While it is unready it still answers; a client of a stream is told that it is over, not cut off."""
    async with Database(f"sqlite+aiosqlite:///{tmp_path}/app.db") as database:
        app = http_app("test", endpoint(), database)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=20) as client:
            request = {"query": "subscription { changed }"}
            stream = asyncio.create_task(client.post("/graphql", json=request, headers=claims()))
            await eventually(lambda: CHANGES.board.topics)
            ending = asyncio.create_task(app.state.drain.begin(0.2))
            await asyncio.sleep(0)
            assert (await client.get("/health/ready")).status_code == 503
            assert (await client.get("/health/live")).status_code == 200
            answer = await client.post("/graphql", json={"query": "{ whoami }"}, headers=claims())
            assert answer.json() == {"data": {"whoami": "U1"}}
            assert not stream.done()
            await ending
            assert (await stream).text.endswith("event: complete\ndata:\n\n")
    assert not CHANGES.board.topics


async def heard(query: str, given: dict[str, str]) -> list[dict[str, Any]]:
    return [each async for each in endpoint().subscribe(query, None, None, given)]


async def test_a_subscription_that_refuses_says_why_and_ends() -> None:
    (answer,) = await heard("subscription { refused }", claims())
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_subscription_that_breaks_ends_without_detail() -> None:
    first, last = await heard("subscription { broken }", claims())
    assert first == {"data": {"broken": 1}}
    assert last["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "hunter2" not in str(last)


async def test_a_subscription_that_nobody_may_ask_is_refused() -> None:
    assert (await heard("subscription { count(to: 1) }", {}))[0]["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    for query in ("subscription { nothing }", "subscription { count }"):
        assert (await heard(query, claims()))[0]["errors"]
