"""The parts of a process, made from settings: broker, channels for live changes, subgraphs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from db import statistics
from db.redis import connect
from db.session import Database
from dure import purging, subgraphs
from dure.databases import open_database
from dure.settings import Settings
from messaging.broker import Broker
from messaging.memory import MemoryBroker
from messaging.rabbitmq import RabbitBroker
from messaging.topology import queue_name, unrouted
from router.app import RouterApp
from subgraphs.kit.changes import Changes, InProcessChanges, RedisChanges
from subgraphs.kit.subgraph import Runtime, Subgraph
from subgraphs.kit.workers import Worker, repeat
from subgraphs.payments.settings import Settings as PaymentSettings
from subgraphs.payments.simulator.app import Simulator, create_simulator


def make_broker(settings: Settings) -> Broker:
    """RabbitMQ where a URL is given, else the in-process broker."""
    queues = {
        queue_name(name): sorted({payload.type for payload in entry.consumes}) for name, entry in subgraphs.ALL.items()
    }
    # Types that only the router takes may go nowhere: it need not be there.
    free = unrouted(type for types in queues.values() for type in types)
    if settings.keeps_answers:
        queues[purging.QUEUE] = sorted(payload.type for payload in purging.TAKES)
    if settings.broker_url:
        return RabbitBroker(settings.broker_url, unrouted=free, queues=queues)
    return MemoryBroker(unrouted=free)


def make_changes(settings: Settings) -> Changes:
    """Redis channels where a URL is given, else channels of this process."""
    return RedisChanges(connect(settings.redis_url)) if settings.redis_url else InProcessChanges()


async def ending_sessions(changes: Changes) -> AsyncIterator[str]:
    """The ids of sessions as they end, for the router: their tokens and subscriptions end with them."""
    async for topic in changes.listen("session:*"):
        yield topic.removeprefix("session:")


def purging_workers(router: RouterApp, broker: Broker) -> list[Worker]:
    """What takes the events that the router's cache is purged by; nothing where it keeps no answers."""
    if router.cache is None:
        return []
    return [Worker("router.purges", purging.Purging(broker, router.cache.store).run)]


def statistics_workers(databases: Mapping[str, Database]) -> list[Worker]:
    """What keeps the plans of a young shop's statements right: PostgreSQL needs it."""

    def worker(name: str, database: Database) -> Worker:
        async def look() -> None:
            await statistics.refresh(database)

        called = f"{name}.statistics"
        return Worker(called, lambda: repeat(called, look, every=statistics.EVERY_SECONDS))

    return [worker(name, each) for name, each in databases.items() if each.dialect == "postgresql"]


def make_simulator(settings: Settings) -> Simulator:
    """The payment provider's simulator, with its books in the data folder."""
    chosen = PaymentSettings()
    secret = chosen.provider_webhook_secret
    return create_simulator(
        settings.data_dir / "provider.sqlite",
        secret_key=chosen.provider_secret_key.get_secret_value(),
        webhook_secret=secret.get_secret_value().partition(",")[0] if secret else "",
    )


def make_runtime(settings: Settings, name: str, broker: Broker, changes: Changes) -> Runtime:
    """What a subgraph stands on; its database is the caller's to close."""
    return Runtime(settings, open_database(settings, name), broker, changes)


def build(name: str, runtime: Runtime, **given: Any) -> Subgraph:
    """The subgraph of this name (``given``: what only it takes)."""
    built: Subgraph = subgraphs.ALL[name].app.build(runtime, **given)
    return built
