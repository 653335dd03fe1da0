"""What operators see of a running shop: one trace from click to event, metrics, a log without people in it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.dure.shop import Buyer, ShopProcess, choose, settled, visiting, wish
from tests.support.process import free_port

pytestmark = pytest.mark.e2e

PEOPLE = re.compile(r"[\w.+-]+@[\w-]+\.\w+|eyJ[\w-]{10,}|010-?\d{4}-?\d{4}|구매자|4330\d{12}")


@asynccontextmanager
async def collector(traces: dict[str, set[str]]) -> AsyncIterator[str]:
    """An OTLP collector: names of spans by trace id (hexadecimal), and its URL."""

    async def collect(request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest.FromString(await request.read())
        for resource in message.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    traces.setdefault(span.trace_id.hex(), set()).add(span.name)
        return web.Response()

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/traces", collect)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/v1/traces"
    finally:
        await runner.cleanup()


async def test_one_order_is_one_trace_and_the_log_names_nobody(copied: tuple[ShopProcess, Buyer]) -> None:
    shop, buyer = copied
    traces: dict[str, set[str]] = {}
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    wanted = {"POST /graphql", "fetch orders", "orders", "transaction"}
    wanted_queues = {f"process dure.{name}" for name in ("orders", "products", "payments", "delivery")}
    async with collector(traces) as url:
        await shop.start(DURE_OTLP_ENDPOINT=url, DURE_LOG_LEVEL="info", ROUTER_ACCESS_LOG_RATIO="1")
        async with visiting(shop.url, buyer) as visitor:
            order = wish(buyer, await choose(visitor))
            visitor._session.headers["traceparent"] = f"00-{trace}-00f067aa0ba902b7-01"
            placed = await visitor.ask("place_order", input=order, key="one-trace-only")
            del visitor._session.headers["traceparent"]
            await settled(visitor, placed.data["orderCreate"]["order"]["id"])
        async with aiohttp.ClientSession() as session:
            internal = f"http://127.0.0.1:{shop.port + 1000}"
            async with session.get(f"{internal}/metrics") as answer:
                metrics = await answer.text()
            async with session.get(f"{internal}/health") as answer:
                assert (await answer.json())["status"] == "UP"
        assert await shop.stop() == 0
    names = traces[trace]
    assert wanted <= names
    for queue in wanted_queues:
        assert any(name.startswith(queue) for name in names), (queue, sorted(names))
    for name in ("dure_outbox_events", "dure_dead_letters", "messaging_client_consumed_messages_total"):
        assert f"\n{name}{{" in metrics
    lines = [json.loads(line) for line in shop.log.splitlines() if line.startswith("{")]
    assert any(line.get("trace_id") == trace and line["event"] == "operation" for line in lines)
    assert not PEOPLE.findall(shop.log)
    assert PEOPLE.findall("to buyer@people.example"), "the search finds what must not be there"
