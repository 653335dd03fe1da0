"""Spans of the router: every request to a subgraph has one, whichever way it takes."""

from __future__ import annotations

import orjson
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from router.app import create_app
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.pipeline.pipeline import Stream
from router.pipeline.request import GraphQLRequest
from router.settings import Settings, SubgraphSettings
from router.telemetry import Telemetry
from router.telemetry.export import provider
from router.telemetry.tracing import HEADER
from tests.router.pipeline.client import data
from tests.router.pipeline.subgraphs import router, subgraphs, supergraph
from tests.router.pipeline.test_full_stack import running_subgraphs

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class Recorded:
    """What a router with this telemetry records."""

    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        self.telemetry = Telemetry(tracer=provider("test", 1.0, SimpleSpanProcessor(self._memory)).get_tracer("test"))

    @property
    def spans(self) -> dict[str, list[ReadableSpan]]:
        found: dict[str, list[ReadableSpan]] = {}
        for span in self._memory.get_finished_spans():
            assert span.context is not None
            assert f"{span.context.trace_id:032x}" == TRACE
            found.setdefault(span.name, []).append(span)
        return found


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


async def test_an_answer_that_is_passed_through_has_its_span() -> None:
    """Below the request, like one that is read; a failure is marked."""
    recorded, served = Recorded(), subgraphs()
    async with running_subgraphs(served) as urls:
        trusting = Settings(subgraphs={name: SubgraphSettings(trust_answers=True) for name in urls})
        app = create_app(supergraph(served, urls), trusting, telemetry=recorded.telemetry)
        assert await data(app, "{me{id name}}", traceparent=PARENT) == {"me": {"id": "1", "name": "Ada"}}
    [request], [fetch] = recorded.spans["POST /graphql"], recorded.spans["fetch accounts"]
    assert parent_of(fetch) == id_of(request)
    assert fetch.status.is_ok or fetch.status.is_unset
    await app.close()


async def test_a_subscription_and_each_of_its_events_have_spans() -> None:
    """What an event needs is fetched below the event; the subscription's own span ends with it."""
    recorded, served = Recorded(), subgraphs()
    seen: list[str] = []

    async def execute(request: SubgraphRequest) -> SubgraphResponse:
        seen.append(request.headers[HEADER])
        return await served["accounts"].execute(request)

    app = router(served, telemetry=recorded.telemetry)
    app._subgraphs._given["accounts"] = InProcessTransport(execute)
    await app.reload()
    request = GraphQLRequest("subscription{reviewAdded(count:2){body author{name}}}")
    stream = await app.graphql.pipeline.answer(request, {HEADER: PARENT})
    assert isinstance(stream, Stream)
    assert [orjson.loads(event)["data"]["reviewAdded"]["author"]["name"] async for event in stream.payloads] == [
        "Ada"
    ] * 2
    [source], events, fetches = (recorded.spans[name] for name in ("fetch reviews", "event reviews", "fetch accounts"))
    assert source.attributes is not None
    assert source.attributes["graphql.operation.type"] == "subscription"
    assert [parent_of(fetch) for fetch in fetches] == [id_of(event) for event in events]
    assert [header.split("-")[2] for header in seen] == [f"{id_of(fetch):016x}" for fetch in fetches]
    assert {parent_of(span) for span in (source, *events)} == {int(PARENT.split("-")[2], 16)}


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_subscription_that_fails_is_marked_and_one_that_is_left_is_not(leaves: bool) -> None:
    recorded, served = Recorded(), subgraphs()
    app = router(served, telemetry=recorded.telemetry)
    if not leaves:
        app.graphql.pipeline._transports = {}
    request = GraphQLRequest("subscription{reviewAdded(count:2){body}}")
    stream = await app.graphql.pipeline.answer(request, {HEADER: PARENT})
    assert isinstance(stream, Stream)
    first = orjson.loads(await anext(stream.payloads))
    await stream.payloads.aclose()
    assert ("errors" in first) == (not leaves)
    [span] = recorded.spans["fetch reviews"]
    assert (span.status.status_code.name == "ERROR") == (not leaves)
