"""An event is claimed by one transaction, whatever races."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from messaging.inbox import bury, claim, prune
from tests.messaging import world
from tests.messaging.world import DEAD_LETTERS, INBOX


async def test_only_new_events_are_claimed(database: Database) -> None:
    """A claim gives what nobody had before, also within one transaction and for an id given twice."""
    async with database.transaction() as tx:
        assert await claim(tx, INBOX, ["a", "b", "a"]) == {"a", "b"}
        assert await claim(tx, INBOX, ["b", "c"]) == {"c"}
        assert await claim(tx, INBOX, []) == set()
    assert await database.run(lambda tx: claim(tx, INBOX, ["a", "b", "c", "d"])) == {"d"}


async def test_a_rolled_back_claim_frees_the_event(database: Database) -> None:
    """What took no effect may be handled again."""

    async def fail(tx: AsyncConnection) -> None:
        await claim(tx, INBOX, ["a"])
        raise KeyError

    with pytest.raises(KeyError):
        await database.run(fail)
    assert await database.run(lambda tx: claim(tx, INBOX, ["a"])) == {"a"}


async def test_racing_claims_share_no_event(database: Database) -> None:
    """Ten transactions with overlapping events in different orders: each event goes to exactly one."""
    ids = [f"e{n:02}" for n in range(30)]

    async def take(n: int) -> set[str]:
        wanted = ids[n:] + ids[:n]
        return await database.run(lambda tx: claim(tx, INBOX, wanted[:20] if n % 2 else reversed(wanted[:20])))

    claims = await asyncio.gather(*(take(3 * n) for n in range(10)))
    assert sorted(each for claimed in claims for each in claimed) == ids


async def test_a_claim_waits_for_one_that_is_not_committed(server_database_url: str) -> None:
    """The second transaction gets nothing if the first commits, and the event if it rolls back."""
    async with Database(server_database_url) as database:
        await world.create(database)
        for event, rolls_back in (("a", False), ("b", True)):
            async with database.transaction() as second:
                async with database.transaction() as first:
                    assert await claim(first, INBOX, [event]) == {event}
                    waiting = asyncio.create_task(claim(second, INBOX, [event]))
                    done, _ = await asyncio.wait([waiting], timeout=0.2)
                    assert not done
                    if rolls_back:
                        await first.rollback()
                assert await waiting == ({event} if rolls_back else set())


async def test_prune_forgets_old_events(database: Database) -> None:
    """After thirty days, longer than anything delivers again."""
    await database.run(lambda tx: claim(tx, INBOX, ["old", "new"]))
    async with database.transaction() as tx:
        past = datetime.now(UTC) - timedelta(days=31)
        await tx.execute(update(INBOX).where(INBOX.c.event_id == "old").values(received_at=past))
        assert await prune(tx, INBOX) == 1
        assert (await tx.execute(select(INBOX.c.event_id))).scalars().all() == ["new"]


async def test_burying_twice_is_burying_once(database: Database) -> None:
    """The first cause stays; bytes that are no text are kept as well as can be."""
    async with database.transaction() as tx:
        for error in ("first", "second"):
            await bury(tx, DEAD_LETTERS, event_id="e", type="t", payload=b"\xff\0[]", error=error, attempts=10)
        assert (await tx.execute(select(func.count()).select_from(DEAD_LETTERS))).scalar_one() == 1
        row = (await tx.execute(select(DEAD_LETTERS))).one()
    assert (row.error, row.attempts, row.type) == ("first", 10, "t")
    assert row.payload.endswith("[]")
