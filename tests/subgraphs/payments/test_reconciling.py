"""Our books against the provider's transactions: each kind of difference is named, and resolved by asking alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from subgraphs.kit.ids import new_ulid
from subgraphs.kit.workers import Worker, running
from subgraphs.payments import reconciling
from subgraphs.payments.models import ledger, payments
from subgraphs.payments.reconciling import DifferenceKind as Kind
from tests.subgraphs.payments.conftest import World, request


async def paid(world: World, buyer: str) -> str:
    """The order number of a captured payment of 12,000 won."""
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.work()
    return wanted.order_number


async def forget(world: World, number: str, **values: object) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(update(payments).where(payments.c.provider_order_id == number).values(**values))


async def found(world: World) -> dict[str, tuple[Kind, int, int]]:
    return {
        each.order_number: (each.kind, each.here, each.there) for each in await world.service.reconciler.reconcile()
    }


async def test_books_that_agree_have_no_difference(world: World, buyer: str) -> None:
    await paid(world, buyer)
    assert await found(world) == {}
    assert (await world.rows(payments))[0]["attend_at"] is None, "nobody is asked for nothing"


async def test_each_kind_of_difference_is_named(world: World, buyer: str) -> None:
    """Money here only, there only, on both sides but not the same, and for an order that is not ours."""
    missing_there, missing_here, differs = [await paid(world, buyer) for _ in range(3)]
    world.simulator.store._db.execute("DELETE FROM journal WHERE body LIKE ?", (f"%{missing_there}%",))
    await forget(world, missing_here, status="ABORTED", captured=0)
    await forget(world, differs, captured=11_000)
    window = await world.at_provider("payment-window", orderId="stranger-1", amount=5_000)
    await world.provider.confirm(window["paymentKey"], "stranger-1", 5_000, key=new_ulid())
    assert await found(world) == {
        missing_there: (Kind.MISSING_THERE, 12_000, 0),
        missing_here: (Kind.MISSING_HERE, 0, 12_000),
        differs: (Kind.AMOUNT_DIFFERS, 11_000, 12_000),
        "stranger-1": (Kind.UNKNOWN_HERE, 0, 5_000),
    }


async def test_a_capture_that_was_not_noted_is_found_by_asking(world: World, buyer: str) -> None:
    """The buyer was told that nothing was taken: it is noticed and given back, and nothing is charged again."""
    number = await paid(world, buyer)
    await forget(world, number, status="ABORTED", captured=0, captures=0)
    async with world.database.transaction() as tx:
        await tx.execute(delete(ledger))
    assert (await found(world))[number][0] is Kind.MISSING_HERE
    await world.work(later=1)
    await world.work(later=60)
    assert len(world.charges_at_provider()) == 1
    (row,) = await world.rows(payments)
    assert (row["captured"], row["refunded"]) == (12_000, 12_000)
    assert await found(world) == {}


async def test_what_is_under_way_or_old_is_no_difference(world: World, buyer: str) -> None:
    """An outcome that is open, and an old payment of which only a refund falls into the time looked at."""
    open_, old = [await paid(world, buyer) for _ in range(2)]
    await forget(world, open_, status="UNKNOWN", captured=0)
    await forget(world, old, created_at=world.clock.now() - timedelta(days=30), captured=1)
    assert await found(world) == {}


@pytest.mark.parametrize("count", [501])
async def test_more_differences_than_one_statement_takes(world: World, buyer: str, count: int) -> None:
    """All are looked into."""
    number = await paid(world, buyer)
    await forget(world, number, captured=1)
    await world.database.run(
        lambda tx: world.service.reconciler._look_into(
            tx, [f"x{n}" for n in range(count)] + [number], world.clock.now()
        )
    )
    assert (await world.payment_of((await world.rows(payments))[0]["payable_id"]))["attend_at"] is not None


async def test_a_process_that_lives_for_less_than_the_pause_reconciles_too(
    world: World, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that is deployed anew each morning the books would never be compared."""
    number = await paid(world, buyer)
    await forget(world, number, status="ABORTED", captured=0, captures=0)
    monkeypatch.setattr(reconciling, "FIRST_AFTER_SECONDS", 0.0)
    asked = asyncio.Event()
    monkeypatch.setattr(world.service.reconciler, "_ask", asked.set)
    async with running([Worker("reconciler", world.service.reconciler.run)]), asyncio.timeout(5):
        await asked.wait()
    assert (await world.rows(payments))[0]["attend_at"] is not None
