"""Each invariant, broken on purpose, is reported; a healthy shop reports nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, update

from subgraphs.kit.ids import new_ulid
from subgraphs.payments.effects import BUYERS, PROVIDER
from subgraphs.payments.models import ledger, payments, refunds
from tests.subgraphs.payments.conftest import World, request


def entries(payment_id: str, clock: Any, *, credit: int = 12_000) -> list[dict[str, Any]]:
    """A second capture of a payment, in the ledger."""
    about = {"booking": "CAPTURE", "reference": f"{payment_id}:2", "payment_id": payment_id, "currency": "KRW"}
    sides = ((PROVIDER, 12_000, 0), (BUYERS, 0, credit))
    return [
        about | {"id": new_ulid(), "account": account, "debit": debit, "credit": credited, "booked_at": clock.now()}
        for account, debit, credited in sides
    ]


@pytest.fixture
async def payment_id(world: World, buyer: str) -> str:
    """A captured payment."""
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.work()
    assert await world.audit() == []
    id: str = (await world.payment_of(wanted.order_id))["id"]
    return id


async def broken(world: World, *statements: Any) -> set[str]:
    """The invariants reported after these statements."""
    async with world.database.transaction() as tx:
        for statement in statements:
            await tx.execute(statement)
    return {violation.invariant for violation in await world.audit()}


async def test_a_payment_paid_in_part_is_reported(world: World, payment_id: str) -> None:
    change = update(payments).where(payments.c.id == payment_id).values(captured=11_999)
    assert "payments.paid_by_one_capture" in await broken(world, change)


async def test_a_capture_without_its_status_is_reported(world: World, payment_id: str) -> None:
    change = update(payments).where(payments.c.id == payment_id).values(status="ABORTED")
    assert "payments.paid_by_one_capture" in await broken(world, change)


async def test_a_second_capture_is_reported(world: World, payment_id: str) -> None:
    found = await broken(world, insert(ledger).values(entries(payment_id, world.clock)))
    assert {"payments.no_second_capture", "payments.ledger_equals_payments"} <= found


async def test_a_ledger_out_of_balance_is_reported(world: World, payment_id: str) -> None:
    found = await broken(world, insert(ledger).values(entries(payment_id, world.clock, credit=11_000)))
    assert "payments.ledger_balanced" in found


async def test_refunds_beyond_the_capture_are_reported(world: World, payment_id: str) -> None:
    row = {
        "id": new_ulid(),
        "payment_id": payment_id,
        "amount": 12_001,
        "currency": "KRW",
        "reason": "x",
        "status": "PENDING",
        "created_at": world.clock.now(),
    }
    assert "payments.refunds_within_capture" in await broken(world, insert(refunds).values(row))


async def test_a_refund_that_is_not_counted_is_reported(world: World, payment_id: str) -> None:
    change = update(payments).where(payments.c.id == payment_id).values(refunded=1)
    assert "payments.refunds_within_capture" in await broken(world, change)


async def test_a_payment_nobody_attends_to_is_reported(world: World, payment_id: str) -> None:
    change = update(payments).where(payments.c.id == payment_id)
    found = await broken(world, change.values(status="UNKNOWN", captured=0, attend_at=None))
    assert "payments.no_stuck_payment" in found


async def test_a_charge_only_the_provider_knows_is_reported(world: World, buyer: str) -> None:
    window = await world.at_provider("payment-window", orderId="stranger-1", amount=5_000)
    await world.provider.confirm(window["paymentKey"], "stranger-1", 5_000, key=new_ulid())
    (violation,) = await world.audit()
    assert violation.invariant == "payments.equal_to_provider"
    assert "stranger-1: 0 here, 5000 at the provider" in violation.detail


async def test_a_charge_the_provider_does_not_know_is_reported(world: World, payment_id: str) -> None:
    world.simulator.store._db.execute("DELETE FROM journal")
    assert {each.invariant for each in await world.audit()} == {"payments.equal_to_provider"}


async def test_a_cancellation_at_the_provider_alone_is_reported(world: World, payment_id: str) -> None:
    (row,) = await world.rows(payments)
    await world.provider.cancel(row["provider_key"], "by hand", 1_000, None, key=new_ulid())
    assert {each.invariant for each in await world.audit()} == {"payments.equal_to_provider"}
