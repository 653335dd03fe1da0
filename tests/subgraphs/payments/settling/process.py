"""Settling as a process of its own, for tests that kill it: keeps the books, closes, pays out, and ends.

Its arguments: the database's URL, the provider's URL, the day that ends the period, and sellers.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select

from db.session import Database
from subgraphs.kit.identity import Identity
from subgraphs.payments.models import settlements
from subgraphs.payments.settings import Settings
from subgraphs.payments.settling import closing as closes
from subgraphs.payments.settling.bookkeeper import Bookkeeper
from subgraphs.payments.settling.closing import Closing
from subgraphs.payments.settling.payouts import Payouts
from subgraphs.payments.settling.provider import HttpPayouts
from subgraphs.payments.transport import HttpSender
from tests.support.waiting import eventually

OPERATOR = Identity(user_id="01M7ZT0000000000000000000P", scopes=frozenset({"settlements:write"}))


async def main(database_url: str, provider_url: str, end: date, sellers: Sequence[str]) -> None:
    closes.PART = 1
    settings = Settings(lease_seconds=0.2, payout_look_seconds=0.05)
    send = HttpSender(provider_url, connect_seconds=1, timeout_seconds=5)
    async with Database(database_url) as database:
        closing = Closing(database, Bookkeeper(database, settings, _later), settings, _later, _nothing)
        payouts = Payouts(database, HttpPayouts(send, "test_sk_dure"), settings, _later, _nothing)
        mine = []
        for seller in sellers:
            mine.append(await closing.close(OPERATOR, seller, end, f"close {seller}"))
            await payouts.request(OPERATOR, mine[-1], f"pay {seller}")

        async def paid() -> bool:
            await payouts.drain()
            async with database.read() as connection:
                query = select(settlements.c.status).where(settlements.c.id.in_(mine))
                return set((await connection.execute(query)).scalars()) == {"PAID"}

        await eventually(paid)
    await send.close()


def _later() -> datetime:
    return datetime.now(UTC) + timedelta(days=2)


def _nothing() -> None:
    """Nobody is to be woken."""


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(main(arguments[0], arguments[1], date.fromisoformat(arguments[2]), arguments[3:]))
