"""Each event takes effect once; one that cannot is put aside and holds up nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection
from ulid import ULID

from db.session import Database
from messaging import consumer as consumer_module
from messaging.broker import Message
from messaging.envelope import Event, decode_batch, encode_batch
from messaging.events import EventData
from messaging.events.orders import OrderCanceled, OrderPaid
from messaging.memory import MemoryBroker
from messaging.outbox import record
from tests.conftest import serve
from tests.messaging import world
from tests.messaging.world import EFFECTS, OUTBOX, SOURCE, canceled, paid
from tests.support import servers


def event(data: EventData) -> Event[EventData]:
    now = datetime.now(UTC)
    return Event(id=str(ULID()), type=data.type, source=SOURCE, subject=data.subject_id, time=now, data=data)


def message(events: Sequence[Event[EventData]], attempt: int = 1) -> Message:
    return Message(type=events[0].type, body=encode_batch(events), id=str(ULID()), attempt=attempt)


def make(database: Database, handlers: Any = None, **options: Any) -> consumer_module.Consumer:
    return world.consumer(database, MemoryBroker(), "dure.test", handlers, **options)


async def refuse_bad(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
    await world.leave_a_row(tx, events)
    if any(each.subject.startswith("bad") for each in events):
        raise ValueError("a bad event")


async def test_a_batch_is_one_call_in_one_transaction(database: Database) -> None:
    """The handler gets all events of a message at once; then the relay is woken, once."""
    woken: list[int] = []
    events = [event(canceled(f"O{n}")) for n in range(64)]
    await make(database, after_commit=lambda: woken.append(1)).handle(message(events))
    async with database.read() as connection:
        sizes = (await connection.execute(select(EFFECTS.c.size))).scalars().all()
    assert sizes == [64] * 64
    assert woken == [1]


async def test_messages_that_wait_share_a_transaction_and_each_answers_for_itself(sqlite: Database) -> None:
    """Those that come while one is handled are handled together, and only the one with the bad event fails."""
    consumer = make(sqlite, {OrderCanceled: refuse_bad})
    subjects = ["O0", "O1", "bad", "O2"]
    answers = await asyncio.gather(
        *(consumer.handle(message([event(canceled(each))])) for each in subjects), return_exceptions=True
    )
    assert [isinstance(answer, ValueError) for answer in answers] == [False, False, True, False]
    good = make(sqlite, {OrderCanceled: world.leave_a_row})
    await asyncio.gather(*(good.handle(message([event(canceled(f"P{n}"))])) for n in range(4)))
    async with sqlite.read() as connection:
        sizes = (await connection.execute(select(EFFECTS.c.size).order_by(EFFECTS.c.size))).scalars().all()
    assert sizes[:3] == [1, 1, 1]
    assert max(sizes) > 1


async def _deliver_everything_twice(database: Database) -> None:
    events = [event(canceled(f"O{n}")) for n in range(5)]
    subject = make(database)
    await subject.handle(message(events[:3]))
    await subject.handle(message([*events[:3], *events]))
    await asyncio.gather(*(subject.handle(message(events)) for _ in range(4)))
    assert await world.effects(database) == {f"O{n}": 1 for n in range(5)}


async def test_duplicates_have_no_second_effect(database: Database) -> None:
    """The same events again: in one message, in another with new ones, and in four at the same time."""
    await _deliver_everything_twice(database)


async def test_without_the_claim_duplicates_would_have_one(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the inbox switched off the test above fails."""

    async def claim_all(_tx: AsyncConnection, _table: Table, event_ids: Iterable[str]) -> set[str]:
        return set(event_ids)

    monkeypatch.setattr(consumer_module, "claim", claim_all)
    with pytest.raises(AssertionError):
        await _deliver_everything_twice(database)


async def test_a_bad_event_does_not_hold_up_the_others(database: Database) -> None:
    """The rest of the batch takes effect; the bad one's own writes are rolled back, and it is asked for again."""
    events = [event(canceled(name)) for name in ("O1", "bad", "O2")]
    with pytest.raises(ValueError, match="a bad event"):
        await make(database, {OrderCanceled: refuse_bad}).handle(message(events))
    assert await world.effects(database) == {"O1": 1, "O2": 1}
    assert await world.buried(database) == []


async def test_a_bad_event_is_buried_at_the_last_attempt(database: Database) -> None:
    """With its payload, its error and the number of attempts; then it is acknowledged; the others stay."""
    events = [event(canceled(name)) for name in ("O1", "bad", "O2")]
    subject = make(database, {OrderCanceled: refuse_bad}, attempts=3)
    for attempt in (1, 2):
        with pytest.raises(ValueError, match="a bad event"):
            await subject.handle(message(events, attempt))
    await subject.handle(message(events, 3))
    assert await world.effects(database) == {"O1": 1, "O2": 1}
    [letter] = await world.buried(database)
    assert (letter.event_id, letter.type, letter.attempts) == (events[1].id, OrderCanceled.type, 3)
    assert letter.error == "ValueError: a bad event"
    assert decode_batch(letter.payload.encode()) == [events[1]]


