"""What only RabbitMQ has: dead-letter queues, outages, returned messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import aio_pika
import pytest
from ulid import ULID

from db.session import Database
from messaging.broker import DELIVERY_LIMIT, Message, PublishFailed
from messaging.events import CATALOGUE
from messaging.events.orders import OrderCanceled, OrderPaid
from messaging.rabbitmq import RabbitBroker
from messaging.relay import Relay
from messaging.topology import dead_queue_name, queue_name, unrouted
from tests.conftest import serve
from tests.messaging import world
from tests.messaging.conftest import delete_queues, quick
from tests.messaging.world import OUTBOX, canceled
from tests.support import servers
from tests.support.process import free_port
from tests.support.waiting import eventually


def message(body: bytes = b"[]", type: str = OrderCanceled.type) -> Message:
    return Message(type=type, body=body, id=str(ULID()))


@pytest.fixture
async def queue(rabbitmq_url: str) -> AsyncIterator[str]:
    name = f"dure.test-{str(ULID()).lower()}"
    yield name
    await delete_queues(rabbitmq_url, [name])


@pytest.fixture
def own_server() -> Iterator[servers.Restartable]:
    """A RabbitMQ that a test may stop."""
    yield from serve(servers.rabbitmq_restartable())


@pytest.mark.integration
async def test_what_is_refused_for_good_is_kept_in_the_dead_letter_queue(rabbitmq_url: str, queue: str) -> None:
    """After DELIVERY_LIMIT redeliveries the message lies in ``<queue>.dead``, as it was."""
    attempts: list[int] = []

    async def refuse(each: Message) -> None:
        attempts.append(each.attempt)
        raise ValueError("never")

    broker = RabbitBroker(rabbitmq_url, delay=quick)
    await broker.consume(queue, [OrderCanceled.type], refuse)
    await broker.publish([message(b"[7]")])
    await eventually(lambda: len(attempts) == DELIVERY_LIMIT + 1)
    connection = await aio_pika.connect(rabbitmq_url)
    async with connection, connection.channel() as channel:
        dead = await channel.get_queue(dead_queue_name(queue))
        letters: list[bytes] = []

        async def arrived() -> bool:
            letter = await dead.get(fail=False)
            if letter:
                letters.append(letter.body)
                await letter.ack()
            return bool(letters)

        await eventually(arrived)
    assert letters == [b"[7]"]
    assert attempts == list(range(1, DELIVERY_LIMIT + 2))
    await broker.close()


@pytest.mark.integration
async def test_unrouted_types_need_no_queue(rabbitmq_url: str) -> None:
    """A type listed as consumed by nobody is confirmed; one that is not listed is returned, and fails."""
    broker = RabbitBroker(rabbitmq_url, unrouted=[OrderPaid.type])
    await broker.publish([message(type=OrderPaid.type)])
    with pytest.raises(PublishFailed, match="no queue takes") as failure:
        await broker.publish([message(type="dure.test.nobody_asked.v1")])
    assert not failure.value.down
    await broker.close()


async def test_an_absent_broker_is_noticed_at_once() -> None:
    """Publishing fails, with all messages named, well before any request would time out."""
    broker = RabbitBroker(f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    messages = [message(), message()]
    begun = time.monotonic()
    with pytest.raises(PublishFailed) as failure:
        await broker.publish(messages)
    assert time.monotonic() - begun < 2
    assert failure.value.down
    assert set(failure.value.failed) == {each.id for each in messages}
    await broker.close()


@pytest.mark.integration
async def test_down_and_back(own_server: servers.Restartable, sqlite: Database) -> None:
    """Events recorded before, during and after an outage have their effect once, and consumers come back."""
    broker = RabbitBroker(own_server.url, delay=quick)
    relay = Relay(sqlite, OUTBOX, broker, lease=timedelta(seconds=5))
    await world.consumer(sqlite, broker, "dure.test").start()
    running = asyncio.create_task(relay.run())

    async def in_effect(*names: str) -> None:
        async def done() -> bool:
            return await world.effects(sqlite) == dict.fromkeys(names, 1) and not await world.unpublished(sqlite)

        await eventually(done, timeout=60)

    await world.tell(sqlite, [canceled("before")])
    relay.wake()
    await in_effect("before")
    await asyncio.to_thread(own_server.process.stop)
    await world.tell(sqlite, [canceled("during")])
    relay.wake()
    with pytest.raises(PublishFailed):
        await broker.publish([message()])
    assert await world.unpublished(sqlite) == ["during"]
    await asyncio.to_thread(own_server.process.start)
    await in_effect("before", "during")
    await world.tell(sqlite, [canceled("after")])
    relay.wake()
    await in_effect("before", "during", "after")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await broker.close()


def test_names() -> None:
    """One queue a subgraph, and its dead letters beside it."""
    assert queue_name("orders") == "dure.orders"
    assert dead_queue_name("dure.orders") == "dure.orders.dead"


def test_unrouted_is_what_nobody_consumes() -> None:
    """Computed from the consumers; a type that does not exist is a mistake."""
    assert unrouted([OrderPaid.type]) == set(CATALOGUE) - {OrderPaid.type}
    assert unrouted(CATALOGUE) == set()
    with pytest.raises(ValueError, match="not in the catalogue"):
        unrouted(["dure.orders.misspelt.v1"])


@pytest.mark.integration
@pytest.mark.parametrize("declared", [True, False])
async def test_a_queue_whose_consumer_has_never_run_misses_nothing(
    rabbitmq_url: str, queue: str, declared: bool
) -> None:
    """What is published before the consumer's first start waits for it, if the publisher was told of its queue."""
    queues = {queue: [OrderCanceled.type]} if declared else {}
    broker = RabbitBroker(rabbitmq_url, unrouted=[OrderCanceled.type], queues=queues, delay=quick)
    handled: list[bytes] = []

    async def handle(each: Message) -> None:
        handled.append(each.body)

    await broker.publish([message(b"[1]")])
    await broker.consume(queue, [OrderCanceled.type], handle)
    await broker.publish([message(b"[2]")])
    await eventually(lambda: b"[2]" in handled)
    await broker.close()
    assert sorted(handled) == ([b"[1]", b"[2]"] if declared else [b"[2]"])
