"""Whoever asks over a stream or a socket meets the same guards as over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from router.app import RouterApp
from router.errors import RequestErrorCode, SubgraphError
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.settings import CostSettings, Rate, RateLimits, ResilienceSettings, Settings
from tests.router.pipeline.client import call
from tests.router.pipeline.subgraphs import router, subgraphs
from tests.router.pipeline.test_shedding import Held, held_router
from tests.router.pipeline.test_websocket import initialised

QUERY = {"query": "{me{id}}"}
ANSWER = {"data": {"me": {"id": "1"}}}
PEER = "192.0.2.1"
DOORS = ("json", "events", "socket")


async def ask(app: RouterApp, door: str, request: Any = QUERY) -> Any:
    """The answer, or the errors of a refusal."""
    if door == "socket":
        async with initialised(app, peer=PEER) as socket:
            await socket.send(id="1", type="subscribe", payload=request)
            answer = await socket.receive()
            return answer["payload"] if answer["type"] == "next" else {"errors": answer["payload"]}
    accept = "text/event-stream" if door == "events" else "application/json"
    headers = {"content-type": "application/json", "accept": accept}
    answer = await call(app, body=orjson.dumps(request), headers=headers, peer=PEER)
    if answer.headers["content-type"].startswith("text/event-stream"):
        return orjson.loads(answer.body.partition(b"data: ")[2].partition(b"\n")[0])
    return answer.json


def code(answer: Any) -> str:
    return str(answer["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize("door", DOORS)
async def test_cost_is_limited_everywhere(door: str) -> None:
    """Too dear is refused; affordable is answered."""
    assert code(await ask(router(subgraphs(), Settings(cost=CostSettings(anonymous=0))), door)) == (
        "COST_ESTIMATED_TOO_EXPENSIVE"
    )
    assert await ask(router(subgraphs(), Settings(cost=CostSettings(anonymous=1))), door) == ANSWER


@pytest.mark.parametrize("door", DOORS)
async def test_all_doors_take_from_one_bucket(door: str) -> None:
    """What was asked at the other doors counts; with a larger bucket the same is answered."""
    for burst, refused in ((3, True), (4, False)):
        rates = RateLimits(enabled=True, anonymous=Rate(per_second=0.001, burst=burst))
        app = router(subgraphs(), Settings(rate_limits=rates))
        for each in DOORS:
            assert await ask(app, each) == ANSWER
        answer = await ask(app, door)
        assert (code(answer) if refused else answer) == ("RATE_LIMITED" if refused else ANSWER)


async def test_a_guess_of_a_token_at_a_socket_is_counted() -> None:
    """Somebody who tries tokens is refused as a stranger, too, when they have tried too often."""
    rates = RateLimits(enabled=True, anonymous=Rate(per_second=0.001, burst=3))
    app = router(subgraphs(), Settings(rate_limits=rates))
    for _ in range(3):
        with pytest.raises(AssertionError, match="4403"):
            async with initialised(app, {"Authorization": "Bearer nonsense"}, peer=PEER):
                pass
    assert code(await ask(app, "json")) == "RATE_LIMITED"


@pytest.fixture
def rest(tmp_path: Path) -> Path:
    """``GET /me``."""
    operation = {"id": "me", "name": "Me", "type": "query", "body": "query Me { me { id } }"}
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    bound = {"call": "GET /me", "summary": "Me", "operation": "Me", "result": "me"}
    bindings = {"manifest": "manifest.json", "info": {"title": "t", "version": "1"}, "endpoints": [bound]}
    (tmp_path / "rest.json").write_text(json.dumps(bindings))
    return tmp_path / "rest.json"


async def test_rest_takes_places_too(rest: Path) -> None:
    """A problem with Retry-After while there is no room; the answer when there is."""
    held = Held()
    served = subgraphs()
    served["accounts"].transport = held.transport
    app = router(served, Settings(rest=rest, resilience=ResilienceSettings(requests=1)))
    first = asyncio.create_task(call(app, "GET", "/me"))
    await held.asked.acquire()
    refused = await call(app, "GET", "/me")
    assert (refused.status, refused.headers["retry-after"], refused.json["code"]) == (503, "1", "OVERLOADED")
    held.free.set()
    assert (await first).json == {"id": "1"}
    assert (await call(app, "GET", "/me")).json == {"id": "1"}


async def test_a_subgraph_that_is_left_alone_is_no_fault_of_ours_over_rest(rest: Path) -> None:
    """503 and when to come again, not 500."""
    served = subgraphs()

    async def fail(_: SubgraphRequest) -> SubgraphResponse:
        raise SubgraphError(RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE, "nonsense")

    served["accounts"].transport = InProcessTransport(fail)
    app = router(served, Settings(rest=rest, resilience=ResilienceSettings(breaker_calls=1)))
    assert (await call(app, "GET", "/me")).status == 502
    refused = await call(app, "GET", "/me")
    assert (refused.status, refused.json["code"]) == (503, "SUBGRAPH_UNAVAILABLE")
    assert int(refused.headers["retry-after"]) >= 1


@asynccontextmanager
async def busy() -> AsyncIterator[tuple[RouterApp, Held]]:
    """A router whose only place is taken."""
    held = Held()
    app = held_router(held, requests=1)
    first = asyncio.create_task(ask(app, "json"))
    await held.asked.acquire()
    yield app, held
    held.free.set()
    assert await first == ANSWER


@pytest.mark.parametrize("door", DOORS)
async def test_what_is_too_much_is_refused_everywhere(door: str) -> None:
    """At once, with the time after which to come again; when there is room, it is answered."""
    async with busy() as (app, held):
        refused = await ask(app, door)
        assert code(refused) == "OVERLOADED"
        assert refused["errors"][0]["extensions"]["retryAfterMs"] == 1000
        held.free.set()
    assert await ask(app, door) == ANSWER


async def test_a_query_on_a_socket_takes_a_place_and_a_subscription_does_not() -> None:
    """Streams live for hours; a query on a socket is as much work as any other."""
    held = Held()
    app = held_router(held, requests=1)
    async with initialised(app, peer=PEER) as socket:
        await socket.send(id="1", type="subscribe", payload={"query": "subscription{reviewAdded(count:1000){body}}"})
        assert (await socket.receive())["type"] == "next"
        asked = asyncio.create_task(ask(app, "json"))
        await held.asked.acquire()
        held.free.set()
        assert await asked == ANSWER
    held.free.clear()
    async with initialised(app, peer=PEER) as socket:
        await socket.send(id="1", type="subscribe", payload=QUERY)
        await held.asked.acquire()
        assert code(await ask(app, "json")) == "OVERLOADED"
        held.free.set()
        assert (await socket.receive())["payload"] == ANSWER
