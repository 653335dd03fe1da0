"""Refunds: within the capture, once each, whatever is lost on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from messaging.events.payments import PaymentCanceled
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.payments.models import idempotency, refunds
from tests.subgraphs.payments.conftest import World, request
from tests.subgraphs.payments.test_buyer_pays import issue

REFUND = """
mutation($payment: ID!, $amount: Decimal, $reason: String!, $account: RefundAccountInput, $key: String!) {
  refundCreate(paymentId: $payment, amount: $amount, reason: $reason, refundAccount: $account, idempotencyKey: $key) {
    refund { id status amount { amount } payment { id status refundedAmount { amount } } }
    userErrors { code field }
  }
}"""
ACCOUNT = {"bankCode": "88", "accountNumber": "110-123-456789", "holderName": "홍길동"}


async def paid(world: World, buyer: str) -> str:
    """The global id of a captured payment of 12,000 won."""
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.work()
    return global_id("Payment", (await world.payment_of(wanted.order_id))["id"])


async def refund(world: World, payment: str, /, **more: Any) -> dict[str, Any]:
    given = {"payment": payment, "reason": "damaged", "key": new_ulid()} | more
    return await world.do(REFUND, new_ulid(), scopes=["refunds:write"], **given)


async def test_parts_are_given_back_until_all_is(world: World, buyer: str) -> None:
    payment = await paid(world, buyer)
    first = await refund(world, payment, amount="5000")
    assert first["userErrors"] == []
    assert first["refund"]["status"] == "COMPLETED"
    assert first["refund"]["payment"]["status"] == "PARTIAL_CANCELED"
    rest = await refund(world, payment)
    assert rest["refund"]["amount"] == {"amount": "7000"}
    assert rest["refund"]["payment"]["status"] == "CANCELED"
    (canceled,) = await world.told(PaymentCanceled)
    assert canceled.refunded == 12_000
    assert await world.audit() == []


async def test_the_same_key_refunds_once(world: World, buyer: str) -> None:
    payment = await paid(world, buyer)
    who = new_ulid()
    given = {"payment": payment, "amount": "5000", "reason": "damaged", "key": "k"}
    first = await world.do(REFUND, who, scopes=["refunds:write"], **given)
    again = await world.do(REFUND, who, scopes=["refunds:write"], **given)
    assert first["refund"]["id"] == again["refund"]["id"]
    conflict = await world.do(REFUND, who, scopes=["refunds:write"], **(given | {"amount": "5001"}))
    assert conflict["userErrors"][0]["code"] == "IDEMPOTENCY_CONFLICT"
    assert len(await world.rows(refunds)) == 1


async def test_refunds_that_race_stay_within_the_capture(world: World, buyer: str) -> None:
    payment = await paid(world, buyer)
    answers = await asyncio.gather(*(refund(world, payment, amount="5000") for _ in range(4)))
    codes = [error["code"] for answer in answers for error in answer["userErrors"]]
    assert codes == ["REFUND_EXCEEDS_BALANCE"] * 2
    await world.work()
    assert [row["status"] for row in await world.rows(refunds)] == ["COMPLETED"] * 2
    assert await world.audit() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": "12001"}, "REFUND_EXCEEDS_BALANCE"),
        ({"amount": "0"}, "INVALID"),
        ({"amount": "-1"}, "INVALID"),
        ({"amount": "0.5"}, "INVALID"),
        ({"amount": "1e30"}, "INVALID"),
        ({"reason": " "}, "INVALID"),
        ({"reason": "r" * 201}, "INVALID"),
        ({"account": ACCOUNT | {"bankCode": "00"}}, "INVALID"),
        ({"account": ACCOUNT | {"accountNumber": "abc"}}, "INVALID"),
        ({"account": ACCOUNT | {"holderName": ""}}, "INVALID"),
        ({"payment": global_id("Payment", "01ARZ3NDEKTSV4RRFFQ69G5FAV")}, "NOT_FOUND"),
        ({"payment": "nonsense"}, "NOT_FOUND"),
        ({"key": "k" * 256}, "INVALID"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_input_refunds_nothing(world: World, buyer: str, changes: dict[str, Any], code: str) -> None:
    payment = await paid(world, buyer)
    keys = await world.rows(idempotency)
    payload = await refund(world, payment, **changes)
    assert (payload["refund"], payload["userErrors"][0]["code"]) == (None, code)
    assert await world.rows(refunds) == []
    assert await world.rows(idempotency) == keys


async def test_refunding_needs_the_scope(world: World, buyer: str) -> None:
    answer = await world.ask(REFUND, buyer, payment=await paid(world, buyer), reason="mine", key="k")
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert await world.rows(refunds) == []


async def test_an_unpaid_payment_has_nothing_to_refund(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    payment = global_id("Payment", (await world.payment_of(wanted.order_id))["id"])
    assert (await refund(world, payment))["userErrors"][0]["code"] == "NOT_ALLOWED"


async def test_a_deposit_is_refunded_to_an_account(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    await issue(world, buyer, wanted.order_id)
    await world.at_provider("deposits", orderId=wanted.order_number)
    await world.service.hint(wanted.order_number, None, is_deposit=False)
    await world.work()
    payment = global_id("Payment", (await world.payment_of(wanted.order_id))["id"])
    assert (await refund(world, payment))["userErrors"][0]["code"] == "REFUND_ACCOUNT_REQUIRED"
    done = await refund(world, payment, account=ACCOUNT)
    assert done["refund"]["status"] == "COMPLETED"
    assert "456789" not in str(await world.rows(refunds))
    assert await world.audit() == []


async def test_a_refund_whose_answer_is_lost_is_found_and_not_made_again(world: World, buyer: str) -> None:
    payment = await paid(world, buyer)
    await world.fault("timeout_after", "/cancel")
    await world.fault("error", "GET /v1/payments/", code="PROVIDER_ERROR")
    pending = await refund(world, payment, amount="5000")
    assert pending["refund"]["status"] == "PENDING"
    assert await world.audit() == [], "what is under way is not a difference"
    await world.work(later=2)
    assert [row["status"] for row in await world.rows(refunds)] == ["COMPLETED"]
    assert await world.audit() == []


async def test_a_refund_the_provider_cannot_do_now_is_tried_until_it_can(world: World, buyer: str) -> None:
    payment = await paid(world, buyer)
    await world.fault("error", "/cancel", code="PROVIDER_ERROR", times=6)
    await refund(world, payment)
    for _ in range(7):
        await world.work(later=31)
    assert [row["status"] for row in await world.rows(refunds)] == ["COMPLETED"]
    assert await world.audit() == []


async def test_a_refused_refund_has_failed_and_leaves_the_balance(world: World, buyer: str) -> None:
    payment = await paid(world, buyer)
    await world.fault("error", "/cancel", code="EXCEED_MAX_REFUND_DUE")
    failed = await refund(world, payment, amount="5000")
    assert (failed["refund"]["status"], failed["userErrors"][0]["code"]) == ("FAILED", "NOT_ALLOWED")
    assert (await refund(world, payment))["refund"]["status"] == "COMPLETED"
    assert await world.audit() == []
