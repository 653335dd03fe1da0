"""Payments as a process of its own, for tests that kill it: pays one order, cancels it if told to, and ends.

Its arguments: the database's URL, the provider's URL, a folder, and the order's request (and cancellation) as a file of
event batches, one a line.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import select

from db.session import Database
from messaging.broker import Message
from messaging.envelope import decode_batch
from messaging.events.payments import (
    PaymentAwaitingDeposit,
    PaymentCanceled,
    PaymentCaptured,
    PaymentFailed,
    PaymentMethodChanged,
)
from messaging.memory import MemoryBroker
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime
from subgraphs.kit.workers import supervise
from subgraphs.payments import app
from subgraphs.payments.models import outbox, payments
from subgraphs.payments.settings import Settings
from tests.support.waiting import eventually

TOLD = (PaymentCaptured, PaymentFailed, PaymentAwaitingDeposit, PaymentCanceled, PaymentMethodChanged)
SETTLED = ({"DONE"}, {"CANCELED"})


async def main(database_url: str, provider_url: str, folder: Path, batches: list[bytes]) -> None:
    common = CommonSettings(data_dir=folder, claims_secret=SecretStr("c"), cursor_secret=SecretStr("c"))
    settings = Settings(provider_url=provider_url, poll_seconds=0.05, lease_seconds=1, retry_seconds=0.1)
    broker = MemoryBroker(unrouted=[payload.type for payload in TOLD])
    async with Database(database_url) as database:
        subgraph = app.build(Runtime(common, database, broker, InProcessChanges()), settings)
        workers = asyncio.create_task(supervise(list(subgraph.workers)))
        try:
            for batch, statuses in zip(batches, SETTLED, strict=False):
                await _publish(broker, batch)

                async def settled(wanted: set[str] = statuses) -> bool:
                    return await _settled(database, wanted)

                await eventually(settled)
        finally:
            workers.cancel()
            await asyncio.gather(workers, return_exceptions=True)


async def _publish(broker: MemoryBroker, batch: bytes) -> None:
    event = decode_batch(batch)[0]
    await eventually(lambda: event.type in broker._bindings)
    await broker.publish([Message(type=event.type, body=batch, id=event.id)])


async def _settled(database: Database, wanted: set[str]) -> bool:
    """Whether the payment has come so far (a canceled one has come further), and everybody has been told."""
    async with database.read() as connection:
        statuses = set((await connection.execute(select(payments.c.status))).scalars())
        waiting = (await connection.execute(select(outbox.c.id).where(outbox.c.published_at.is_(None)))).first()
    return bool(statuses) and statuses <= wanted | {"CANCELED"} and waiting is None


if __name__ == "__main__":
    arguments = sys.argv[1:]
    lines = Path(arguments[3]).read_bytes().splitlines()
    asyncio.run(main(arguments[0], arguments[1], Path(arguments[2]), lines))