async def test_a_buried_event_can_be_handled_later(database: Database) -> None:
    """Burying is not handling: delivered again to a repaired handler, it takes effect."""
    bad = event(canceled("bad"))
    await make(database, {OrderCanceled: refuse_bad}, attempts=1).handle(message([bad]))
    await make(database).handle(message([bad]))
    assert await world.effects(database) == {"bad": 1}


async def test_a_malformed_message_is_buried_at_once(database: Database) -> None:
    """Delivering it again would not help; it does not raise."""
    await make(database).handle(Message(type="dure.x", body=b'{"not": "a batch"}', id="M1"))
    [letter] = await world.buried(database)
    assert (letter.event_id, letter.type, letter.payload) == ("M1", "dure.x", '{"not": "a batch"}')
    assert letter.error.startswith("MalformedEvent: ")


async def test_an_event_without_a_handler_is_buried(database: Database) -> None:
    """An old binding may still bring it: it is kept, not dropped."""
    await make(database).handle(message([event(paid("O1"))]))
    [letter] = await world.buried(database)
    assert letter.error.startswith("LookupError: ")


async def test_the_effect_and_its_own_events_are_one(database: Database) -> None:
    """What a handler records is in the outbox if and only if its effect is committed."""

    async def answer(tx: AsyncConnection, events: Sequence[Event[OrderCanceled]]) -> None:
        await record(tx, OUTBOX, SOURCE, [paid(each.data.order_id) for each in events])
        await refuse_bad(tx, events)

    with pytest.raises(ValueError, match="a bad event"):
        await make(database, {OrderCanceled: answer}).handle(message([event(canceled("bad")), event(canceled("O1"))]))
    assert await world.unpublished(database) == ["O1"]


async def test_hooks_run_after_the_commit_only(sqlite: Database) -> None:
    """What a handler returns is called once its effect can be seen, never for a rollback; its failing harms nothing."""
    seen: list[Any] = []

    async def handler(tx: AsyncConnection, events: Sequence[Event[Any]]) -> Any:
        await refuse_bad(tx, events)

        def hook() -> None:
            seen.append([each.subject for each in events])
            raise RuntimeError("the hook's own trouble")

        return hook

    subject = make(sqlite, {OrderCanceled: handler})
    with pytest.raises(ValueError, match="a bad event"):
        await subject.handle(message([event(canceled("bad"))]))
    assert seen == []
    good = message([event(canceled("O1"))])
    await subject.handle(good)
    await subject.handle(good)
    assert seen == [["O1"]]


async def test_types_in_one_message_go_to_their_handlers(sqlite: Database) -> None:
    """A message should have one type; one that has two is handled all the same."""
    got: dict[str, list[str]] = {}

    def remember(name: str) -> Any:
        async def handler(_tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
            got[name] = [each.subject for each in events]

        return handler

    handlers = {OrderCanceled: remember("canceled"), OrderPaid: remember("paid")}
    await make(sqlite, handlers).handle(message([event(canceled("O1")), event(paid("O2")), event(canceled("O3"))]))
    assert got == {"canceled": ["O1", "O3"], "paid": ["O2"]}


@pytest.fixture
def own_postgres() -> Iterator[servers.Restartable]:
    """A PostgreSQL that a test may stop."""
    yield from serve(servers.postgres_restartable())


@pytest.mark.integration
async def test_an_absent_database_costs_no_attempt(own_postgres: servers.Restartable) -> None:
    """While the database is away the event waits in the handler's place, even at its last attempt."""
    async with Database(own_postgres.url) as database:
        await world.create(database)
        await asyncio.to_thread(own_postgres.process.stop)
        handling = asyncio.create_task(make(database, attempts=1).handle(message([event(canceled("O1"))])))
        done, _ = await asyncio.wait([handling], timeout=0.5)
        assert not done
        await asyncio.to_thread(own_postgres.process.start)
        await asyncio.wait_for(handling, 30)
        assert await world.effects(database) == {"O1": 1}
        assert await world.buried(database) == []


async def test_start_and_stop(sqlite: Database) -> None:
    """Started, it takes the types it has handlers for; stopped, it takes no more."""
    broker = MemoryBroker()
    subject = world.consumer(sqlite, broker, "dure.test")
    await subject.start()
    await broker.publish([message([event(canceled("O1"))])])
    await subject.stop()
    waiting = asyncio.create_task(broker.publish([message([event(canceled("O2"))])]))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    assert await world.effects(sqlite) == {"O1": 1}
    await broker.close()
    await asyncio.gather(waiting, return_exceptions=True)
