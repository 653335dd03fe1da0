"""What is in the outbox reaches the broker, whatever fails, and is marked only when it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from db.session import Database
from messaging.broker import Broker, Message, MessageHandler, PublishFailed
from messaging.envelope import MAX_BYTES, MAX_EVENTS, decode_batch
from messaging.events.orders import OrderCanceled, OrderPaid
from messaging.handover import Recorded
from messaging.memory import MemoryBroker
from messaging.outbox import record
from messaging.parcels import pack
from messaging.relay import Relay
from tests.messaging import world
from tests.messaging.conftest import quick
from tests.messaging.world import OUTBOX, canceled, paid
from tests.support.waiting import eventually


class Wire:
    """A broker that keeps what it confirms. ``down`` and ``refuse`` make it fail."""

    in_process = False

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.down = False
        self.refuse: Callable[[Message], bool] = lambda _: False
        self.attempts = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        self.attempts += 1
        await asyncio.sleep(0)
        if self.down:
            raise PublishFailed({each.id: "down" for each in messages}, down=True)
        self.messages += [each for each in messages if not self.refuse(each)]
        if refused := {each.id: "no queue" for each in messages if self.refuse(each)}:
            raise PublishFailed(refused)

    async def consume(self, queue: str, types: Sequence[str], handler: MessageHandler, *, prefetch: int = 20) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        return

    @property
    def subjects(self) -> list[str]:
        return [event.subject for message in self.messages for event in decode_batch(message.body)]


def relay(database: Database, broker: Broker, **options: Any) -> Relay:
    return Relay(database, OUTBOX, broker, **options)


class Running:
    """``async with Running(relay)``: its ``run`` beside the block."""

    def __init__(self, *relays: Relay) -> None:
        self._relays = relays
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.create_task(each.run()) for each in self._relays]

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_drain_publishes_everything_once(database: Database) -> None:
    """Two hundred events of two types leave in few messages, as they were recorded; a second drain finds nothing."""
    data = [canceled(f"O{n}") if n % 2 else paid(f"O{n}") for n in range(200)]
    ids = await world.tell(database, data)
    wire = Wire()
    subject = relay(database, wire)
    assert await subject.drain() == 200
    events = [event for message in wire.messages for event in decode_batch(message.body)]
    assert {event.id: event.data for event in events} == dict(zip(ids, data, strict=True))
    assert len(events) == 200
    assert len(wire.messages) <= 8
    assert all({event.type for event in decode_batch(each.body)} == {each.type} for each in wire.messages)
    assert await world.unpublished(database) == []
    assert await subject.drain() == 0


async def test_several_relays_share_the_outbox(server_database_url: str) -> None:
    """Where rows can be locked, three relays at once publish each event once."""
    async with Database(server_database_url) as database:
        await world.create(database)
        await world.tell(database, [canceled(f"O{n}") for n in range(300)])
        wire = Wire()
        counts = await asyncio.gather(*(relay(database, wire, batch=16).drain() for _ in range(3)))
        assert sum(counts) == 300
        assert sorted(wire.subjects) == sorted(f"O{n}" for n in range(300))


async def test_without_leases_relays_would_publish_events_again(server_database_url: str) -> None:
    """The control: with leases that end at once, the three relays take one another's rows."""
    async with Database(server_database_url) as database:
        await world.create(database)
        await world.tell(database, [canceled(f"O{n}") for n in range(300)])
        wire = Wire()
        await asyncio.gather(*(relay(database, wire, batch=16, lease=timedelta(0)).drain() for _ in range(3)))
        assert len(wire.subjects) > 300
        assert len(set(wire.subjects)) == 300


async def test_relays_beside_one_another_lose_nothing(database: Database) -> None:
    """On any database: whatever two running relays publish, each event has its effect once."""
    broker = MemoryBroker(delay=quick)
    await world.consumer(database, broker, "dure.test").start()
    relays = [relay(database, broker, batch=8) for _ in range(2)]
    async with Running(*relays):
        for n in range(10):
            await world.tell(database, [canceled(f"O{n}-{m}") for m in range(10)])
            relays[n % 2].wake()

        async def done() -> bool:
            return not await world.unpublished(database)

        await eventually(done)
    await broker.close()
    assert await world.effects(database) == {f"O{n}-{m}": 1 for n in range(10) for m in range(10)}


async def test_run_polls_without_being_woken(sqlite: Database) -> None:
    """An event that nobody announced (another process recorded it) leaves within seconds."""
    wire = Wire()
    async with Running(relay(sqlite, wire)):
        await world.tell(sqlite, [canceled("O1")])
        await eventually(lambda: wire.subjects == ["O1"])


