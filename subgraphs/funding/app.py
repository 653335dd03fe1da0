"""Funding put together: its doors, its consumers, its background work."""

from __future__ import annotations

from pathlib import Path

from messaging.consumer import Consumer
from messaging.relay import Relay
from subgraphs.funding.audit import audit
from subgraphs.funding.consumers import HANDLERS
from subgraphs.funding.loaders import Context, Loaders
from subgraphs.funding.models import dead_letters, idempotency, inbox, outbox
from subgraphs.funding.pledging import Pledging
from subgraphs.funding.schema import schema
from subgraphs.funding.service import Projects
from subgraphs.funding.settings import Settings
from subgraphs.funding.talk import Talk
from subgraphs.kit.app import http_app
from subgraphs.kit.execute import Caller, GraphQLEndpoint
from subgraphs.kit.housekeeping import housekeeper
from subgraphs.kit.identity import ClaimsVerifier
from subgraphs.kit.pagination import Cursors
from subgraphs.kit.subgraph import Runtime, Subgraph
from subgraphs.kit.workers import Worker, repeat

NAME = "funding"
MIGRATIONS = Path(__file__).parent / "migrations"
CONSUMES = tuple(HANDLERS)


def build(runtime: Runtime, settings: Settings | None = None) -> Subgraph:
    """Funding on this runtime."""
    chosen = settings or Settings()
    database = runtime.database
    relay = Relay(database, outbox, runtime.broker)
    consumer = Consumer(
        database, inbox, dead_letters, runtime.broker, f"dure.{NAME}", HANDLERS, after_commit=relay.wake
    )
    projects = Projects(database, runtime.changes, relay.wake, runtime.now, chosen.longest_days)
    pledging = Pledging(database, runtime.changes, relay.wake, runtime.now)
    talk = Talk(database, runtime.changes, runtime.now)
    cursors = Cursors(runtime.common.cursor_secret.get_secret_value())

    def context(caller: Caller) -> Context:
        loaders = Loaders(database, caller.identity)
        return Context(caller.identity, projects, pledging, talk, loaders, cursors, runtime.changes, runtime.now)

    endpoint = GraphQLEndpoint(schema, context, ClaimsVerifier(runtime.common.claims_secret.get_secret_value()))
    return Subgraph(
        name=NAME,
        endpoint=endpoint,
        app=http_app(NAME, endpoint, database),
        workers=[
            Worker("funding.relay", relay.run),
            Worker("funding.consumer", consumer.run),
            Worker(
                "funding.deadlines", lambda: repeat("funding.deadlines", projects.sweep, every=chosen.sweep_seconds)
            ),
            housekeeper(NAME, database, outbox, inbox, idempotency, runtime.now),
        ],
        audit=audit,
    )
