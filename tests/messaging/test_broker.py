"""One suite for both brokers: confirms, acknowledgement, redelivery, and nobody blocked by another's trouble."""

from __future__ import annotations

import asyncio

import pytest
from ulid import ULID

from messaging.broker import DELIVERY_LIMIT, Message, PublishFailed, redelivery_delay
from messaging.events.orders import OrderCanceled, OrderPaid
from messaging.memory import MemoryBroker
from tests.messaging.conftest import Bench, quick
from tests.support.waiting import eventually

CANCELED, PAID = OrderCanceled.type, OrderPaid.type


def message(type: str = CANCELED, body: bytes = b"[]") -> Message:
    return Message(type=type, body=body, id=str(ULID()), headers={"content-type": "x/y"})


class Recorder:
    """A handler that remembers; it refuses bodies named in ``refuse`` that many times."""

    def __init__(self, refuse: dict[bytes, int] | None = None) -> None:
        self.got: list[Message] = []
        self.refuse = refuse or {}

    async def __call__(self, each: Message) -> None:
        self.got.append(each)
        if each.attempt <= self.refuse.get(each.body, 0):
            raise ValueError(f"refused {each.body!r}")

    @property
    def bodies(self) -> list[bytes]:
        return [each.body for each in self.got]


async def test_a_message_arrives_as_it_was_sent(bench: Bench) -> None:
    """Type, body, id and headers; the first delivery is attempt 1."""
    got = Recorder()
    await bench.broker.consume(bench.queue(), [CANCELED], got)
    sent = message(body=b"[1]")
    await bench.broker.publish([sent])
    await eventually(lambda: got.got)
    received = got.got[0]
    assert (received.type, received.body, received.id, received.attempt) == (CANCELED, b"[1]", sent.id, 1)
    assert received.headers["content-type"] == "x/y"
    assert not received.redelivered


async def test_every_queue_gets_the_types_it_asked_for(bench: Bench) -> None:
    """Each bound queue gets its own copy, and nothing else."""
    both, one = Recorder(), Recorder()
    await bench.broker.consume(bench.queue(), [CANCELED, PAID], both)
    await bench.broker.consume(bench.queue(), [PAID], one)
    await bench.broker.publish([message(CANCELED, b"c"), message(PAID, b"p")])
    await eventually(lambda: len(both.got) == 2 and len(one.got) == 1)
    assert sorted(both.bodies) == [b"c", b"p"]
    assert one.bodies == [b"p"]


async def test_consumers_of_one_queue_share_its_messages(bench: Bench) -> None:
    """Two workers of a subgraph do not both get a message."""
    first, second = Recorder(), Recorder()
    queue = bench.queue()
    await bench.broker.consume(queue, [CANCELED], first)
    await bench.broker.consume(queue, [CANCELED], second)
    await bench.broker.publish([message(body=str(n).encode()) for n in range(40)])
    await eventually(lambda: len(first.got) + len(second.got) == 40)
    assert sorted(first.bodies + second.bodies) == sorted(str(n).encode() for n in range(40))


async def test_a_type_without_a_queue_fails_and_the_others_do_not(bench: Bench) -> None:
    """PublishFailed names the message that nobody would get; what was sent with it arrives."""
    got = Recorder()
    await bench.broker.consume(bench.queue(), [CANCELED], got)
    good, lost = message(CANCELED, b"good"), message(PAID, b"lost")
    with pytest.raises(PublishFailed) as failure:
        await bench.broker.publish([good, lost])
    assert set(failure.value.failed) == {lost.id}
    assert not failure.value.down
    await eventually(lambda: got.bodies == [b"good"])


async def test_a_refused_message_comes_again_with_its_attempt(bench: Bench) -> None:
    """Two refusals, then success: three deliveries, counted."""
    got = Recorder({b"x": 2})
    await bench.broker.consume(bench.queue(), [CANCELED], got)
    await bench.broker.publish([message(body=b"x")])
    await eventually(lambda: len(got.got) == 3)
    assert [each.attempt for each in got.got] == [1, 2, 3]


async def test_a_poison_message_is_given_up_and_holds_up_nobody(bench: Bench) -> None:
    """It is delivered once and DELIVERY_LIMIT times again; those behind it arrive meanwhile."""
    got = Recorder({b"poison": 1000})
    await bench.broker.consume(bench.queue(), [CANCELED], got, prefetch=2)
    poison = asyncio.create_task(bench.broker.publish([message(body=b"poison")]))
    await bench.broker.publish([message(body=str(n).encode()) for n in range(20)])
    await eventually(lambda: got.bodies.count(b"poison") == DELIVERY_LIMIT + 1)
    await eventually(lambda: len(got.got) == DELIVERY_LIMIT + 1 + 20)
    if bench.kind == "memory":
        with pytest.raises(PublishFailed, match="refused it 11 times"):
            await poison
    else:
        await poison


