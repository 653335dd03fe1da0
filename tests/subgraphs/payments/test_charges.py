"""Step 2 of an order's saga: the card on file is charged once, whatever happens on the way."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from messaging.events.orders import PaymentCancelRequested
from messaging.events.payments import PaymentAwaitingDeposit, PaymentCanceled, PaymentCaptured, PaymentFailed
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.payments.models import attempts, ledger, methods, payments
from subgraphs.payments.transport import AsgiSender
from tests.subgraphs.payments.conftest import World, request


async def test_a_registered_card_is_charged_once_and_the_capture_is_told(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.work()
    (captured,) = await world.told(PaymentCaptured)
    assert (captured.payable_type, captured.payable_id, captured.payer_id) == ("Order", wanted.order_id, buyer)
    assert (captured.amount, captured.currency) == (12_000, "KRW")
    shown = await world.shown(wanted.order_id, buyer)
    assert shown["status"] == "DONE"
    assert shown["capturedAmount"] == {"amount": "12000"}
    assert shown["payable"] == {"__typename": "Order", "id": global_id("Order", wanted.order_id)}
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["SUCCEEDED"]
    assert shown["methodSummary"].endswith("1234")
    assert sum(row["debit"] for row in await world.rows(ledger)) == 12_000
    assert len(world.charges_at_provider()) == 1
    assert await world.audit() == []


async def test_an_answer_that_does_not_come_leaves_no_secret_behind(world: World, buyer: str) -> None:
    """The billing key is in the address of the call, and what is noted of the call is shown to people."""
    wanted = request(buyer, await world.card(buyer))
    await world.fault("timeout_before", "/v1/billing/")
    await world.tell(wanted)
    await world.work()
    (method,), (attempt,) = await world.rows(methods), await world.rows(attempts)
    secret = world.service._vault.open(method["billing_key_sealed"])
    assert attempt["outcome"] == "UNKNOWN"
    assert secret[:6] not in attempt["provider_code"]
    assert attempt["provider_code"] == "POST /v1/billing: timed out"


@pytest.mark.parametrize(("status", "asked"), [("DONE", False), ("CANCELED", True)])
async def test_the_provider_is_asked_only_for_what_is_news(world: World, buyer: str, status: str, asked: bool) -> None:
    """A webhook that says "paid" of what is known to be paid wakes nobody; another one does."""
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.work()
    data = {"orderId": wanted.order_number, "status": status}
    body = orjson.dumps({"eventType": "PAYMENT_STATUS_CHANGED", "data": data})
    headers = {"content-type": "application/json"}
    assert (await AsgiSender(world.subgraph.app)("POST", "/webhooks/toss", headers, body)).status == 200
    assert ((await world.payment_of(wanted.order_id))["attend_at"] is not None) is asked


async def test_an_order_that_costs_nothing_is_answered_and_others_are_paid(world: World, buyer: str) -> None:
    """There is nothing to charge, and it would be asked for again and again if nobody answered."""
    card = await world.card(buyer)
    free, other = request(buyer, card, 0), request(buyer, card)
    await world.tell(free)
    await world.tell(other, free)
    await world.work()
    assert {(each.payable_id, each.code) for each in await world.told(PaymentFailed)} == {(free.order_id, "INVALID")}
    assert [each.payable_id for each in await world.told(PaymentCaptured)] == [other.order_id]
    await world.tell(PaymentCancelRequested(order_id=free.order_id, reason="failed"))
    assert [each.payable_id for each in await world.told(PaymentCanceled)] == [free.order_id]
    assert await world.audit() == []


async def test_a_repeated_request_is_answered_again_and_charged_once(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.tell(wanted)
    await world.work()
    await world.tell(wanted)
    await world.work()
    assert len(await world.told(PaymentCaptured)) == 2
    assert len(world.charges_at_provider()) == 1
    assert len(await world.rows(payments)) == 1


async def test_many_requests_in_one_message_are_charged_beside_one_another(world: World, buyer: str) -> None:
    card = await world.card(buyer)
    await world.tell(*[request(buyer, card) for _ in range(20)])
    await world.work()
    assert len(await world.told(PaymentCaptured)) == 20
    assert await world.audit() == []


@pytest.mark.parametrize(
    ("card_number", "code"),
    [
        ("4000000000000002", "PAYMENT_DECLINED"),
        ("4000000000009995", "INSUFFICIENT_FUNDS"),
        ("4000000000000069", "CARD_EXPIRED"),
        ("4000000000009979", "CARD_LOST_OR_STOLEN"),
        ("4000000000009987", "LIMIT_EXCEEDED"),
    ],
)
async def test_a_declined_card_fails_the_payment_with_its_reason(
    world: World, buyer: str, card_number: str, code: str
) -> None:
    wanted = request(buyer, await world.card(buyer, card_number))
    await world.tell(wanted)
    await world.work()
    (failed,) = await world.told(PaymentFailed)
    assert (failed.payable_id, failed.code) == (wanted.order_id, code)
    shown = await world.shown(wanted.order_id, buyer)
    assert (shown["status"], shown["failure"]["code"]) == ("ABORTED", code)
    assert await world.told(PaymentCaptured) == []
    assert await world.audit() == []


async def test_a_charge_whose_answer_is_lost_is_found_by_asking_and_not_made_again(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.fault("timeout_after", "/v1/billing/")
    await world.tell(wanted)
    await world.work()
    await world.work(later=2)
    assert len(await world.told(PaymentCaptured)) == 1
    assert len(world.charges_at_provider()) == 1
    assert await world.audit() == []


async def test_while_nobody_knows_the_outcome_nothing_is_told(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.fault("timeout_after", "/v1/billing/")
    await world.fault("error", "GET /v1/payments/orders/", code="FAILED_INTERNAL_SYSTEM_PROCESSING")
    await world.tell(wanted)
    await world.work()
    assert (await world.shown(wanted.order_id, buyer))["status"] == "UNKNOWN"
    assert await world.told(PaymentCaptured) == []
    assert await world.told(PaymentFailed) == []
    await world.work(later=2)
    assert (await world.shown(wanted.order_id, buyer))["status"] == "DONE"
    assert len(world.charges_at_provider()) == 1


async def test_a_call_that_never_arrived_is_made_again_with_the_same_key(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.fault("timeout_before", "/v1/billing/")
    await world.tell(wanted)
    await world.work()
    await world.work(later=2)
    shown = await world.shown(wanted.order_id, buyer)
    assert shown["status"] == "DONE"
    assert len(shown["attempts"]) == 1
    assert len(world.charges_at_provider()) == 1


async def test_a_provider_that_fails_for_now_is_tried_with_a_new_key_each_time(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.fault("error", "/v1/billing/", code="PROVIDER_ERROR", times=2)
    await world.tell(wanted)
    await world.work()
    await world.work(later=2)
    await world.work(later=4)
    shown = await world.shown(wanted.order_id, buyer)
    assert shown["status"] == "DONE"
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["RETRYABLE", "RETRYABLE", "SUCCEEDED"]


async def test_a_provider_that_keeps_failing_fails_the_payment(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.fault("error", "/v1/billing/", code="PROVIDER_ERROR", times=10)
    await world.tell(wanted)
    for _ in range(4):
        await world.work(later=10)
    (failed,) = await world.told(PaymentFailed)
    assert failed.code == "PROVIDER_UNAVAILABLE"
    assert await world.audit() == []


async def test_an_error_answered_after_charging_is_a_capture(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.fault("error_after", "/v1/billing/", code="FAILED_INTERNAL_SYSTEM_PROCESSING")
    await world.tell(wanted)
    await world.work()
    assert len(await world.told(PaymentCaptured)) == 1
    assert await world.told(PaymentFailed) == []
    assert len(world.charges_at_provider()) == 1


async def test_anothers_card_is_not_charged(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(new_ulid()))
    await world.tell(wanted)
    await world.work()
    (failed,) = await world.told(PaymentFailed)
    assert failed.code == "NOT_FOUND"
    assert world.charges_at_provider() == []


async def test_without_a_card_the_buyer_is_waited_for(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    await world.work()
    (awaiting,) = await world.told(PaymentAwaitingDeposit)
    assert (awaiting.payable_id, awaiting.due_at) == (wanted.order_id, None)
    assert (await world.shown(wanted.order_id, buyer))["status"] == "READY"


async def test_a_payment_not_begun_is_canceled_at_once(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.tell(PaymentCancelRequested(order_id=wanted.order_id, reason="out of stock"))
    (canceled,) = await world.told(PaymentCanceled)
    assert (canceled.payable_id, canceled.refunded) == (wanted.order_id, 0)
    await world.work()
    assert world.charges_at_provider() == []


async def test_a_captured_payment_is_given_back_in_full(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.work()
    await world.tell(PaymentCancelRequested(order_id=wanted.order_id, reason="delivery refused"))
    await world.work()
    (canceled,) = await world.told(PaymentCanceled)
    assert canceled.refunded == 12_000
    shown = await world.shown(wanted.order_id, buyer)
    assert (shown["status"], shown["refundedAmount"]["amount"]) == ("CANCELED", "12000")
    assert await world.audit() == []


async def test_each_repeated_cancellation_is_answered_and_refunds_once(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    cancel = PaymentCancelRequested(order_id=wanted.order_id, reason="again")
    await world.tell(wanted)
    await world.work()
    await world.tell(cancel)
    await world.tell(cancel)
    await world.work()
    await world.tell(cancel)
    assert [each.refunded for each in await world.told(PaymentCanceled)] == [12_000, 12_000]
    assert len((await world.shown(wanted.order_id, buyer))["refunds"]) == 1
    assert await world.audit() == []


async def test_a_cancellation_that_overtakes_its_request_forbids_the_charge(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(PaymentCancelRequested(order_id=wanted.order_id, reason="early"))
    await world.tell(wanted)
    await world.work()
    assert [each.refunded for each in await world.told(PaymentCanceled)] == [0, 0]
    assert world.charges_at_provider() == []
    assert (await world.shown(wanted.order_id, buyer))["status"] == "CANCELED"


async def test_a_cancellation_during_a_charge_waits_for_its_outcome_and_refunds(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.fault("timeout_after", "/v1/billing/")
    await world.fault("error", "GET /v1/payments/orders/", code="PROVIDER_ERROR")
    await world.tell(wanted)
    await world.work()
    await world.tell(PaymentCancelRequested(order_id=wanted.order_id, reason="too slow"))
    assert await world.told(PaymentCanceled) == []
    await world.work(later=2)
    await world.work(later=2)
    (canceled,) = await world.told(PaymentCanceled)
    assert canceled.refunded == 12_000
    assert await world.audit() == []


async def test_a_canceled_call_that_never_arrived_is_given_up_after_a_while(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.fault("timeout_before", "/v1/billing/")
    await world.tell(wanted)
    await world.work()
    await world.tell(PaymentCancelRequested(order_id=wanted.order_id, reason="too slow"))
    await world.work(later=5)
    assert await world.told(PaymentCanceled) == []
    await world.work(later=61)
    (canceled,) = await world.told(PaymentCanceled)
    assert canceled.refunded == 0
    assert world.charges_at_provider() == []


async def test_a_charge_that_turns_up_after_its_payment_was_canceled_is_given_back(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    await world.tell(PaymentCancelRequested(order_id=wanted.order_id, reason="changed my mind"))
    window = await world.at_provider("payment-window", orderId=wanted.order_number, amount=12_000)
    await world.provider.confirm(window["paymentKey"], wanted.order_number, 12_000, key=new_ulid())
    assert [each.invariant for each in await world.audit()] == ["payments.equal_to_provider"]
    await world.service.hint(wanted.order_number, None, is_deposit=False)
    await world.work()
    assert await world.told(PaymentCaptured) == []
    assert (await world.shown(wanted.order_id, buyer))["refundedAmount"]["amount"] == "12000"
    assert await world.audit() == []


async def test_two_workers_do_not_charge_twice(world: World, buyer: str) -> None:
    card = await world.card(buyer)
    await world.tell(*[request(buyer, card) for _ in range(10)])
    await asyncio.gather(world.service.charger.drain(), world.service.charger.drain())
    assert len(world.charges_at_provider()) == 10
    assert len(await world.told(PaymentCaptured)) == 10
