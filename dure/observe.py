"""What a process of the shop shows its operators: metrics and health at a port of their own, traces, how far behind
events are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from sqlalchemy import column, func, select, table
from sqlalchemy.exc import SQLAlchemyError

from db import telemetry
from db.columns import UtcDateTime
from db.session import Database
from db.telemetry import Meters
from dure.settings import Settings
from router.pipeline.health import Health
from router.pipeline.invalidation import Invalidation
from router.pipeline.serving import InternalDoor, listening
from router.telemetry import Telemetry
from router.telemetry.export import exporting

log = structlog.get_logger()

LOOK_EVERY = 5.0
"""Seconds between looks at the outboxes."""
LAG_EVERY = 0.5
STUCK = timedelta(minutes=15)

_outbox = table("outbox", column("published_at", UtcDateTime()), column("time", UtcDateTime()))
_dead = table("dead_letters")
_orders = table("orders", column("status"), column("placed_at", UtcDateTime()))


@dataclass(frozen=True, slots=True)
class Observed:
    """One process's instruments; ``router``: what the router in it shares of them."""

    registry: CollectorRegistry
    meters: Meters
    router: Telemetry


def observed(settings: Settings, service: str) -> Observed:
    """Make the instruments and install them for this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    traces = exporting(service, settings.trace_ratio, settings.otlp_endpoint)
    tracer = traces.get_tracer("dure") if traces is not None else None
    meters = Meters(registry)
    telemetry.install(meters, tracer)
    return Observed(registry, meters, Telemetry(registry, tracer))


@asynccontextmanager
async def showing(
    settings: Settings,
    seen: Observed,
    port: int,
    databases: Mapping[str, Database],
    health: Health | None = None,
    invalidation: Invalidation | None = None,
    usage: Callable[[], bytes] | None = None,
) -> AsyncIterator[None]:
    """Show it at ``port`` plus the setting's offset while the block runs, and keep what must be looked up fresh."""
    state = health or Health()
    state.ready = state.ready or health is None
    door = InternalDoor(lambda: generate_latest(seen.registry), state, invalidation, usage)
    at = port + settings.internal_offset if settings.internal_offset else None
    for name, database in databases.items():
        seen.meters.pool.labels(name).set_function(database.connections_in_use)
    tasks = [asyncio.create_task(_watch_lag(seen.meters))]
    tasks += [asyncio.create_task(_watch(name, each, seen.meters)) for name, each in databases.items()]
    try:
        async with listening(door, settings.internal_host, at):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watch_lag(meters: Meters) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_EVERY
        await asyncio.sleep(LAG_EVERY)
        meters.lag.set(max(0.0, loop.time() - due))


async def _watch(name: str, database: Database, meters: Meters) -> None:
    while True:
        try:
            await look(name, database, meters)
        except (SQLAlchemyError, OSError) as error:
            log.warning("outbox.unseen", subgraph=name, error=type(error).__name__)
        await asyncio.sleep(LOOK_EVERY)


async def look(name: str, database: Database, meters: Meters) -> None:
    """How far behind a subgraph's events are, and what died."""
    now = datetime.now(UTC)
    waiting = select(func.count(), func.min(_outbox.c.time)).where(_outbox.c.published_at.is_(None))
    async with database.read() as connection:
        count, oldest = (await connection.execute(waiting)).one()
        dead = (await connection.execute(select(func.count()).select_from(_dead))).scalar_one()
        stuck: Any = None
        if name == "orders":
            query = select(func.count()).select_from(_orders)
            query = query.where(_orders.c.status == "PENDING", _orders.c.placed_at < now - STUCK)
            stuck = (await connection.execute(query)).scalar_one()
    meters.backlog.labels(name).set(count)
    meters.oldest.labels(name).set((now - oldest).total_seconds() if oldest else 0)
    meters.dead.labels(name).set(dead)
    if stuck is not None:
        meters.stuck.set(stuck)