async def test_a_slow_queue_does_not_delay_another(bench: Bench) -> None:
    """While one queue's handlers hang, a message of another type is published, handled and confirmed."""
    release = asyncio.Event()

    async def hang(_: Message) -> None:
        await release.wait()

    got = Recorder()
    await bench.broker.consume(bench.queue(), [CANCELED], hang)
    await bench.broker.consume(bench.queue(), [PAID], got)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bench.broker.publish([message(CANCELED) for _ in range(50)]))
        await asyncio.wait_for(bench.broker.publish([message(PAID, b"p")]), 5)
        await eventually(lambda: got.bodies == [b"p"])
        release.set()


async def test_a_queue_gathers_while_nobody_consumes_it(bench: Bench) -> None:
    """After a cancel messages wait for the next consumer."""
    queue, nobody, got = bench.queue(), Recorder(), Recorder()
    subscription = await bench.broker.consume(queue, [CANCELED], nobody)
    await subscription.cancel()
    waiting = asyncio.create_task(bench.broker.publish([message(body=b"later")]))
    await bench.broker.consume(queue, [CANCELED], got)
    await eventually(lambda: got.bodies == [b"later"])
    await waiting
    assert not nobody.got


async def test_cancel_lets_running_handlers_end(bench: Bench) -> None:
    """What has begun is finished and acknowledged, so that it does not come again."""
    begun, release, ended = asyncio.Event(), asyncio.Event(), []

    async def slow(each: Message) -> None:
        begun.set()
        await release.wait()
        ended.append(each)

    queue, again = bench.queue(), Recorder()
    subscription = await bench.broker.consume(queue, [CANCELED], slow)
    publishing = asyncio.create_task(bench.broker.publish([message()]))
    await begun.wait()
    cancelling = asyncio.create_task(subscription.cancel())
    release.set()
    await cancelling
    await publishing
    assert len(ended) == 1
    await bench.broker.consume(queue, [CANCELED], again)
    await bench.broker.publish([message(body=b"next")])
    await eventually(lambda: again.got)
    assert again.bodies == [b"next"]


async def test_no_more_than_prefetch_at_once(bench: Bench) -> None:
    """``prefetch`` bounds the handlers that run side by side."""
    running = most = done = 0
    side_by_side = asyncio.Event()

    async def count(_: Message) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        if running > 1:
            side_by_side.set()
        await side_by_side.wait()
        await asyncio.sleep(0)
        running -= 1
        done += 1

    await bench.broker.consume(bench.queue(), [CANCELED], count, prefetch=3)
    await bench.broker.publish([message() for _ in range(30)])
    await eventually(lambda: done == 30)
    assert 1 < most <= 3


async def test_a_closed_broker_publishes_nothing(bench: Bench) -> None:
    """It says so, as it would of a broker that is down."""
    await bench.broker.consume(bench.queue(), [CANCELED], Recorder())
    await bench.broker.close()
    with pytest.raises(PublishFailed) as failure:
        await bench.broker.publish([message()])
    assert failure.value.down


async def test_memory_confirms_only_what_is_handled() -> None:
    """In memory nothing is stored, so the confirmation waits for every bound queue's handler."""
    broker, release = MemoryBroker(), asyncio.Event()

    async def slow(_: Message) -> None:
        await release.wait()

    await broker.consume("a", [CANCELED], Recorder())
    await broker.consume("b", [CANCELED], slow)
    publishing = asyncio.create_task(broker.publish([message()]))
    done, _ = await asyncio.wait([publishing], timeout=0.1)
    assert not done
    release.set()
    await asyncio.wait_for(publishing, 5)
    await broker.close()


async def test_memory_closing_fails_what_is_not_confirmed() -> None:
    """A publisher is not left waiting for a broker that has gone."""
    broker = MemoryBroker(delay=lambda _: 1000)
    await broker.consume("a", [CANCELED], Recorder({b"[]": 1}))
    publishing = asyncio.create_task(broker.publish([message()]))
    await asyncio.sleep(0)
    await broker.close()
    with pytest.raises(PublishFailed) as failure:
        await publishing
    assert failure.value.down


async def test_memory_unrouted_types_need_no_queue() -> None:
    """A type listed as consumed by nobody is confirmed; one that is not listed fails."""
    broker = MemoryBroker(unrouted=[PAID], delay=quick)
    await broker.publish([message(PAID)])
    with pytest.raises(PublishFailed):
        await broker.publish([message(CANCELED)])


def test_redelivery_waits_longer_each_time_up_to_five_seconds() -> None:
    """From a tenth of a second on, doubling."""
    delays = [redelivery_delay(attempt) for attempt in range(1, 11)]
    assert delays[:3] == [0.1, 0.2, 0.4]
    assert delays == sorted(delays)
    assert delays[-1] == 5.0
