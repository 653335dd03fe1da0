"""A process to be killed: records events, relays them and consumes them until all have had their effect.

``python -m tests.messaging.victim DATABASE_URL BROKER COUNT``, where BROKER is ``memory`` or a RabbitMQ URL, ``|`` and
a queue, ends with code 0 once ``COUNT`` events are published and in effect, whoever recorded them.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from sqlalchemy import select

from db.failpoints import failpoint
from db.session import Database
from messaging.memory import MemoryBroker
from messaging.rabbitmq import RabbitBroker
from messaging.relay import Relay
from tests.messaging import world
from tests.messaging.world import OUTBOX, canceled
from tests.support.waiting import eventually


async def work(database_url: str, where: str, count: int) -> None:
    url, _, queue = where.partition("|")
    broker = RabbitBroker(url) if queue else MemoryBroker()
    async with Database(database_url) as database:
        await world.create(database)
        relay = Relay(database, OUTBOX, broker, batch=8, lease=timedelta(seconds=1))
        await world.consumer(database, broker, queue or "dure.test", after_commit=relay.wake).start()
        recorded = await _recorded(database)
        # Half of them are found in the table, half handed over.
        await world.tell(database, [canceled(f"O{n}") for n in range(recorded, count // 2)])
        failpoint("outbox.after_commit")
        running = asyncio.create_task(relay.run())
        await asyncio.sleep(0)
        for n in range(max(recorded, count // 2), count):
            await world.tell(database, [canceled(f"O{n}")])
            failpoint("outbox.after_commit")

        async def done() -> bool:
            return len(await world.effects(database)) == count and not await world.unpublished(database)

        await eventually(done, timeout=40)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await broker.close()


async def _recorded(database: Database) -> int:
    async with database.read() as connection:
        return len((await connection.execute(select(OUTBOX.c.position))).all())


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], int(sys.argv[3])))
