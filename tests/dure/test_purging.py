"""What events take out of the router's cache."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, get_type_hints

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from ulid import ULID

from db import telemetry
from db.telemetry import Meters
from dure.assembly import make_broker
from dure.purging import QUEUE, TAKES, Purging, purges_for
from dure.serve import FORWARDED, VARYING, router_settings
from dure.settings import ROOT, Settings
from messaging.broker import Message, PublishFailed
from messaging.envelope import Event, encode_batch
from messaging.events import EventData
from messaging.events.products import ProductChanged, StockReleased, VariantChanged
from messaging.memory import MemoryBroker
from router.executor.entity_cache.memory_store import MemoryStore
from router.executor.entity_cache.store import Entry, Purge, StoreDown
from subgraphs.kit.ids import global_id

NOW = datetime.now(UTC)


def made(payload: type[EventData]) -> EventData:
    """An event of this type with something in every field that it needs."""
    hints = get_type_hints(payload)
    values: dict[type[Any], Any] = {str: str(ULID()), int: 7, bool: True, datetime: NOW}
    needed = [field.name for field in msgspec.structs.fields(payload) if field.required]
    return payload(**{name: values.get(hints[name], ()) for name in needed})


def message(*events: EventData) -> Message:
    """These events as the broker brings them."""
    packed = [
        Event(id=str(ULID()), type=each.type, source="/dure/x", subject=each.subject_id, time=NOW, data=each)
        for each in events
    ]
    return Message(events[0].type, encode_batch(packed), str(ULID()))


@pytest.mark.parametrize("payload", TAKES, ids=lambda payload: payload.__name__)
def test_every_event_that_is_taken_purges_something(payload: type[EventData]) -> None:
    """And what is not taken purges nothing."""
    assert purges_for(made(payload))
    assert not purges_for(made(StockReleased))


def test_a_variant_takes_its_product_with_it() -> None:
    """By the ids that the graph shows, the variant with its version; also what holds either without saying which."""
    variant = made(VariantChanged)
    assert isinstance(variant, VariantChanged)
    assert set(purges_for(variant)) == {
        Purge(f"ProductVariant:{global_id('ProductVariant', variant.variant_id)}", variant.version),
        Purge("unnamed:ProductVariant"),
        Purge(f"Product:{global_id('Product', variant.product_id)}"),
        Purge("unnamed:Product"),
    }


class Shaky(MemoryStore):
    """Away for its first purges."""

    def __init__(self, failures: int) -> None:
        super().__init__(100_000)
        self.failures = failures

    async def purge(self, purges: Sequence[Purge]) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreDown("away")
        await super().purge(purges)


async def keep(store: MemoryStore, *tags: str) -> None:
    """Something with each of these tags, under it."""
    stamp = (await store.look_up([])).stamp
    await store.keep(stamp, [Entry(tag.encode(), b"1", (tag,), 60) for tag in tags])


async def kept(store: MemoryStore, *tags: str) -> list[bool]:
    return [data is not None for data in (await store.look_up([tag.encode() for tag in tags])).entries]


@pytest.fixture
def meters() -> Any:
    registry = CollectorRegistry()
    telemetry.install(Meters(registry), None)
    yield registry
    telemetry.install(None, None)


async def test_a_store_that_is_away_is_asked_until_it_takes_it(meters: CollectorRegistry) -> None:
    """The message is not confirmed before, and never given up; each attempt and the success are counted."""
    store, broker = Shaky(30), MemoryBroker()
    purging = asyncio.create_task(Purging(broker, store, pause=0.0).run())
    changed = made(ProductChanged)
    mine, other = f"Product:{global_id('Product', changed.subject_id)}", "Product:another"
    await keep(store, mine, other)
    async with asyncio.timeout(10):
        while not await published(broker, changed):  # noqa: ASYNC110 - until it listens
            await asyncio.sleep(0)
    assert store.failures == 0
    assert await kept(store, mine, other) == [False, True]
    labels = {"messaging_destination_name": QUEUE, "messaging_message_type": changed.type}
    assert meters.get_sample_value("messaging_client_failed_messages_total", labels) == 30
    assert meters.get_sample_value("messaging_client_consumed_messages_total", labels) == 1
    purging.cancel()
    await asyncio.gather(purging, return_exceptions=True)
    await broker.close()


async def published(broker: MemoryBroker, event: EventData) -> bool:
    """Whether the broker took it: not while nobody listens yet."""
    try:
        await broker.publish([message(event)])
    except PublishFailed:
        return False
    return True


async def test_many_events_of_a_message_are_one_purge() -> None:
    """Sixty-four changes of one product move the clock once."""
    store = MemoryStore(100_000)
    await Purging(MemoryBroker(), store).handle(message(*(made(ProductChanged) for _ in range(64))))
    assert (await store.look_up([])).stamp.clock == 1


async def test_what_cannot_be_read_purges_all_that_its_teller_said() -> None:
    """Rather too much than too little; other subgraphs' answers stay."""
    store = MemoryStore(100_000)
    await keep(store, "subgraph:products", "subgraph:users")
    await Purging(MemoryBroker(), store).handle(Message(VariantChanged.type, b"[{}]", "1"))
    assert await kept(store, "subgraph:products", "subgraph:users") == [False, True]


def settings(**given: Any) -> Settings:
    secrets = {"claims_secret": "x" * 32, "cursor_secret": "x" * 32, "demo_password": "x" * 12}
    return Settings(**{**secrets, **given})


@pytest.mark.parametrize(
    ("given", "keeps"),
    [
        ({}, True),
        ({"cache": False}, False),
        ({"broker_url": "amqp://b"}, False),
        ({"redis_url": "redis://r"}, True),
        ({"broker_url": "amqp://b", "redis_url": "redis://r"}, True),
    ],
)
async def test_routers_that_share_nothing_keep_nothing(given: dict[str, Any], keeps: bool) -> None:
    """In one process memory will do; with RabbitMQ there may be several routers, and a purge must reach them all."""
    chosen = settings(**given)
    cache = router_settings(chosen).cache
    assert cache.enabled is keeps
    assert cache.redis_url == ("redis://r" if given.keys() >= {"broker_url", "redis_url"} else None)
    broker = make_broker(chosen)
    await broker.close()


async def test_what_only_the_router_takes_can_be_told_without_it() -> None:
    """A shop whose router keeps nothing, or is not there, does not hold up its events."""
    broker = make_broker(settings(cache=False))
    await broker.publish([message(made(ProductChanged))])
    await broker.close()


def test_shops_on_one_redis_are_told_apart() -> None:
    """The keys begin differently for another secret, and alike for all processes of one shop."""
    one, same, other = settings(), settings(), settings(claims_secret="y" * 32)
    assert router_settings(one).cache.prefix == router_settings(same).cache.prefix
    assert router_settings(one).cache.prefix != router_settings(other).cache.prefix


def test_a_header_that_a_subgraph_looks_at_is_not_ignored() -> None:
    """users writes down where a session comes from, in mutations; nothing else reads a forwarded header."""
    read = {"accept-language", "user-agent", "x-forwarded-for"}
    assert read <= set(FORWARDED)
    for path in (ROOT / "subgraphs").rglob("*.py"):
        named = {name for name in read if f'"{name}"' in path.read_text()}
        if path.relative_to(ROOT).as_posix() != "subgraphs/users/loaders.py":
            assert named <= VARYING, f"{path} reads {named}: what depends on it must not be shared"
    assert not set(router_settings(settings()).cache.ignore_headers) & VARYING
