"""Brokers, and a database with the tables of a small subgraph."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aio_pika
import pytest
from ulid import ULID

from db.session import Database
from messaging.broker import Broker
from messaging.memory import MemoryBroker
from messaging.rabbitmq import RabbitBroker
from messaging.topology import dead_queue_name
from tests.messaging import world


@dataclass
class Bench:
    """A broker under test and the names of the queues made on it."""

    broker: Broker
    kind: str
    queues: list[str] = field(default_factory=list)

    def queue(self) -> str:
        """A name nobody else uses."""
        self.queues.append(f"dure.test-{str(ULID()).lower()}")
        return self.queues[-1]


def quick(attempt: int) -> float:
    """Redelivery without the waiting."""
    return 0.01


async def delete_queues(url: str, queues: list[str]) -> None:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        for queue in queues:
            await channel.queue_delete(queue)
            await channel.queue_delete(dead_queue_name(queue))


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.integration)])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Both brokers in turn: what a test says holds for either."""
    if request.param == "memory":
        memory = Bench(MemoryBroker(delay=quick), "memory")
        yield memory
        await memory.broker.close()
        return
    url = request.getfixturevalue("rabbitmq_url")
    rabbit = Bench(RabbitBroker(url, delay=quick), "rabbitmq")
    yield rabbit
    await rabbit.broker.close()
    await delete_queues(url, rabbit.queues)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """SQLite, PostgreSQL and MariaDB in turn, with the tables."""
    async with Database(database_url) as opened:
        await world.create(opened)
        yield opened


@pytest.fixture
async def sqlite(sqlite_database_url: str) -> AsyncIterator[Database]:
    """Where the database makes no difference."""
    async with Database(sqlite_database_url) as opened:
        await world.create(opened)
        yield opened
