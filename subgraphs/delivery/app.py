"""Delivery put together: its doors, its consumers, its background work."""

from __future__ import annotations

from pathlib import Path

from messaging.consumer import Consumer
from messaging.events.funding import PledgeCanceled, PledgeReserved
from messaging.events.orders import DeliveryCancelRequested, DeliveryRequested, OrderPaid, OrderPlaced, ReturnChanged
from messaging.events.users import PartnerChanged, UserChanged
from messaging.relay import Relay
from subgraphs.delivery.addresses import Addresses
from subgraphs.delivery.audit import audit
from subgraphs.delivery.consumers import handlers
from subgraphs.delivery.loaders import Context, Loaders
from subgraphs.delivery.models import dead_letters, idempotency, inbox, outbox
from subgraphs.delivery.schema import schema
from subgraphs.delivery.service import Shipments
from subgraphs.delivery.settings import Settings
from subgraphs.kit.app import http_app
from subgraphs.kit.business_days import add_business_days
from subgraphs.kit.execute import Caller, GraphQLEndpoint
from subgraphs.kit.housekeeping import housekeeper
from subgraphs.kit.identity import ClaimsVerifier
from subgraphs.kit.subgraph import Runtime, Subgraph
from subgraphs.kit.workers import Worker

NAME = "delivery"
MIGRATIONS = Path(__file__).parent / "migrations"
CONSUMES = (
    DeliveryRequested,
    DeliveryCancelRequested,
    OrderPlaced,
    OrderPaid,
    ReturnChanged,
    PledgeReserved,
    PledgeCanceled,
    PartnerChanged,
    UserChanged,
)


def build(runtime: Runtime, settings: Settings | None = None) -> Subgraph:
    """Delivery on this runtime."""
    chosen = settings or Settings()
    database = runtime.database
    add_business_days(runtime.now().date(), 1)  # the calendar takes a tenth of a second to load: not while orders wait
    relay = Relay(database, outbox, runtime.broker)
    consumer = Consumer(
        database, inbox, dead_letters, runtime.broker, f"dure.{NAME}", handlers(runtime.now), after_commit=relay.wake
    )
    addresses = Addresses(database, relay.wake, runtime.now, chosen.address_limit)
    shipments = Shipments(database, runtime.changes, relay.wake, runtime.now)

    def context(caller: Caller) -> Context:
        return Context(caller.identity, addresses, shipments, Loaders(database), runtime.changes, runtime.now)

    endpoint = GraphQLEndpoint(schema, context, ClaimsVerifier(runtime.common.claims_secret.get_secret_value()))
    return Subgraph(
        name=NAME,
        endpoint=endpoint,
        app=http_app(NAME, endpoint, database),
        workers=[
            Worker("delivery.relay", relay.run),
            Worker("delivery.consumer", consumer.run),
            housekeeper(NAME, database, outbox, inbox, idempotency, runtime.now),
        ],
        audit=audit,
    )