async def test_what_this_process_records_is_handed_over(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that runs beside gets the events with their commit: it need not look for them, nor lease them."""
    monkeypatch.setattr("messaging.relay.POLL_SECONDS", 3600.0)
    wire = Wire()
    async with Running(relay(database, wire, lease=timedelta(hours=1))):
        await asyncio.sleep(0.1)  # it has looked, and will not look again
        ids = await world.tell(database, [canceled(f"O{n}") for n in range(100)])
        await eventually(lambda: len(wire.subjects) == 100)

        async def marked() -> bool:
            return not await world.unpublished(database)

        await eventually(marked)
    assert {event.id for message in wire.messages for event in decode_batch(message.body)} == set(ids)


async def test_what_is_handed_over_is_nobody_elses(server_database_url: str) -> None:
    """While the relay that got an event publishes it, another process's relay finds nothing in the table."""
    release, wire = asyncio.Event(), Wire()

    class Slow(Wire):
        async def publish(self, messages: Sequence[Message]) -> None:
            await release.wait()
            await super().publish(messages)

    slow = Slow()
    async with Database(server_database_url) as database:
        await world.create(database)
        async with Running(relay(database, slow)):
            await asyncio.sleep(0)
            await world.tell(database, [canceled("O1")])
            assert await relay(database, wire).drain() == 0
            release.set()
            await eventually(lambda: slow.subjects == ["O1"])
        assert await world.unpublished(database) == []


async def test_a_rollback_hands_nothing_over(sqlite: Database) -> None:
    """Events of a transaction that fails were never told."""
    wire = Wire()

    async def fail(tx: Any) -> None:
        await record(tx, OUTBOX, "/dure/orders", [canceled("O1")])
        raise KeyError

    async with Running(relay(sqlite, wire)):
        await asyncio.sleep(0)
        with suppress(KeyError):
            await sqlite.run(fail)
        await world.tell(sqlite, [canceled("O2")])
        await eventually(lambda: wire.subjects)
    assert wire.subjects == ["O2"]


async def test_what_was_handed_over_and_not_confirmed_is_given_back(sqlite: Database) -> None:
    """A relay that ends leaves the events that it was handed to the next one, at once."""
    wire, hung = Wire(), Wire()

    async def hang(messages: Sequence[Message]) -> None:
        hung.attempts += 1
        await asyncio.Event().wait()

    hung.publish = hang  # type: ignore[method-assign]
    async with Running(relay(sqlite, hung)):
        await asyncio.sleep(0)
        await world.tell(sqlite, [canceled("O1")])
        await eventually(lambda: hung.attempts)
        await world.tell(sqlite, [canceled("O2")])
    async with sqlite.read() as connection:
        assert set((await connection.execute(select(OUTBOX.c.leased_until))).scalars()) == {None}
    assert await relay(sqlite, wire).drain() == 2


async def test_a_full_relay_is_handed_nothing(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """With too much in flight events wait in the table, not in memory, until there is room."""
    monkeypatch.setattr("messaging.relay.MAX_IN_FLIGHT", 1)
    release, wire = asyncio.Event(), Wire()
    publish = wire.publish

    async def slowly(messages: Sequence[Message]) -> None:
        await release.wait()
        await publish(messages)

    wire.publish = slowly  # type: ignore[method-assign]
    async with Running(relay(sqlite, wire)):
        await asyncio.sleep(0)
        await world.tell(sqlite, [canceled("O1")])
        await world.tell(sqlite, [canceled("O2")])
        async with sqlite.read() as connection:
            leases = (await connection.execute(select(OUTBOX.c.leased_until).order_by(OUTBOX.c.position))).scalars()
            assert [each is None for each in leases] == [False, True]
        release.set()
        await eventually(lambda: wire.subjects == ["O1", "O2"])


async def test_an_outage_of_the_broker_is_survived(database: Database) -> None:
    """While it is down events wait, and the attempts do not come in a rush; when it is back they leave, each once."""
    wire = Wire()
    wire.down = True
    subject = relay(database, wire)
    async with Running(subject):
        await world.tell(database, [canceled(f"O{n}") for n in range(100)])
        subject.wake()
        await eventually(lambda: wire.attempts >= 3)
        assert wire.attempts < 20
        assert len(await world.unpublished(database)) == 100
        wire.down = False
        await eventually(lambda: len(wire.messages) >= 2)

        async def done() -> bool:
            return not await world.unpublished(database)

        await eventually(done)
    assert sorted(wire.subjects) == sorted(f"O{n}" for n in range(100))


async def test_a_refused_event_stays_and_the_others_go(sqlite: Database) -> None:
    """A type that no queue takes waits in the outbox, however many there are, and is published when one does."""
    wire = Wire()
    wire.refuse = lambda message: message.type == OrderPaid.type
    await world.tell(sqlite, [paid(f"P{n}") for n in range(200)] + [canceled("O1")])
    assert await relay(sqlite, wire).drain() == 1
    assert wire.subjects == ["O1"]
    assert len(await world.unpublished(sqlite)) == 200
    wire.refuse = lambda _: False
    assert await relay(sqlite, wire).drain() == 200


async def test_what_is_not_confirmed_is_not_marked(sqlite: Database) -> None:
    """A relay that ends while a confirmation is outstanding gives the row back, and the next one publishes it."""
    broker, wire = MemoryBroker(), Wire()
    release = asyncio.Event()
    got: list[Message] = []

    async def hang(message: Message) -> None:
        got.append(message)
        await release.wait()

    await broker.consume("q", [OrderCanceled.type], hang)
    await world.tell(sqlite, [canceled("O1")])
    async with Running(relay(sqlite, broker)):
        await eventually(lambda: got)
    assert await world.unpublished(sqlite) == ["O1"]
    assert await relay(sqlite, wire).drain() == 1
    release.set()
    await broker.close()


async def test_a_slow_queue_does_not_hold_up_other_types(sqlite: Database) -> None:
    """Confirmations are awaited beside the next claims: batches that hang leave the others' way free."""
    broker, release, got = MemoryBroker(), asyncio.Event(), []

    async def hang(_: Message) -> None:
        await release.wait()

    async def take(message: Message) -> None:
        got.append(message)

    await broker.consume("slow", [OrderCanceled.type], hang)
    await broker.consume("fast", [OrderPaid.type], take)
    subject = relay(sqlite, broker, batch=4)
    async with Running(subject):
        await world.tell(sqlite, [canceled(f"O{n}") for n in range(60)])
        await world.tell(sqlite, [paid("P1")])
        subject.wake()
        await eventually(lambda: got)
        release.set()

        async def done() -> bool:
            return not await world.unpublished(sqlite)

        await eventually(done)
    await broker.close()


async def test_an_event_that_answers_an_event_needs_no_second_relay(sqlite: Database) -> None:
    """A handler records an event of its own and its commit wakes the relay: chains end without deadlock."""
    broker = MemoryBroker()
    subject = relay(sqlite, broker)

    async def next_one(tx: Any, events: Sequence[Any]) -> None:
        await world.leave_a_row(tx, events)
        steps = [int(event.subject) + 1 for event in events if int(event.subject) < 30]
        await record(tx, OUTBOX, "/dure/orders", [canceled(str(step)) for step in steps])

    consumer = world.consumer(sqlite, broker, "dure.test", {OrderCanceled: next_one}, after_commit=subject.wake)
    await consumer.start()
    async with Running(subject):
        await world.tell(sqlite, [canceled("0")])
        subject.wake()

        async def ended() -> bool:
            return (await world.effects(sqlite))["30"] == 1

        await eventually(ended)
    await broker.close()
    assert await world.effects(sqlite) == {str(n): 1 for n in range(31)}


async def test_a_dead_relays_lease_runs_out(server_database_url: str) -> None:
    """Rows that a killed relay had taken are free for others when the lease ends, not before."""
    async with Database(server_database_url) as database:
        await world.create(database)
        await world.tell(database, [canceled("held"), canceled("over"), canceled("free")])
        now = datetime.now(UTC)
        async with database.transaction() as tx:
            for subject, seconds in (("held", 60), ("over", -1)):
                until = now + timedelta(seconds=seconds)
                await tx.execute(update(OUTBOX).where(OUTBOX.c.subject == subject).values(leased_until=until))
        wire = Wire()
        assert await relay(database, wire).drain() == 2
        assert sorted(wire.subjects) == ["free", "over"]


async def test_on_sqlite_a_restart_takes_over_at_once(sqlite: Database) -> None:
    """One process owns the file, so a lease found at the start is nobody's."""
    await world.tell(sqlite, [canceled("O1")])
    async with sqlite.transaction() as tx:
        await tx.execute(update(OUTBOX).values(leased_until=datetime.now(UTC) + timedelta(hours=1)))
    wire = Wire()
    assert await relay(sqlite, wire).drain() == 1


rows = st.lists(
    st.builds(
        lambda kind, subject, size: (kind, subject, size),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["s1", "s2", "s3", "s4"]),
        st.sampled_from([10, 10, 10, 30_000]),
    ),
    max_size=150,
)


@given(rows)
def test_packing_keeps_everything_in_order_and_within_limits(cases: list[tuple[str, str, int]]) -> None:
    """Each row once, one type a parcel, 64 events and 100 KiB at most, and each subject's rows in order."""
    recorded = [
        Recorded(str(n), kind, "/s", subject, datetime(2026, 1, 1, tzinfo=UTC), b'"' + b"x" * size + b'"', None)
        for n, (kind, subject, size) in enumerate(cases)
    ]
    parcels = pack(recorded)
    packed = [int(id) for parcel in parcels for id in parcel.ids]
    assert sorted(packed) == list(range(len(cases)))
    for parcel in parcels:
        assert {cases[int(id)][0] for id in parcel.ids} == {parcel.type}
        assert len(parcel.ids) <= MAX_EVENTS
        assert len(parcel.message().body) <= MAX_BYTES
    for subject in {subject for _, subject, _ in cases}:
        order = [position for position in packed if cases[position][1] == subject]
        assert order == sorted(order)
