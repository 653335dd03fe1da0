"""One key, one effect: on three databases, one after the other and at once. And what is forgotten in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from messaging.inbox import inbox_table
from messaging.outbox import outbox_table
from subgraphs.kit.errors import Rejected
from subgraphs.kit.housekeeping import forget
from subgraphs.kit.idempotency import InFlight, Request, answer, check_key, claim, idempotency_table
from subgraphs.kit.ids import new_ulid

METADATA = MetaData()
KEYS = idempotency_table(METADATA)
SENT, RECEIVED = outbox_table(METADATA), inbox_table(METADATA)
EFFECTS = Table("effect", METADATA, Column("id", Integer, primary_key=True, autoincrement=True))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url) as database:
        async with database.transaction() as tx:
            await tx.run_sync(METADATA.create_all)
        yield database


def request(key: str, body: Any = None, scope: str = "user:do") -> Request:
    return Request(scope=scope, key=key, body=body, claim=new_ulid())


async def do(database: Database, wish: Request, *, hold: asyncio.Event | None = None) -> Any:
    """An effect, once a key; the number of the effect. Raises Rejected."""

    async def work(tx: AsyncConnection) -> Any:
        (earlier,) = await claim(tx, KEYS, [wish])
        if isinstance(earlier, Rejected):
            raise earlier
        if earlier is not None:
            return earlier
        made = (await tx.execute(insert(EFFECTS))).inserted_primary_key
        assert made is not None
        if hold is not None:
            await asyncio.wait_for(hold.wait(), 5)
        await answer(tx, KEYS, [(wish, made[0])])
        return made[0]

    return await database.run(work)


async def effects(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(EFFECTS))).scalar_one())


async def test_the_same_key_gives_the_same_answer_and_other_input_a_conflict(database: Database) -> None:
    first = await do(database, request("k", {"a": 1, "b": 2}))
    assert await do(database, request("k", {"b": 2, "a": 1})) == first
    with pytest.raises(Rejected) as refused:
        await do(database, request("k", {"a": 2}))
    assert refused.value.code == "IDEMPOTENCY_CONFLICT"
    assert await do(database, request("k", scope="another:do")) != first
    assert await do(database, request("K")) != first, "case matters, on every database"
    assert await effects(database) == 3


async def test_the_second_of_two_at_once_waits_and_gets_the_firsts_answer(database: Database) -> None:
    hold = asyncio.Event()
    wishes = [asyncio.create_task(do(database, request("k", 1), hold=hold)) for _ in range(2)]
    done, _ = await asyncio.wait(wishes, timeout=0.2)
    assert not done
    hold.set()
    first, second = await asyncio.gather(*wishes)
    assert first == second
    assert await effects(database) == 1


async def test_a_transaction_rolled_back_leaves_its_key_free(database: Database) -> None:
    async def fails(tx: AsyncConnection) -> None:
        await claim(tx, KEYS, [request("k")])
        raise Rejected("INVALID", "No.")

    with pytest.raises(Rejected):
        await database.run(fails)
    assert await do(database, request("k", "other input")) is not None


async def test_a_key_that_stands_twice_in_a_batch_is_noticed(database: Database) -> None:
    with pytest.raises(InFlight):
        await database.run(lambda tx: claim(tx, KEYS, [request("k", 1), request("k", 1)]))


async def test_a_batch_of_new_and_known_keys(database: Database) -> None:
    known = await do(database, request("known", 1))
    batch = [request("new"), request("known", 1), request("known", 2)]
    first, again, conflict = await database.run(lambda tx: claim(tx, KEYS, batch))
    assert (first, again) == (None, known)
    assert isinstance(conflict, Rejected)


@pytest.mark.parametrize("key", ["", "k" * 256, "a\x00b", "a\nb"])
def test_keys_that_cannot_be(key: str) -> None:
    with pytest.raises(Rejected):
        check_key(key)
    assert check_key("k" * 255)


async def test_what_has_had_its_time_is_forgotten_and_what_waits_is_not(database: Database) -> None:
    now = datetime.now(UTC)
    old, ages = now - timedelta(days=40), now - timedelta(days=1)
    event = {"type": "t", "source": "/s", "subject": "s", "time": old, "data": "{}"}
    async with database.transaction() as tx:
        for published in (old, ages, None):
            await tx.execute(insert(SENT), {**event, "id": new_ulid(), "published_at": published})
        for received in (old, ages):
            await tx.execute(insert(RECEIVED), {"event_id": new_ulid(), "claim": new_ulid(), "received_at": received})
    for key in ("old", "new"):
        await do(database, request(key))
    async with database.transaction() as tx:
        await tx.execute(update(KEYS).where(KEYS.c.key == "old").values(created_at=old))
    await database.run(lambda tx: forget(tx, SENT, RECEIVED, KEYS, now))
    async with database.read() as connection:
        left = [len((await connection.execute(select(table))).all()) for table in (SENT, RECEIVED, KEYS)]
    assert left == [2, 1, 1], "published a day ago or not yet; handled a day ago; the new key"
