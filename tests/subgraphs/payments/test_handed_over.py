"""A payment for a saved card goes from its request straight to the worker of the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from messaging.envelope import Event
from messaging.events.orders import PaymentRequested
from messaging.events.payments import PaymentCaptured
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.subgraph import utc_now
from subgraphs.payments.consumers import handlers
from subgraphs.payments.domain import PaymentStatus
from subgraphs.payments.models import attempts
from tests.subgraphs.payments.conftest import World, request
from tests.support.waiting import eventually


@asynccontextmanager
async def charging(world: World) -> AsyncIterator[None]:
    """The worker runs."""
    task = asyncio.create_task(world.service.charger.run())
    try:
        await eventually(lambda: world.service.charger.room > 0)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(world: World, *wanted: PaymentRequested) -> Callable[[], None]:
    """Hand requests to their handler; what is to be called after the commit."""
    events = [
        Event(id=new_ulid(), type=each.type, source="/test", subject=each.order_id, time=utc_now(), data=each)
        for each in wanted
    ]
    handler = handlers(world.service, world.clock.now)[PaymentRequested]
    hook = await world.database.run(lambda tx: handler(tx, events))
    assert hook is not None
    return hook


async def test_a_request_is_charged_after_its_commit_without_being_looked_for(world: World, buyer: str) -> None:
    """The call is written down in the request's own transaction, and the charger finds nothing due."""
    wanted = request(buyer, await world.card(buyer))
    async with charging(world):
        committed = await ask(world, wanted)
        row = await world.payment_of(wanted.order_id)
        assert row["status"] == PaymentStatus.IN_PROGRESS.value
        assert row["attend_at"] > utc_now()
        assert [each["outcome"] for each in await world.rows(attempts)] == [None]
        assert world.charges_at_provider() == []
        committed()
        await _told(world, wanted)
    assert (await world.payment_of(wanted.order_id))["status"] == PaymentStatus.DONE.value
    assert len(world.charges_at_provider()) == 1
    assert await world.audit() == []


async def test_what_died_between_commit_and_charge_is_charged_once_by_the_next_worker(world: World, buyer: str) -> None:
    """The hand-over is lost with the process: the call that is written down is found when its lease has run out."""
    wanted = request(buyer, await world.card(buyer))
    async with charging(world):
        await ask(world, wanted)  # and what is to be done after the commit is never done
    await world.work()
    assert world.charges_at_provider() == []
    await world.work(later=world.service.charger._settings.lease_seconds + 1)
    assert (await world.payment_of(wanted.order_id))["status"] == PaymentStatus.DONE.value
    assert len(world.charges_at_provider()) == 1
    assert len(await world.rows(attempts)) == 1


async def test_no_more_is_handed_over_than_the_worker_takes_at_once(world: World, buyer: str) -> None:
    """The rest waits in the table, and is charged as there is room."""
    card = await world.card(buyer)
    wanted = [request(buyer, card) for _ in range(5)]
    async with charging(world):
        world.service.charger._settings.charge_concurrency = 2
        committed = await ask(world, *wanted)
        statuses = [(await world.payment_of(each.order_id))["status"] for each in wanted]
        assert statuses == [PaymentStatus.IN_PROGRESS.value] * 2 + [PaymentStatus.READY.value] * 3
        committed()
        for each in wanted:
            await _told(world, each)
    assert len(world.charges_at_provider()) == 5


async def test_nothing_is_claimed_for_a_worker_that_does_not_run(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await ask(world, wanted)
    assert (await world.payment_of(wanted.order_id))["status"] == PaymentStatus.READY.value
    assert await world.rows(attempts) == []


async def _told(world: World, wanted: PaymentRequested) -> None:
    async def captured() -> bool:
        return bool(await world.told(PaymentCaptured, wanted.order_id))

    await eventually(captured)
