"""Refunds of returns: each once, within the capture, told to orders; a deposit waits for its payer's account."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from messaging.events.orders import PaymentRequested, RefundRequested
from messaging.events.payments import RefundCompleted, RefundRejected
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.payments.models import refunds
from tests.subgraphs.payments.conftest import World, request
from tests.subgraphs.payments.test_buyer_pays import issue
from tests.subgraphs.payments.test_refunds import ACCOUNT

SET_ACCOUNT = """mutation($id: ID!, $account: RefundAccountInput!) {
  refundAccountSet(id: $id, refundAccount: $account) { refund { status needsAccount } userErrors { code field } } }"""


async def paid(world: World, buyer: str) -> PaymentRequested:
    """An order of 12,000 won, captured from a card."""
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.work()
    return wanted


def returned(order_id: str, amount: int = 5_000, **more: Any) -> RefundRequested:
    given: dict[str, Any] = {"return_id": new_ulid(), "currency": "KRW", "reason": "반품 D-1"}
    return RefundRequested(order_id=order_id, amount=amount, **(given | more))


async def test_a_return_is_refunded_and_told(world: World, buyer: str) -> None:
    order = await paid(world, buyer)
    wanted = returned(order.order_id)
    await world.tell(wanted)
    await world.work()
    (told,) = await world.told(RefundCompleted)
    assert (told.return_id, told.amount, told.currency) == (wanted.return_id, 5_000, "KRW")
    assert (await world.shown(order.order_id, buyer))["status"] == "PARTIAL_CANCELED"
    assert await world.audit() == []


async def test_the_same_return_is_refunded_once_and_answered_each_time(world: World, buyer: str) -> None:
    """Asked twice in a message, while it is under way, and after it."""
    wanted = returned((await paid(world, buyer)).order_id)
    await world.tell(wanted, wanted)
    await world.tell(wanted)
    await world.work()
    await world.tell(wanted)
    await world.work()
    assert len(await world.told(RefundCompleted)) == 2
    assert [row["amount"] for row in await world.rows(refunds)] == [5_000]
    assert await world.audit() == []


async def test_returns_that_race_stay_within_the_capture(world: World, buyer: str) -> None:
    """Of three at once that would give back more than was paid, the last is refused."""
    order = await paid(world, buyer)
    await asyncio.gather(*(world.tell(returned(order.order_id)) for _ in range(3)))
    await world.work()
    assert len(await world.told(RefundCompleted)) == 2
    (refused,) = await world.told(RefundRejected)
    assert refused.code == "REFUND_EXCEEDS_BALANCE"
    assert await world.audit() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 12_001}, "REFUND_EXCEEDS_BALANCE"),
        ({"amount": 0}, "REFUND_EXCEEDS_BALANCE"),
        ({"currency": "USD"}, "NOT_ALLOWED"),
        ({"order_id": new_ulid()}, "NOT_ALLOWED"),
    ],
)
async def test_what_cannot_be_given_back_is_refused(
    world: World, buyer: str, changes: dict[str, Any], code: str
) -> None:
    await world.tell(returned(**({"order_id": (await paid(world, buyer)).order_id} | changes)))
    (refused,) = await world.told(RefundRejected)
    assert refused.code == code
    assert await world.rows(refunds) == []


async def test_a_lost_answer_of_the_provider_gives_the_money_back_once(world: World, buyer: str) -> None:
    order = await paid(world, buyer)
    await world.fault("timeout_after", "/v1/payments/")
    await world.tell(returned(order.order_id))
    await world.work()
    await world.work(later=60)
    assert len(await world.told(RefundCompleted)) == 1
    assert await world.audit() == []


async def test_a_deposit_waits_for_its_payers_account(world: World, buyer: str) -> None:
    """A stranger cannot name one, the payer names one once; other refunds of the payment do not wait with it."""
    wanted = request(buyer, None)
    await world.tell(wanted)
    await issue(world, buyer, wanted.order_id)
    await world.at_provider("deposits", orderId=wanted.order_number)
    await world.service.hint(wanted.order_number, None, is_deposit=False)
    await world.work()
    await world.tell(returned(wanted.order_id))
    await world.work(later=60)
    (row,) = await world.rows(refunds)
    assert (row["status"], row["attend_at"]) == ("PENDING", None)
    id = global_id("Refund", row["id"])
    stranger = await world.do(SET_ACCOUNT, new_ulid(), id=id, account=ACCOUNT)
    assert stranger["userErrors"] == [{"code": "NOT_FOUND", "field": ["id"]}]
    wrong = await world.do(SET_ACCOUNT, buyer, id=id, account=ACCOUNT | {"accountNumber": "x"})
    assert wrong["userErrors"][0]["code"] == "INVALID"
    named = await world.do(SET_ACCOUNT, buyer, id=id, account=ACCOUNT)
    assert named == {"refund": {"status": "PENDING", "needsAccount": False}, "userErrors": []}
    again = await world.do(SET_ACCOUNT, buyer, id=id, account=ACCOUNT)
    assert again["userErrors"] == [{"code": "NOT_ALLOWED", "field": ["id"]}]
    await world.work()
    assert len(await world.told(RefundCompleted)) == 1
    assert await world.audit() == []


async def test_what_was_refused_is_refunded_when_asked_for_less(world: World, buyer: str) -> None:
    """An operator has found what is left, and that return's refund is made once, whatever is asked after it."""
    order = await paid(world, buyer)
    wanted = returned(order.order_id, 12_001)
    await world.tell(wanted)
    less = msgspec.structs.replace(wanted, amount=4_000)
    await world.tell(less)
    await world.tell(wanted)
    await world.work()
    assert [each.amount for each in await world.told(RefundCompleted)] == [4_000]
    assert [each.amount for each in await world.told(RefundRejected)] == [12_001]
    assert [row["amount"] for row in await world.rows(refunds)] == [4_000]
    assert await world.audit() == []
