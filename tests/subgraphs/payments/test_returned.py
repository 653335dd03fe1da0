"""Refunds of returns: each once, within the capture, told to orders; a deposit waits for its payer's account."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from messaging.events.orders import PaymentRequested, RefundRequested
from messaging.events.payments import RefundCompleted, RefundRejected
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.payments.models import refunds
from subgraphs.payments.toss import Toss
from subgraphs.payments.transport import NoAnswer
from tests.subgraphs.payments.conftest import World, request
from tests.subgraphs.payments.test_buyer_pays import issue
from tests.subgraphs.payments.test_refunds import ACCOUNT, refund

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


async def test_refunds_of_a_payment_are_made_one_at_a_time(
    world: World, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when an older one that waited for its account may go while a younger one is under way: what the provider
    has given back could be either's, and an answer that is lost would be taken for the other's."""
    wanted = request(buyer, None)
    await world.tell(wanted)
    await issue(world, buyer, wanted.order_id)
    await world.at_provider("deposits", orderId=wanted.order_number)
    await world.service.hint(wanted.order_number, None, is_deposit=False)
    await world.work()
    await world.tell(returned(wanted.order_id))
    (waits,) = await world.rows(refunds)
    cancel = Toss.cancel

    async def lost(self: Toss, payment: str, reason: str, amount: int, *more: Any, **named: Any) -> Any:
        if amount != 4_000:
            return await cancel(self, payment, reason, amount, *more, **named)
        monkeypatch.setattr(Toss, "cancel", cancel)
        await world.do(SET_ACCOUNT, buyer, id=global_id("Refund", waits["id"]), account=ACCOUNT)
        await world.service.refunder.drain()
        raise NoAnswer("the call did not arrive")

    monkeypatch.setattr(Toss, "cancel", lost)
    payment = global_id("Payment", (await world.payment_of(wanted.order_id))["id"])
    await refund(world, payment, amount="4000", account=ACCOUNT)
    await world.work(later=60)
    assert [row["status"] for row in await world.rows(refunds)] == ["COMPLETED", "COMPLETED"]
    at_provider = await world.provider.payment_of_order(wanted.order_number)
    assert at_provider is not None
    assert at_provider.canceled_amount == 9_000
    assert await world.audit() == []


async def test_of_two_refunds_of_a_payment_the_older_is_begun(world: World, buyer: str) -> None:
    """Whatever refunds of other payments were made before."""
    await world.tell(returned((await paid(world, buyer)).order_id))
    await world.work()
    order = await paid(world, buyer)
    for amount in (1_000, 2_000):
        await world.tell(returned(order.order_id, amount))
    (first,) = await world.database.run(world.service.refunder._claim)
    assert first.refund["amount"] == 1_000
    assert await world.database.run(world.service.refunder._claim) == []
    await world.service.refunder.carry_out(first)
    (second,) = await world.database.run(world.service.refunder._claim)
    assert second.refund["amount"] == 2_000


async def test_one_refund_that_cannot_be_made_holds_up_no_other(world: World, buyer: str) -> None:
    """A key was lost, say: that refund is tried again, the others of its batch are made."""
    orders = [await paid(world, buyer) for _ in range(3)]
    await world.tell(*(returned(order.order_id) for order in orders))
    broken = update(refunds).where(refunds.c.id == (await world.rows(refunds))[0]["id"])
    await world.database.run(lambda tx: tx.execute(broken.values(account_sealed="nonsense")))
    await world.work()
    assert sorted(row["status"] for row in await world.rows(refunds)) == ["COMPLETED", "COMPLETED", "PENDING"]


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
