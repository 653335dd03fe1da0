"""The whole shop in one process: subgraphs are called in memory, nothing else need be installed or running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp

from db import telemetry
from dure import demo_data, subgraphs
from dure.assembly import build, make_broker, make_changes, make_runtime
from dure.databases import migrate, until_told
from dure.doors import by_prefix
from dure.progress import step
from dure.serve import router_settings, serve
from dure.settings import Settings
from messaging.broker import Broker
from router.app import create_app
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse, Transport
from subgraphs.kit.changes import Changes
from subgraphs.kit.execute import GraphQLEndpoint
from subgraphs.kit.subgraph import Subgraph
from subgraphs.kit.workers import Worker, supervise
from subgraphs.payments.settings import Settings as PaymentSettings
from subgraphs.payments.simulator.app import Simulator, create_simulator
from subgraphs.payments.transport import AsgiSender


async def run(settings: Settings, announce: Callable[[], None]) -> None:
    """Migrate, load demo data, serve until told to stop. ``announce`` is called when the shop answers."""
    await migrate(settings)
    loaded = settings.loads_demo_data and await demo_data.load(settings)
    async with AsyncExitStack() as stack:
        broker = make_broker(settings)
        stack.push_async_callback(broker.close)
        simulator = create_simulator(
            settings.data_dir / "provider.sqlite",
            secret_key=PaymentSettings().provider_secret_key.get_secret_value(),
        )
        built = _build_all(settings, broker, make_changes(settings), simulator, stack)
        app = _doors(settings, built, simulator)
        workers = [worker for subgraph in built.values() for worker in subgraph.workers]
        workers.append(Worker("provider.webhooks", simulator.run))
        async with _background(workers):
            if loaded:
                with step("telling the subgraphs of one another's data"):
                    await until_told(settings)
            await serve(app, settings.host, settings.port, announce)


def _build_all(
    settings: Settings, broker: Broker, changes: Changes, simulator: Simulator, stack: AsyncExitStack
) -> dict[str, Subgraph]:
    built: dict[str, Subgraph] = {}
    for name in subgraphs.ALL:
        runtime = make_runtime(settings, name, broker, changes)
        stack.push_async_callback(runtime.database.close)
        given = {"send": AsgiSender(simulator)} if name == "payments" else {}
        built[name] = build(name, runtime, **given)
    return built


def _doors(settings: Settings, built: Mapping[str, Subgraph], simulator: Simulator) -> ASGIApp:
    transports: dict[str, Transport] = {name: in_process(subgraph.endpoint, name) for name, subgraph in built.items()}
    router = create_app(settings.supergraph_sdl, router_settings(settings), transports, built["users"].app.state.jwks)
    simulator.deliver_to(_post_to(built["payments"].app, "/webhooks/toss"))
    doors: dict[str, ASGIApp] = {"/webhooks": built["payments"].app}
    if settings.dev:
        doors |= {"/dev": built["users"].app, "/provider/": simulator}
    return by_prefix(doors, router)


def in_process(endpoint: GraphQLEndpoint[Any], name: str = "subgraph") -> InProcessTransport:
    """The router's way to a subgraph of this process: plain data, no HTTP, no JSON."""

    async def execute(request: SubgraphRequest) -> SubgraphResponse:
        with telemetry.span(name, request.headers.get(telemetry.HEADER), SpanKind.SERVER):
            answer = await endpoint.execute(request.query, request.variables, request.operation_name, request.headers)
        return SubgraphResponse(answer["data"], answer.get("errors"))

    async def subscribe(request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        answers = endpoint.subscribe(request.query, request.variables, request.operation_name, request.headers)
        async for answer in answers:
            yield SubgraphResponse(answer["data"], answer.get("errors"))

    return InProcessTransport(execute, subscribe)


def _post_to(app: ASGIApp, path: str) -> Callable[[bytes], Awaitable[int]]:
    """How the provider's webhooks reach us when both live in this process."""
    send = AsgiSender(app)

    async def post(body: bytes) -> int:
        return (await send("POST", path, {"content-type": "application/json"}, body)).status

    return post


@asynccontextmanager
async def _background(workers: list[Worker]) -> AsyncIterator[None]:
    task = asyncio.create_task(supervise(workers))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
