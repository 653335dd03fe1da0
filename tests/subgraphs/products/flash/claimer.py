"""A process of products that serves customers of a flash sale: all enter the line and claim a unit, with keys of their
own, so that a process that takes over from a killed one repeats what it did.

Its gate is Redis where a URL is given, else its own. ``UNGUARDED=1`` takes the
ledger's guard away: the negative control.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.redis import connect
from db.session import Database
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.errors import Rejected
from subgraphs.kit.subgraph import utc_now
from subgraphs.products.flash import claims
from subgraphs.products.flash.domain import Granted, Refusal, Stock, Wish
from subgraphs.products.flash.gate import Gate, InProcessGate, RedisGate
from subgraphs.products.flash.service import FlashSales
from subgraphs.products.flash.tokens import AdmissionTokens
from subgraphs.products.settings import Settings
from subgraphs.products.shop import Shop

AT_ONCE = 100


async def main(url: str, redis_url: str, sale: str, item: str, users: list[str]) -> dict[str, str]:
    """What each user got: a claim, or the code of the refusal."""
    gate: Gate = RedisGate(connect(redis_url), 0.5) if redis_url != "-" else InProcessGate(0.5)
    room = asyncio.Semaphore(AT_ONCE)
    async with Database(url) as database:
        shop = Shop(database, InProcessChanges(), Settings(flash_batch=16), utc_now, lambda: None, gate)
        flash = FlashSales(shop, AdmissionTokens("secret"))

        async def serve(user: str) -> str:
            async with room:
                ticket = await flash.enter(sale, user)
                token = flash.tokens.issue(ticket, sale, user, utc_now() + timedelta(minutes=1))
                try:
                    return await flash.claim(item, user, 1, token, f"key of {user}")
                except Rejected as rejected:
                    return rejected.code

        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        results = await asyncio.gather(*map(serve, users))
    return dict(zip(users, results, strict=True))


def take_the_guard_away() -> None:
    """Grants look at no number of units, and the count goes down whatever is there."""
    granting, counting = claims.grant, claims._count_down

    def grant(stock: Stock, wishes: Sequence[Wish]) -> tuple[Stock, list[Granted | Refusal]]:
        after, answers = granting(replace(stock, remaining=10**6), wishes)
        return replace(after, remaining=stock.remaining - (10**6 - after.remaining)), answers

    async def count_down(tx: AsyncConnection, *given: Any) -> None:
        if tx.dialect.name == "sqlite":
            await tx.execute(text("PRAGMA ignore_check_constraints=ON"))
        await counting(tx, *given)

    statement = claims.count_down
    claims.grant, claims._count_down = grant, count_down
    claims.count_down = lambda item_id, units: statement(item_id, units, guarded=False)


if __name__ == "__main__":
    if os.environ.get("UNGUARDED") == "1":
        take_the_guard_away()
    _, url, redis_url, sale, item, users = sys.argv
    print(json.dumps(asyncio.run(asyncio.wait_for(main(url, redis_url, sale, item, users.split(",")), 300))))
