"""Live news of orders: hints after the commit, for whoever is subscribed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from subgraphs.kit.changes import Changes
from subgraphs.orders.service.saga import Outcome

LOOK_ANYWAY_SECONDS = 5.0
"""A hint may get lost: a listener looks again after so long without one."""


def order_topic(order_id: str) -> str:
    return f"order:{order_id}"


def partner_topic(partner_id: str) -> str:
    """Told when an order with this seller's goods is paid."""
    return f"partner:{partner_id}:orders"


class Live:
    """Tells without making the teller wait."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, outcome: Outcome) -> None:
        topics = [order_topic(id) for id in outcome.changed] + [partner_topic(id) for id in outcome.paid_partners]
        if topics:
            task = asyncio.create_task(self._changes.tell(*topics))
            self._telling.add(task)  # the loop keeps no reference of its own
            task.add_done_callback(self._telling.discard)


async def now_and_at(changes: Changes, topic: str) -> AsyncIterator[None]:
    """Once at the start, then whenever the topic is told, and now and then without that.

    It listens before it yields for the first time: nothing that happens while the listener first looks is missed.
    """
    told = changes.listen(topic, at_once=True)
    await anext(told)
    heard = asyncio.ensure_future(anext(told))
    try:
        while True:
            yield
            await asyncio.wait([heard], timeout=LOOK_ANYWAY_SECONDS)
            if heard.done():
                heard.result()
                heard = asyncio.ensure_future(anext(told))
    finally:
        heard.cancel()
        await asyncio.gather(heard, return_exceptions=True)
