"""Paying by oneself: in the provider's window, or by a deposit into a virtual account."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest

from messaging.events.orders import PaymentCancelRequested
from messaging.events.payments import PaymentAwaitingDeposit, PaymentCanceled, PaymentCaptured, PaymentFailed
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.payments.models import idempotency, ledger
from subgraphs.payments.transport import AsgiSender
from tests.subgraphs.payments.conftest import World, request

CONFIRM = """
mutation($paymentKey: String!, $number: String!, $amount: Decimal!, $key: String!) {
  paymentConfirm(paymentKey: $paymentKey, orderNumber: $number, amount: $amount, idempotencyKey: $key) {
    payment { id status method methodSummary attempts { operation outcome providerCode } failure { code retryable } }
    userErrors { code field }
  }
}"""
ISSUE = """
mutation($payable: ID!, $bank: String!, $holder: String!, $key: String!) {
  virtualAccountIssue(payableId: $payable, bankCode: $bank, holderName: $holder, idempotencyKey: $key) {
    payment { id status virtualAccount { bank { code name } accountNumber holderName dueAt depositedAt } }
    userErrors { code field }
  }
}"""


async def confirm(world: World, user: str, wanted: Any, payment_key: str, **more: Any) -> dict[str, Any]:
    given = {"paymentKey": payment_key, "number": wanted.order_number, "amount": "12000", "key": new_ulid()} | more
    return await world.do(CONFIRM, user, **given)


async def issue(world: World, user: str, order_id: str, **more: Any) -> dict[str, Any]:
    given = {"payable": global_id("Order", order_id), "bank": "88", "holder": "홍길동", "key": new_ulid()} | more
    return await world.do(ISSUE, user, **given)


async def open_window(world: World, wanted: Any, **more: Any) -> str:
    window = await world.at_provider("payment-window", orderId=wanted.order_number, amount=12_000, **more)
    key: str = window["paymentKey"]
    return key


async def webhook(world: World, body: bytes) -> int:
    headers = {"content-type": "application/json"}
    return (await AsgiSender(world.subgraph.app)("POST", "/webhooks/toss", headers, body)).status


async def deliver_webhooks(world: World) -> None:
    async def deliver(body: bytes, headers: Mapping[str, str]) -> int:
        return await webhook(world, body)

    world.simulator.deliver_to(deliver)
    await world.simulator.deliver_due()


async def test_a_window_payment_is_confirmed_and_captured(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    payload = await confirm(world, buyer, wanted, await open_window(world, wanted))
    assert payload["userErrors"] == []
    assert payload["payment"]["status"] == "DONE"
    assert len(await world.told(PaymentCaptured)) == 1
    assert await world.audit() == []


async def test_the_same_key_gives_the_same_answer_and_confirms_once(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    window = await open_window(world, wanted)
    answers = await asyncio.gather(*(confirm(world, buyer, wanted, window, key="same") for _ in range(3)))
    assert [answer["payment"]["status"] for answer in answers] == ["DONE"] * 3
    assert all(len(answer["payment"]["attempts"]) == 1 for answer in answers)
    conflict = await confirm(world, buyer, wanted, window, key="same", amount="12001")
    assert conflict["userErrors"][0]["code"] == "IDEMPOTENCY_CONFLICT"
    again = await confirm(world, buyer, wanted, window, key="another")
    assert again["userErrors"][0]["code"] == "ALREADY_PROCESSED"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": "11999"}, "AMOUNT_MISMATCH"),
        ({"amount": "-12000"}, "AMOUNT_MISMATCH"),
        ({"amount": "12000.5"}, "INVALID"),
        ({"amount": "1e400"}, "INVALID"),
        ({"number": "D-UNKNOWN"}, "NOT_FOUND"),
        ({"number": "x" * 500}, "NOT_FOUND"),
        ({"paymentKey": ""}, "INVALID"),
        ({"paymentKey": "k" * 201}, "INVALID"),
        ({"paymentKey": "a\u0000b"}, "INVALID"),
        ({"key": ""}, "INVALID"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_input_is_refused_and_nothing_is_written(
    world: World, buyer: str, changes: dict[str, Any], code: str
) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    before = await world.payment_of(wanted.order_id)
    keys = await world.rows(idempotency)
    payload = await confirm(world, buyer, wanted, await open_window(world, wanted), **changes)
    assert (payload["payment"], payload["userErrors"][0]["code"]) == (None, code)
    assert await world.payment_of(wanted.order_id) == before
    assert await world.rows(idempotency) == keys


async def test_anothers_order_cannot_be_paid(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    window = await open_window(world, wanted)
    assert (await confirm(world, new_ulid(), wanted, window))["userErrors"][0]["code"] == "NOT_FOUND"
    assert (await issue(world, new_ulid(), wanted.order_id))["userErrors"][0]["code"] == "NOT_FOUND"


async def test_a_declined_window_payment_may_be_tried_again(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    declined = await confirm(world, buyer, wanted, await open_window(world, wanted, cardNumber="4000000000000002"))
    assert declined["userErrors"][0]["code"] == "PAYMENT_DECLINED"
    assert declined["payment"]["status"] == "READY"
    assert await world.told(PaymentFailed) == []
    paid = await confirm(world, buyer, wanted, await open_window(world, wanted))
    assert (paid["payment"]["status"], paid["userErrors"]) == ("DONE", [])
    assert await world.audit() == []


async def test_a_confirmation_whose_answer_is_lost_is_resolved_later(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    window = await open_window(world, wanted)
    await world.fault("timeout_after", "/v1/payments/confirm")
    await world.fault("error", "GET /v1/payments/orders/", code="PROVIDER_ERROR")
    pending = await confirm(world, buyer, wanted, window)
    assert (pending["payment"]["status"], pending["userErrors"][0]["code"]) == ("UNKNOWN", "OUTCOME_UNKNOWN")
    await world.work(later=2)
    assert (await world.shown(wanted.order_id, buyer))["status"] == "DONE"
    assert len(world.charges_at_provider()) == 1


async def test_a_virtual_account_is_issued_and_its_deposit_completes_the_payment(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    payload = await issue(world, buyer, wanted.order_id)
    assert payload["userErrors"] == []
    account = payload["payment"]["virtualAccount"]
    assert payload["payment"]["status"] == "WAITING_FOR_DEPOSIT"
    assert account["bank"] == {"code": "88", "name": "신한은행"}
    assert (await world.told(PaymentAwaitingDeposit))[-1].due_at is not None
    await world.at_provider("deposits", orderId=wanted.order_number)
    await deliver_webhooks(world)
    await world.work()
    shown = await world.shown(wanted.order_id, buyer)
    assert (shown["status"], shown["method"]) == ("DONE", "VIRTUAL_ACCOUNT")
    assert shown["virtualAccount"]["depositedAt"] is not None
    assert len(await world.told(PaymentCaptured)) == 1
    assert await world.audit() == []


async def test_webhooks_twice_late_and_out_of_order_have_one_effect(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    await issue(world, buyer, wanted.order_id)
    await world.fault("duplicate_webhook")
    await world.at_provider("deposits", orderId=wanted.order_number)
    hooks = [row["body"].encode() for row in world.simulator.store.due_webhooks()]
    for hook in [*reversed(hooks), *hooks]:
        assert await webhook(world, hook) == 200
        await world.work()
    assert len(await world.told(PaymentCaptured)) == 1
    assert await world.audit() == []


async def test_a_forged_webhook_has_no_effect(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    await issue(world, buyer, wanted.order_id)
    before = await world.payment_of(wanted.order_id)
    forged = {"orderId": wanted.order_number, "status": "DONE", "secret": "ps_guess"}
    assert await webhook(world, orjson.dumps(forged)) == 403
    assert await webhook(world, orjson.dumps(forged | {"secret": None})) == 403
    assert await world.payment_of(wanted.order_id) == before
    claimed = {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": wanted.order_number, "status": "DONE"}}
    assert await webhook(world, orjson.dumps(claimed)) == 200
    await world.work()
    assert (await world.shown(wanted.order_id, buyer))["status"] == "WAITING_FOR_DEPOSIT"


NUL = b'{"eventType":"PAYMENT_STATUS_CHANGED","data":{"orderId":"a\\u0000b","status":"DONE"}}'


@pytest.mark.parametrize(
    ("body", "status"), [(b"nonsense", 400), (b"[]", 400), (b"{}", 200), (b'{"orderId":7}', 200), (NUL, 200)]
)
async def test_a_webhook_that_means_nothing_does_nothing(world: World, body: bytes, status: int) -> None:
    assert await webhook(world, body) == status


async def test_a_deposit_no_webhook_told_of_is_found_by_looking(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    await issue(world, buyer, wanted.order_id)
    await world.fault("lost_webhook")
    await world.at_provider("deposits", orderId=wanted.order_number)
    await world.work()
    assert await world.told(PaymentCaptured) == []
    await world.work(later=90)
    assert len(await world.told(PaymentCaptured)) == 1


async def test_a_reversed_deposit_is_taken_back_and_may_come_again(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    await issue(world, buyer, wanted.order_id)
    for endpoint in ("deposits", "deposits/reversals"):
        await world.at_provider(endpoint, orderId=wanted.order_number)
        await deliver_webhooks(world)
        await world.work()
    shown = await world.shown(wanted.order_id, buyer)
    assert (shown["status"], shown["capturedAmount"]["amount"]) == ("WAITING_FOR_DEPOSIT", "0")
    assert await world.audit() == []
    await world.at_provider("deposits", orderId=wanted.order_number)
    await deliver_webhooks(world)
    await world.work()
    assert (await world.shown(wanted.order_id, buyer))["status"] == "DONE"
    assert len({row["reference"] for row in await world.rows(ledger)}) == 2
    assert await world.audit() == []


async def test_an_account_is_issued_once_though_its_answer_was_lost(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    await world.fault("timeout_after", "/v1/virtual-accounts")
    payload = await issue(world, buyer, wanted.order_id)
    assert payload["payment"]["status"] == "WAITING_FOR_DEPOSIT"
    again = await issue(world, buyer, wanted.order_id)
    assert again["userErrors"][0]["code"] == "ALREADY_PROCESSED"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"bank": "00"}, "INVALID"),
        ({"bank": "90"}, "INVALID"),
        ({"holder": "  "}, "INVALID"),
        ({"holder": "길" * 61}, "INVALID"),
        ({"payable": "nonsense"}, "NOT_FOUND"),
        ({"payable": global_id("Payment", new_ulid())}, "NOT_FOUND"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_an_account_is_not_issued_for_bad_input(
    world: World, buyer: str, changes: dict[str, Any], code: str
) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    payload = await issue(world, buyer, wanted.order_id, **changes)
    assert (payload["payment"], payload["userErrors"][0]["code"]) == (None, code)
    assert (await world.payment_of(wanted.order_id))["status"] == "READY"


async def test_an_account_that_waits_is_closed_by_a_cancellation(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    await issue(world, buyer, wanted.order_id)
    await world.tell(PaymentCancelRequested(order_id=wanted.order_id, reason="changed my mind"))
    await world.work()
    (canceled,) = await world.told(PaymentCanceled)
    assert canceled.refunded == 0
    found = await world.provider.payment_of_order(wanted.order_number)
    assert found is not None
    assert found.status == "CANCELED"
    assert await world.audit() == []


async def test_an_account_is_looked_at_when_its_time_is_over(world: World, buyer: str) -> None:
    """And not only after twice the time, as the pauses between two looks grow."""
    wanted = request(buyer, None)
    await world.tell(wanted)
    await issue(world, buyer, wanted.order_id)
    for hours in (30, 31):
        await world.work(later=hours * 3600)
    row = await world.payment_of(wanted.order_id)
    assert row["status"] == "WAITING_FOR_DEPOSIT"
    assert row["account_due_at"] < row["attend_at"] < row["account_due_at"] + timedelta(minutes=5)
