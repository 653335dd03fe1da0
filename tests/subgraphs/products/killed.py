"""Products as a process of its own that handles one order's stock steps, to be killed at a failpoint by its test.

It asks for the order's reservation and then for ``step`` (commit or release), over the in-process broker.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic import SecretStr

from db.session import Database
from messaging.broker import Message
from messaging.envelope import Event, encode_batch
from messaging.events import CATALOGUE, EventData
from messaging.events.orders import StockCommitRequested, StockLine, StockReleaseRequested, StockReservationRequested
from messaging.memory import MemoryBroker
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime, utc_now
from subgraphs.kit.workers import supervise
from subgraphs.products import app
from tests.support.waiting import eventually


async def main(url: str, order_id: str, variant: str, step: str) -> None:
    broker = MemoryBroker(unrouted=list(CATALOGUE))
    common = CommonSettings(claims_secret=SecretStr("s"), cursor_secret=SecretStr("c"))
    async with Database(url) as database:
        subgraph = app.build(Runtime(common, database, broker, InProcessChanges()))
        workers = asyncio.create_task(supervise(list(subgraph.workers)))
        line = StockLine(variant_id=variant, quantity=2)
        last = StockCommitRequested if step == "commit" else StockReleaseRequested
        await send(
            broker, StockReservationRequested(order_id=order_id, buyer_id=order_id, lines=(line,)), f"{order_id}-1"
        )
        await send(broker, last(order_id=order_id), f"{order_id}-2")
        workers.cancel()
        await asyncio.gather(workers, return_exceptions=True)


async def send(broker: MemoryBroker, data: EventData, event_id: str) -> None:
    """Publish until it is handled: what an outbox and its relay do, with the same event id each time."""
    event: Event[EventData] = Event(
        id=event_id, type=data.type, source="/dure/orders", subject=data.subject_id, time=utc_now(), data=data
    )
    await eventually(lambda: data.type in broker._bindings)  # until the consumer has declared its queue
    await broker.publish([Message(type=data.type, body=encode_batch([event]), id=event_id)])


if __name__ == "__main__":
    # Ended from inside, a process that hangs says in its traceback what it was waiting for.
    asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 45))
