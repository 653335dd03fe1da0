"""The names on RabbitMQ and how they hang together: one topic exchange, one queue and one dead-letter queue a subgraph.

Every type must reach a queue: publishing one that reaches none fails, and its events wait in the outbox. A type that
no subgraph consumes (so far) must be listed: ``unrouted`` computes that list from all consumers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue

from messaging.broker import DELIVERY_LIMIT
from messaging.events import CATALOGUE

EXCHANGE = "dure.events"
DEAD_EXCHANGE = "dure.dead"

ROUTER = "router"
"""It has a queue like a subgraph, for what its cache must not serve any more."""
FORGOTTEN_AFTER = 24 * 3600 * 1000
"""Milliseconds without a router that consumes, after which its queue goes: nothing is kept as long."""


def queue_name(subgraph: str) -> str:
    """``dure.orders`` for ``orders``."""
    return f"dure.{subgraph}"


def dead_queue_name(queue: str) -> str:
    """Where what ``queue`` could not deliver ends: ``dure.orders.dead``."""
    return f"{queue}.dead"


def unrouted(consumed: Iterable[str]) -> frozenset[str]:
    """The types of the catalogue that are not among the ``consumed`` ones. Raises ValueError for an unknown type."""
    handled = set(consumed)
    if unknown := handled - set(CATALOGUE):
        raise ValueError(f"not in the catalogue: {sorted(unknown)}")
    return frozenset(CATALOGUE) - handled


def queue_arguments(queue: str) -> dict[str, Any]:
    """A quorum queue that tries again DELIVERY_LIMIT times and then hands over to its dead-letter queue, surely."""
    expires = {"x-expires": FORGOTTEN_AFTER} if queue == queue_name(ROUTER) else {}
    return expires | {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_EXCHANGE,
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def declare_exchange(channel: AbstractChannel) -> AbstractExchange:
    """The exchange that all events are published to."""
    return await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)


async def declare_queue(channel: AbstractChannel, queue: str, types: Sequence[str]) -> AbstractQueue:
    """``queue``, bound to ``types``, and its dead-letter queue. Declaring again changes nothing."""
    events = await declare_exchange(channel)
    dead = await channel.declare_exchange(DEAD_EXCHANGE, ExchangeType.DIRECT, durable=True)
    dead_queue = await channel.declare_queue(dead_queue_name(queue), durable=True, arguments={"x-queue-type": "quorum"})
    await dead_queue.bind(dead, routing_key=queue)
    declared = await channel.declare_queue(queue, durable=True, arguments=queue_arguments(queue))
    for type in types:
        await declared.bind(events, routing_key=type)
    return declared
