"""One process of the race for the last units of a reward: look, wait for the start, pledge; prints how many were got.

``real`` pledges as the service does. ``unguarded`` takes units without the condition, trusting what was looked up
before the start: the negative control.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from subgraphs.funding.models import payment_method_copies, pledges, rewards, user_copies
from subgraphs.funding.pledging import NewPledge, Pledging, take_units
from subgraphs.funding.service import Projects
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.errors import Rejected
from subgraphs.kit.idempotency import Request
from subgraphs.kit.ids import new_ulid


def now() -> datetime:
    return datetime.now(UTC)


async def race(url: str, reward_id: str, buyers: int, mode: str) -> int:
    async with Database(url) as database:
        async with database.read() as connection:
            reward = (await connection.execute(select(rewards).where(rewards.c.id == reward_id))).one()
        backers = [await _backer(database) for _ in range(buyers)] if mode == "real" else []
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        if mode == "sweep":
            later = Projects(database, InProcessChanges(), lambda: None, lambda: now() + timedelta(days=30), 60)
            return await later.sweep()
        if mode == "real":
            pledging = Pledging(database, InProcessChanges(), lambda: None, now)
            got = await asyncio.gather(*(_real(pledging, *each, reward) for each in backers))
        else:
            got = await asyncio.gather(*(_unguarded(database, reward) for _ in range(buyers)))
    return sum(got)


async def _backer(database: Database) -> tuple[str, str]:
    user_id, method_id = new_ulid(), new_ulid()
    user = {"user_id": user_id, "version": 1, "display_name": "B", "email_verified": True}
    method = {"payment_method_id": method_id, "version": 1, "user_id": user_id, "status": "ACTIVE"}

    async def work(tx: AsyncConnection) -> None:
        await tx.execute(insert(user_copies), user)
        await tx.execute(insert(payment_method_copies), method)

    await database.run(work)
    return user_id, method_id


async def _real(pledging: Pledging, user_id: str, method_id: str, reward: Row[Any]) -> bool:
    request = Request(scope=f"{user_id}:pledgeCreate", key=new_ulid(), body=[], claim=new_ulid())
    project_id, reward_id = reward.project_id, reward.id
    try:
        await pledging.create(NewPledge(user_id, project_id, reward_id, 1, 0, method_id, None, request))
    except Rejected as refused:
        if refused.code != "REWARD_SOLD_OUT":
            raise
        return False
    return True


async def _unguarded(database: Database, reward: Row[Any]) -> bool:
    if reward.total_quantity - reward.claimed < 1:
        return False
    row = {
        "id": new_ulid(),
        "project_id": reward.project_id,
        "reward_id": reward.id,
        "backer_id": new_ulid(),
        "quantity": 1,
        "additional_amount": 0,
        "total": 1,
        "currency": "KRW",
        "status": "RESERVED",
        "created_at": now(),
    }

    async def work(tx: AsyncConnection) -> bool:
        taken = await take_units(tx, row["reward_id"], 1, guarded=False)
        await tx.execute(insert(pledges), row)
        return taken

    try:
        return await database.run(work)
    except DBAPIError:  # the table's CHECK, where the test has left it
        return False


if __name__ == "__main__":
    _, url, reward_id, buyers, mode = sys.argv
    print(asyncio.run(race(url, reward_id, int(buyers), mode)))
