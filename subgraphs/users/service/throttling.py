"""Tries counted in the database, so that all processes count together and a restart forgives nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from db.statements import insert_ignore
from subgraphs.kit.errors import Rejected
from subgraphs.users.domain import LONGEST_BLOCK, Throttle, ThrottleRule, attempt
from subgraphs.users.models import throttles


async def take_try(database: Database, rule: ThrottleRule, key: Sequence[str | None], now: datetime) -> None:
    """Count one try of ``key``, before its outcome is known: tries at the same time all count.

    Raises Rejected RATE_LIMITED when it may not go on.
    """
    hashed = _hash(key)

    async def count(tx: AsyncConnection) -> bool | None:
        locked = select(throttles).where(throttles.c.key == hashed).with_for_update()
        row = (await tx.execute(locked)).one_or_none()
        if row is None:
            return None
        state = Throttle(row.tries, row.window_start, row.blocked_until, row.blocks) if row.tries else None
        after, allowed = attempt(state, rule, now)
        if allowed:
            await tx.execute(update(throttles).where(throttles.c.key == hashed).values(**asdict(after)))
        return allowed

    async def begin(tx: AsyncConnection) -> None:
        fresh = {"key": hashed, "tries": 0, "window_start": now, "blocked_until": None, "blocks": 0}
        await insert_ignore(tx, throttles, [fresh])

    # In transactions of their own: MySQL locks an ignored row shared, and two that want more then deadlock.
    while (allowed := await database.run(count)) is None:
        await database.run(begin)
    if not allowed:
        raise Rejected("RATE_LIMITED", "Too many attempts. Wait a little.")


async def forget(tx: AsyncConnection, key: Sequence[str | None]) -> None:
    """It succeeded: earlier tries no longer count."""
    await tx.execute(delete(throttles).where(throttles.c.key == _hash(key)))


async def prune(tx: AsyncConnection, now: datetime) -> None:
    """Delete what no rule looks at any more."""
    old = now - 3 * LONGEST_BLOCK
    unblocked = throttles.c.blocked_until.is_(None) | (throttles.c.blocked_until < old)
    await tx.execute(delete(throttles).where(throttles.c.window_start < old, unblocked))


def _hash(key: Sequence[str | None]) -> str:
    return hashlib.sha256("\0".join(part or "" for part in key).encode()).hexdigest()
