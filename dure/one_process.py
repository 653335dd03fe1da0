"""The whole shop in one process: subgraphs are called in memory, nothing else need be installed or running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp

from db import deadline, telemetry
from dure import demo_data, subgraphs
from dure.assembly import (
    build,
    ending_sessions,
    make_broker,
    make_changes,
    make_runtime,
    make_simulator,
    purging_workers,
    statistics_workers,
)
from dure.databases import migrate, until_told
from dure.doors import by_prefix, of_subgraphs
from dure.observe import observed, showing
from dure.progress import step
from dure.serve import certificate, follow, router_settings, serve
from dure.settings import Settings
from router.app import RouterApp, create_app
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse, Transport
from router.pipeline.supergraph_source import Load
from router.telemetry import Telemetry
from subgraphs.kit.execute import GraphQLEndpoint
from subgraphs.kit.subgraph import Runtime, Subgraph
from subgraphs.kit.workers import Worker, running
from subgraphs.payments.settings import Settings as PaymentSettings
from subgraphs.payments.simulator.app import Simulator
from subgraphs.payments.transport import HereSender


async def run(settings: Settings, announce: Callable[[], None]) -> None:
    """Migrate, load demo data, serve until told to stop. ``announce`` is called when the shop answers."""
    await migrate(settings)
    loaded = settings.loads_demo_data and await demo_data.load(settings)
    async with AsyncExitStack() as stack:
        broker = make_broker(settings)
        stack.push_async_callback(broker.close)
        simulator = make_simulator(settings)
        seen = observed(settings, "dure")
        changes = make_changes(settings)
        runtimes = {name: make_runtime(settings, name, broker, changes) for name in subgraphs.ALL}
        databases = {name: runtime.database for name, runtime in runtimes.items()}
        for database in databases.values():
            stack.push_async_callback(database.close)
        built = _build_all(runtimes, simulator)
        router = _router(settings, built, seen.router)
        await follow(router, _as_it_is(settings), router.settings)
        router.ending_sessions = ending_sessions(changes)
        app = _doors(settings, built, simulator, router)
        workers = [worker for subgraph in built.values() for worker in subgraph.workers]
        workers.append(Worker("provider.webhooks", simulator.run))
        workers += purging_workers(router, broker)
        workers += statistics_workers(databases)
        async with (
            running(workers),
            showing(settings, seen, settings.port, databases, router.health, router.invalidation, router.usage),
        ):
            if loaded:
                with step("telling the subgraphs of one another's data"):
                    await until_told(settings)
            await serve(app, settings.host, settings.port, announce, router.drain, router.look_again, certificate())


def _build_all(runtimes: Mapping[str, Runtime], simulator: Simulator) -> dict[str, Subgraph]:
    built: dict[str, Subgraph] = {}
    elsewhere = "provider_url" in PaymentSettings().model_fields_set
    for name, runtime in runtimes.items():
        given = {"send": HereSender(simulator)} if name == "payments" and not elsewhere else {}
        built[name] = build(name, runtime, **given)
    return built


def _router(settings: Settings, built: Mapping[str, Subgraph], shared: Telemetry) -> RouterApp:
    transports: dict[str, Transport] = {name: in_process(subgraph.endpoint, name) for name, subgraph in built.items()}
    keys = built["users"].app.state.jwks
    return create_app(settings.supergraph_sdl, router_settings(settings), transports, keys, telemetry=shared)


def _as_it_is(settings: Settings) -> Load:
    """The supergraph of the subgraphs in this process, which change with the process only."""

    async def load() -> str:
        return settings.supergraph_sdl

    return load


def _doors(settings: Settings, built: Mapping[str, Subgraph], simulator: Simulator, router: RouterApp) -> ASGIApp:
    simulator.deliver_together(built["payments"].app.state.webhooks.take)
    doors: dict[str, ASGIApp] = of_subgraphs(lambda name: built[name].app, dev=settings.dev)
    if settings.dev:
        doors["/provider/"] = simulator
    return by_prefix(doors, router)


def in_process(endpoint: GraphQLEndpoint[Any], name: str = "subgraph") -> InProcessTransport:
    """The router's way to a subgraph of this process: plain data, no HTTP, no JSON.

    The router ends queries itself; mutations are given up like those of a subgraph over HTTP.
    """

    async def execute(request: SubgraphRequest) -> SubgraphResponse:
        if request.kind == "mutation":
            with deadline.waited_for(request.deadline):
                return await answered(request)
        return await answered(request)

    async def answered(request: SubgraphRequest) -> SubgraphResponse:
        with telemetry.span(name, request.headers.get(telemetry.HEADER), SpanKind.SERVER):
            answer = await endpoint.execute(request.query, request.variables, request.operation_name, request.headers)
        return SubgraphResponse(answer["data"], answer.get("errors"))

    async def subscribe(request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        answers = endpoint.subscribe(request.query, request.variables, request.operation_name, request.headers)
        async for answer in answers:
            yield SubgraphResponse(answer["data"], answer.get("errors"))

    return InProcessTransport(execute, subscribe)
