"""The shop's events and the router's cache: what an event says has changed is not served from the cache any more.

All routers share one queue, as they share one store. There is no inbox: to purge twice is to purge once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter

import structlog
from opentelemetry.trace import SpanKind

from db import telemetry
from messaging.broker import Broker, Message
from messaging.catalogue import producer
from messaging.envelope import Event, MalformedEvent
from messaging.events import EventData
from messaging.events.delivery import ShippingProfileChanged
from messaging.events.funding import PledgeCanceled, PledgeReserved, ProjectChanged
from messaging.events.products import ProductChanged, VariantChanged
from messaging.events.users import PartnerChanged, UserChanged
from messaging.topology import ROUTER, queue_name
from router.executor.entity_cache.store import Purge, Store, StoreDown, entity_changed, subgraph_tag
from subgraphs.kit.ids import global_id

TAKES: tuple[type[EventData], ...] = (
    VariantChanged,
    ProductChanged,
    PartnerChanged,
    UserChanged,
    ShippingProfileChanged,
    ProjectChanged,
    PledgeReserved,
    PledgeCanceled,
)
"""The events that change what is kept (see the hints in the subgraphs' SDL)."""

QUEUE = queue_name(ROUTER)
LONGEST_PAUSE = 5.0

log = structlog.get_logger(__name__)


def purges_for(data: EventData) -> list[Purge]:
    """What an event makes old: the entity and its relatives."""
    match data:
        case VariantChanged():
            return [
                *_changed("ProductVariant", data.variant_id, data.version),
                *_changed("Product", data.product_id),
            ]
        case ProductChanged():
            return _changed("Product", data.product_id)
        case PartnerChanged():
            return _changed("Partner", data.partner_id, data.version)
        case UserChanged():
            return _changed("User", data.user_id, data.version)
        case ShippingProfileChanged():
            return [Purge(subgraph_tag("delivery"))]  # what it estimates says nothing of the profile
        case ProjectChanged() | PledgeReserved() | PledgeCanceled():
            return _changed("Project", data.project_id)
        case _:
            return []


def _changed(type_name: str, ulid: str, version: int | None = None) -> list[Purge]:
    return entity_changed(type_name, global_id(type_name, ulid), version)


class Purging:
    """The consumer of the router's queue. ``pause``: before the store is tried again, the first time."""

    def __init__(self, broker: Broker, store: Store, pause: float = 0.1) -> None:
        self._broker = broker
        self._store = store
        self._pause = pause

    async def run(self) -> None:
        """Consume until cancelled."""
        subscription = await self._broker.consume(QUEUE, [each.type for each in TAKES], self.handle)
        try:
            await asyncio.Event().wait()
        finally:
            await subscription.cancel()

    async def handle(self, message: Message) -> None:
        """Purge what the events of a message made old. While the store is away it waits: nothing may be missed."""
        started = perf_counter()
        events, purges = _read(message)
        causes = [(event.subject, event.traceparent) for event in events]
        attributes = {"messaging.destination.name": QUEUE, "messaging.operation.type": "process"}
        count = len(events) or 1
        pause = self._pause
        with telemetry.caused_by(f"process {QUEUE} {message.type}", causes, SpanKind.CONSUMER, attributes):
            while True:
                try:
                    await self._store.purge(purges)
                    break
                except StoreDown as error:
                    telemetry.count(lambda meters: meters.failed, count, QUEUE, message.type)
                    log.warning("cache not purged", type=message.type, error=str(error), wait=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        telemetry.count(lambda meters: meters.consumed, count, QUEUE, message.type)
        if (meters := telemetry.meters()) is not None:
            meters.handled.labels(QUEUE, message.type).observe(perf_counter() - started)


def _read(message: Message) -> tuple[Sequence[Event[EventData]], Sequence[Purge]]:
    """The events of a message, and what they purge. One that cannot be read purges all that its teller said."""
    try:
        events = message.events()
    except MalformedEvent as error:
        log.error("malformed message: its teller's answers are purged", type=message.type, error=str(error))
        return [], [Purge(subgraph_tag(producer(message.type)))]
    return events, list(dict.fromkeys(purge for event in events for purge in purges_for(event.data)))
