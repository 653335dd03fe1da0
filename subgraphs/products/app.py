"""Puts products together: its door, its background work, what a process needs to know of it."""

from __future__ import annotations

from pathlib import Path

from db.redis import connect
from messaging.consumer import Consumer
from messaging.events import EventData
from messaging.events.delivery import ShipmentChanged, ShippingProfileChanged
from messaging.events.orders import (
    OrderConfirmed,
    OrderPaid,
    OrderPlaced,
    ReturnChanged,
    StockCommitRequested,
    StockReleaseRequested,
    StockReservationRequested,
)
from messaging.events.users import PartnerChanged, UserChanged
from messaging.relay import Relay
from subgraphs.kit import housekeeping
from subgraphs.kit.app import http_app
from subgraphs.kit.execute import Caller, GraphQLEndpoint
from subgraphs.kit.identity import ClaimsVerifier
from subgraphs.kit.media.routes import FOR_EVER, add_routes
from subgraphs.kit.media.store import Folder, store_of
from subgraphs.kit.media.uploads import Uploads
from subgraphs.kit.pagination import Cursors
from subgraphs.kit.subgraph import Runtime, Subgraph
from subgraphs.kit.workers import Worker, repeat
from subgraphs.products import models
from subgraphs.products.audit import audit
from subgraphs.products.consumers import handlers
from subgraphs.products.flash.gate import Gate, InProcessGate, RedisGate
from subgraphs.products.flash.service import FlashSales, expire_holds
from subgraphs.products.flash.tokens import AdmissionTokens
from subgraphs.products.loaders import Context
from subgraphs.products.media.models import uploads
from subgraphs.products.media.uploads import FIELD, MAX_UNUSED
from subgraphs.products.schema import schema
from subgraphs.products.settings import Settings
from subgraphs.products.shop import Shop

NAME = "products"
QUEUE = "dure.products"
MIGRATIONS = Path(__file__).parent / "migrations"
CONSUMES: tuple[type[EventData], ...] = (
    OrderPlaced,
    StockReservationRequested,
    StockCommitRequested,
    StockReleaseRequested,
    OrderPaid,
    OrderConfirmed,
    ReturnChanged,
    ShipmentChanged,
    UserChanged,
    PartnerChanged,
    ShippingProfileChanged,
)


def build(runtime: Runtime, settings: Settings | None = None) -> Subgraph:
    """The products subgraph on what the process gives it."""
    database = runtime.database
    relay = Relay(database, models.outbox, runtime.broker)
    chosen = settings or Settings()
    shop = Shop(database, runtime.changes, chosen, runtime.now, relay.wake, _gate(runtime, chosen))
    flash = FlashSales(shop, AdmissionTokens(runtime.common.claims_secret.get_secret_value()))
    store = store_of(chosen, runtime.common, "media", chosen.media_url)
    media = Uploads(database, uploads, store, runtime.now, field=FIELD, max_unused=MAX_UNUSED)
    cursors = Cursors(runtime.common.cursor_secret.get_secret_value())
    claims = ClaimsVerifier(runtime.common.claims_secret.get_secret_value())

    def context(caller: Caller) -> Context:
        return Context(caller.identity, shop, cursors, flash, media)

    endpoint = GraphQLEndpoint(schema, context, claims)
    consumer = Consumer(
        database,
        models.inbox,
        models.dead_letters,
        runtime.broker,
        QUEUE,
        handlers(shop),
        after_commit=relay.wake,
    )
    workers = [
        Worker("products.relay", relay.run),
        Worker("products.consumer", consumer.run),
        Worker("products.sweeper", lambda: repeat("products.sweeper", lambda: sweep(shop), every=_sweeps(shop))),
        Worker("products.flash", lambda: repeat("products.flash", flash.tick, every=chosen.flash_tick_seconds)),
        Worker("products.pruner", lambda: repeat("products.pruner", lambda: prune(shop), every=_prunes(shop))),
        Worker("products.media", lambda: repeat("products.media", media.collect, every=_prunes(shop))),
    ]
    app = http_app(NAME, endpoint, database)
    if isinstance(store, Folder):
        add_routes(app, store, runtime.now, "/media", FOR_EVER)
    return Subgraph(NAME, endpoint, app, workers, audit)


def _gate(runtime: Runtime, settings: Settings) -> Gate:
    url = runtime.common.redis_url
    keep = settings.flash_gate_seconds
    return RedisGate(connect(url), keep) if url else InProcessGate(keep)


def _sweeps(shop: Shop) -> float:
    return shop.settings.sweep_every_seconds


def _prunes(shop: Shop) -> float:
    return shop.settings.prune_every_seconds


async def sweep(shop: Shop) -> int:
    """Release the holds that have ended; how many."""

    released = 0
    while True:
        outcome, back = await shop.write(lambda tx: expire_holds(tx, shop))
        await shop.tell_stock(sorted(outcome.touched))
        await shop.tell_items(back)
        released += len(outcome.answers)
        if len(outcome.answers) < shop.settings.sweep_batch:
            return released


async def prune(shop: Shop) -> None:
    """Forget what nothing needs any more: published events, handled events, idempotency keys."""
    await shop.write(lambda tx: housekeeping.forget(tx, models.outbox, models.inbox, models.idempotency, shop.now()))
