"""The single parts as processes of their own: a subgraph's API, its workers, the router, the provider."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from db.session import Database
from dure import subgraphs
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
from dure.doors import Forward, by_prefix, of_subgraphs
from dure.observe import observed, showing
from dure.serve import certificate, follow, router_settings, serve
from dure.settings import Settings
from router.app import create_app
from router.pipeline.health import Health
from router.pipeline.supergraph_source import from_file
from subgraphs.kit.subgraph import Subgraph
from subgraphs.kit.workers import running, supervise
from subgraphs.payments.settings import Settings as PaymentSettings
from subgraphs.payments.simulator.__main__ import serve as serve_simulator


def port_of(settings: Settings, name: str) -> int:
    """The port of a subgraph's API in split mode."""
    return settings.first_subgraph_port + list(subgraphs.ALL).index(name)


def url_of(settings: Settings, name: str) -> str:
    """Where the other parts reach a subgraph's API in split mode."""
    return settings.subgraph_url.format(subgraph=name, port=port_of(settings, name))


async def run_api(settings: Settings, name: str, announce: Callable[[], None]) -> None:
    """A subgraph's API."""
    async with AsyncExitStack() as stack:
        seen = observed(settings, name)
        opened, database = _open(settings, name, stack)
        # Its workers, in another process, look at the outbox.
        health = Health()
        health.ready = True

        async def drain() -> None:
            health.draining = True
            await opened.app.state.drain.begin(settings.drain_notice)

        async with showing(settings, seen, port_of(settings, name), {}, health):
            seen.meters.pool.labels(name).set_function(database.connections_in_use)
            await serve(opened.app, settings.bind_host, port_of(settings, name), announce, drain)


async def run_workers(settings: Settings, name: str) -> None:
    """A subgraph's relay, consumer and sweepers."""
    async with AsyncExitStack() as stack:
        seen = observed(settings, f"{name}-workers")
        opened, database = _open(settings, name, stack)
        port = port_of(settings, name) + settings.internal_offset
        async with showing(settings, seen, port, {name: database}):
            await supervise([*opened.workers, *statistics_workers({name: database})])


async def run_provider(settings: Settings) -> None:
    """The payment provider's simulator."""
    webhooks = f"{url_of(settings, 'payments')}/webhooks/{PaymentSettings().provider}"
    await serve_simulator(make_simulator(settings), settings.bind_host, settings.provider_port, webhooks)


async def run_router(settings: Settings, announce: Callable[[], None]) -> None:
    """The router before subgraphs that are processes of their own."""
    urls = {name: url_of(settings, name) + "/graphql" for name in subgraphs.ALL}
    jwks = url_of(settings, "users") + "/.well-known/jwks.json"
    seen = observed(settings, "router")
    router = create_app(settings.supergraph_sdl, router_settings(settings, urls, jwks), telemetry=seen.router)
    router.ending_sessions = ending_sessions(make_changes(settings))
    await follow(router, from_file(settings.supergraph_file), router.settings)
    broker = make_broker(settings)
    doors = of_subgraphs(lambda name: Forward(url_of(settings, name)), dev=settings.dev)
    if settings.dev:
        doors["/provider/"] = Forward(PaymentSettings().provider_url)
    try:
        workers = purging_workers(router, broker)
        async with (
            running(workers),
            showing(settings, seen, settings.port, {}, router.health, router.invalidation, router.usage),
        ):
            door = by_prefix(doors, router)
            await serve(door, settings.host, settings.port, announce, router.drain, router.look_again, certificate())
    finally:
        await asyncio.gather(broker.close(), *(door.close() for door in doors.values()))


def _open(settings: Settings, name: str, stack: AsyncExitStack) -> tuple[Subgraph, Database]:
    broker = make_broker(settings)
    stack.push_async_callback(broker.close)
    runtime = make_runtime(settings, name, broker, make_changes(settings))
    stack.push_async_callback(runtime.database.close)
    return build(name, runtime), runtime.database
