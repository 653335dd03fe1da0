"""Deadlines of what comes after the first answer: deferred parts, events of a subscription."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.settings import Settings
from tests.router.pipeline.client import post
from tests.router.pipeline.subgraphs import Served, router, subgraphs
from tests.router.pipeline.told import MULTIPART, payloads

DEFER = "{me{id ...@defer{reviews{body}}}}"
SUBSCRIPTION = "subscription{reviewAdded(count:2){body author{name}}}"


def slow(served: Served, seconds: float, times: int) -> None:
    """Its first answers take longer."""
    left = times

    async def execute(request: SubgraphRequest) -> SubgraphResponse:
        nonlocal left
        left -= 1
        if left >= 0:
            await asyncio.sleep(seconds)
        return await served.execute(request)

    served.transport = InProcessTransport(execute, served.subscribe)


async def deferred(**timeouts: float) -> tuple[Any, Any]:
    served = subgraphs()
    slow(served["reviews"], 0.2, 1)
    answer = await post(router(served, Settings(**timeouts)), DEFER, accept=MULTIPART)  # type: ignore[arg-type]
    first, second = payloads(answer)
    assert first == {"data": {"me": {"id": "1"}}, "hasNext": True}
    return second["incremental"][0]["data"], second["incremental"][0].get("errors")


async def test_a_deferred_part_has_a_deadline_of_its_own() -> None:
    """What has not come by then is null, with an error; the stream is completed."""
    data, errors = await deferred(deferred_timeout=0.05)
    assert data == {"reviews": None}
    assert errors[0]["extensions"]["code"] == "SUBGRAPH_TIMEOUT"


async def test_a_deferred_part_may_take_longer_than_the_answer() -> None:
    """That is what it was deferred for."""
    data, errors = await deferred(request_timeout=0.1)
    assert (len(data["reviews"]), errors) == (1, None)


async def test_an_event_has_a_deadline_and_the_next_event_another() -> None:
    """One slow event is sent with what is there; ``request_timeout`` is not for events."""
    served = subgraphs()
    slow(served["accounts"], 0.5, 1)
    app = router(served, Settings(event_timeout=0.05, request_timeout=60))
    answer = await post(app, SUBSCRIPTION, accept="text/event-stream")
    first, second = [orjson.loads(event.partition("data: ")[2]) for event in answer.body.decode().split("\n\n")[:2]]
    assert first["data"]["reviewAdded"] == {"body": "Event 0", "author": {"name": None}}
    assert first["errors"][0]["extensions"]["code"] == "SUBGRAPH_TIMEOUT"
    assert second == {"data": {"reviewAdded": {"body": "Event 1", "author": {"name": "Ada"}}}}
    patient = router(served, Settings(event_timeout=60, request_timeout=0.0001))
    answer = await post(patient, SUBSCRIPTION, accept="text/event-stream")
    assert b"errors" not in answer.body
