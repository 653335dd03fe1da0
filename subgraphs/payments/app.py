"""Payments put together: its doors, its consumer, its background work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from messaging.consumer import Consumer
from messaging.events.funding import PledgeCanceled, PledgeReserved
from messaging.events.orders import OrderPlaced, PaymentCancelRequested, PaymentRequested, RefundRequested
from messaging.events.users import PartnerChanged, PayoutAccountChanged
from messaging.relay import Relay
from subgraphs.kit.app import http_app
from subgraphs.kit.execute import Caller, GraphQLEndpoint
from subgraphs.kit.housekeeping import housekeeper
from subgraphs.kit.identity import ClaimsVerifier
from subgraphs.kit.pagination import Cursors
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime, Subgraph
from subgraphs.kit.workers import Worker
from subgraphs.payments.audit import audit
from subgraphs.payments.consumers import handlers
from subgraphs.payments.loaders import Context
from subgraphs.payments.models import dead_letters, idempotency, inbox, outbox
from subgraphs.payments.provider import Provider
from subgraphs.payments.schema import schema
from subgraphs.payments.service import Service
from subgraphs.payments.settings import Settings
from subgraphs.payments.settling.provider import HttpPayouts
from subgraphs.payments.stripe import Stripe
from subgraphs.payments.toss import Toss
from subgraphs.payments.transport import HttpSender, Send
from subgraphs.payments.vault import Vault, generated_key
from subgraphs.payments.webhooks import add_webhooks

NAME = "payments"
MIGRATIONS = Path(__file__).parent / "migrations"
CONSUMES = (
    PaymentRequested,
    PaymentCancelRequested,
    RefundRequested,
    OrderPlaced,
    PledgeReserved,
    PledgeCanceled,
    PartnerChanged,
    PayoutAccountChanged,
)


class MissingKey(Exception):
    """A secret is not set that is generated for development only."""


def build(runtime: Runtime, settings: Settings | None = None, *, send: Send | None = None) -> Subgraph:
    """Payments on this runtime. ``send`` reaches the provider; None: over HTTP. Raises MissingKey."""
    return assemble(runtime, settings, send=send)[0]


def assemble(
    runtime: Runtime, settings: Settings | None = None, *, send: Send | None = None
) -> tuple[Subgraph, Service]:
    """The same, with the service behind it for whoever drives its workers step by step."""
    chosen = settings or Settings()
    database = runtime.database
    http = sender(chosen)
    payouts_http = http if chosen.payout_url is None else sender(chosen, chosen.payout_url)
    provider = provider_of(chosen, send or http, runtime.now)
    relay = Relay(database, outbox, runtime.broker)
    service = Service(
        database,
        provider,
        _payouts_of(chosen, (send or http) if chosen.payout_url is None else payouts_http),
        vault(runtime.common, chosen),
        chosen,
        runtime.now,
        runtime.changes.tell,
        relay.wake,
    )
    consumer = Consumer(
        database,
        inbox,
        dead_letters,
        runtime.broker,
        f"dure.{NAME}",
        handlers(service, runtime.now),
        after_commit=relay.wake,
    )

    cursors = Cursors(runtime.common.cursor_secret.get_secret_value())

    def context(caller: Caller) -> Context:
        return Context(caller.identity, service, chosen, runtime.changes, cursors)

    endpoint = GraphQLEndpoint(schema, context, ClaimsVerifier(runtime.common.claims_secret.get_secret_value()))
    app = http_app(NAME, endpoint, database)
    add_webhooks(app, service, provider)
    workers = [*_enders(service), Worker("payments.connections", _closing(http.close, payouts_http.close))]
    if not chosen.finishing:
        workers += _beginners(runtime, service, relay, consumer)
    return Subgraph(name=NAME, endpoint=endpoint, app=app, workers=workers, audit=audit), service


def _enders(service: Service) -> list[Worker]:
    """Those who end what was begun at the provider."""
    return [
        Worker("payments.charger", service.charger.run),
        Worker("payments.refunder", service.refunder.run),
        Worker("payments.reconciler", service.reconciler.run),
    ]


def _beginners(runtime: Runtime, service: Service, relay: Relay, consumer: Consumer) -> list[Worker]:
    """Those who take something new, and who keep the books."""
    return [
        Worker("payments.relay", relay.run),
        Worker("payments.consumer", consumer.run),
        Worker("payments.bookkeeper", service.bookkeeper.run),
        Worker("payments.closing", service.closing.run),
        Worker("payments.totals", service.totals.run),
        Worker("payments.payouts", service.payouts.run),
        housekeeper(NAME, runtime.database, outbox, inbox, idempotency, runtime.now),
    ]


def provider_of(settings: Settings, send: Send, now: Callable[[], datetime]) -> Provider:
    """The provider that the settings choose, reached by ``send``. Raises MissingKey."""
    secret_key = settings.provider_secret_key.get_secret_value()
    if settings.provider == "toss":
        return Toss(send, secret_key)
    if settings.provider_webhook_secret is None:
        raise MissingKey("set DURE_PAYMENTS_PROVIDER_WEBHOOK_SECRET: anybody could send Stripe's webhooks")
    secrets = settings.provider_webhook_secret.get_secret_value().split(",")
    return Stripe(send, secret_key, [each.strip() for each in secrets if each.strip()], now)


def _payouts_of(settings: Settings, send: Send) -> HttpPayouts:
    return HttpPayouts(send, (settings.payout_secret_key or settings.provider_secret_key).get_secret_value())


def sender(settings: Settings, url: str | None = None) -> HttpSender:
    """Reaches the provider (or ``url``) over HTTP, with the time limits set."""
    return HttpSender(
        url or settings.provider_url,
        connect_seconds=settings.provider_connect_seconds,
        timeout_seconds=settings.provider_timeout_seconds,
        connections=settings.charge_concurrency,
    )


def vault(common: CommonSettings, settings: Settings) -> Vault:
    """What opens and seals secrets. Raises MissingKey."""
    if settings.encryption_keys is not None:
        return Vault([key.strip() for key in settings.encryption_keys.get_secret_value().split(",")])
    if not common.dev:
        raise MissingKey("set DURE_PAYMENTS_ENCRYPTION_KEYS: what is stored encrypted needs a key that stays")
    return Vault([generated_key(common.data_dir)])


def _closing(*closes: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for close in closes:
                await close()

    return run
