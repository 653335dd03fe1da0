"""Puts the orders subgraph together: its doors, its loops, its audit."""

from __future__ import annotations

import asyncio
from pathlib import Path

from messaging.consumer import Consumer
from messaging.relay import Relay
from subgraphs.kit.app import http_app
from subgraphs.kit.execute import GraphQLEndpoint
from subgraphs.kit.identity import ClaimsVerifier
from subgraphs.kit.subgraph import Runtime, Subgraph
from subgraphs.kit.workers import Worker, repeat
from subgraphs.orders import models
from subgraphs.orders.audit import auditor
from subgraphs.orders.consumers import CONSUMES, handlers
from subgraphs.orders.loaders import context_maker
from subgraphs.orders.schema import schema
from subgraphs.orders.service.live import Live
from subgraphs.orders.service.orders import OrderService
from subgraphs.orders.service.returning import Returning
from subgraphs.orders.service.sweep import Sweeper
from subgraphs.orders.settings import Settings

__all__ = ["CONSUMES", "MIGRATIONS", "NAME", "build"]

NAME = "orders"
MIGRATIONS = Path(__file__).parent / "migrations"
PRUNE_EVERY_SECONDS = 600


def build(runtime: Runtime, settings: Settings | None = None) -> Subgraph:
    """The orders subgraph on ``runtime``. Nothing runs before its workers do."""
    settings = settings or Settings()
    relay = Relay(runtime.database, models.outbox, runtime.broker)
    live = Live(runtime.changes)
    service = OrderService(runtime, settings, live, relay.wake)
    returning = Returning(runtime, settings, live, relay.wake)
    sweeper = Sweeper(runtime, settings, live, relay.wake)
    consumer = Consumer(
        runtime.database,
        models.inbox,
        models.dead_letters,
        runtime.broker,
        f"dure.{NAME}",
        handlers(live, runtime.now, ask_again_after=settings.ask_again_after),
        after_commit=relay.wake,
    )
    claims = ClaimsVerifier(runtime.common.claims_secret.get_secret_value())
    endpoint = GraphQLEndpoint(schema, context_maker(runtime, settings, service, returning), claims)
    return Subgraph(
        name=NAME,
        endpoint=endpoint,
        app=http_app(NAME, endpoint, runtime.database),
        workers=[
            Worker("orders.relay", relay.run),
            Worker("orders.consumer", lambda: _consume(consumer)),
            Worker("orders.sweeper", lambda: repeat("orders.sweeper", sweeper.sweep, every=settings.sweep_every)),
            Worker("orders.pruner", lambda: repeat("orders.pruner", sweeper.prune, every=PRUNE_EVERY_SECONDS)),
        ],
        audit=auditor(runtime.now),
    )


async def _consume(consumer: Consumer) -> None:
    await consumer.start()
    try:
        await asyncio.Event().wait()
    finally:
        await consumer.stop()
