"""What every provider must do for us: the same tests for each, through the graph, against its simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from messaging.events.orders import PaymentCancelRequested
from messaging.events.payments import PaymentCanceled, PaymentCaptured, PaymentFailed
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.payments import charging
from subgraphs.payments.charging import Charger
from subgraphs.payments.domain import Absent, Declined
from subgraphs.payments.models import attempts, methods, payments, refunds
from subgraphs.payments.provider import ProviderError
from subgraphs.payments.reconciling import DifferenceKind as Kind
from subgraphs.payments.service import Service
from tests.subgraphs.payments.conftest import REGISTER, WEBHOOK_SECRET, World, opened, request
from tests.subgraphs.payments.test_buyer_pays import confirm, issue
from tests.subgraphs.payments.test_methods import UPDATE, auth_key
from tests.subgraphs.payments.test_refunds import paid, refund


@dataclass(frozen=True)
class Face:
    """Where a provider's calls can be made to fail, and how."""

    name: str
    charge: str
    refund: str
    look: str
    window: str
    passing: str
    refused: str


FACES = {
    "toss": Face(
        name="toss",
        charge="/v1/billing/",
        refund="/cancel",
        look="GET /v1/payments/",
        window="payment-window",
        passing="PROVIDER_ERROR",
        refused="EXCEED_MAX_REFUND_DUE",
    ),
    "stripe": Face(
        name="stripe",
        charge="/confirm",
        refund="/v1/refunds",
        look="GET /v1/payment_intents",
        window="stripe/card",
        passing="api_error",
        refused="charge_disputed",
    ),
}


@pytest.fixture(params=sorted(FACES))
def face(request: pytest.FixtureRequest) -> Face:
    return FACES[request.param]


@pytest.fixture
async def world(face: Face, sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    chosen = {"provider": face.name, "provider_webhook_secret": SecretStr(WEBHOOK_SECRET)}
    async with opened(sqlite_database_url, tmp_path, **chosen) as made:
        yield made


async def ordered(world: World, buyer: str, **more: Any) -> Any:
    """A request to be paid with a card on file, told."""
    wanted = request(buyer, await world.card(buyer, **more))
    await world.tell(wanted)
    return wanted


async def in_window(world: World, face: Face, wanted: Any, **more: Any) -> str:
    window = await world.at_provider(face.window, orderId=wanted.order_number, amount=12_000, **more)
    key: str = window["paymentKey"]
    return key


# Charging


async def test_a_saved_card_is_charged_once_in_whole_won(world: World, buyer: str) -> None:
    wanted = await ordered(world, buyer)
    await world.work()
    (captured,) = await world.told(PaymentCaptured)
    assert (captured.payable_id, captured.amount, captured.currency) == (wanted.order_id, 12_000, "KRW")
    assert [entry["amount"] for entry in world.charges_at_provider()] == [12_000]
    shown = await world.shown(wanted.order_id, buyer)
    assert (shown["status"], shown["method"]) == ("DONE", "BILLING_KEY")
    assert shown["methodSummary"].endswith("1234")
    assert shown["receiptUrl"].startswith("https://")
    assert await world.audit() == []


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("4000000000000002", "PAYMENT_DECLINED"),
        ("4000000000009995", "INSUFFICIENT_FUNDS"),
        ("4000000000000069", "CARD_EXPIRED"),
    ],
)
async def test_a_declined_card_fails_the_payment_with_its_reason(
    world: World, buyer: str, card: str, code: str
) -> None:
    wanted = await ordered(world, buyer, number=card)
    await world.work()
    (failed,) = await world.told(PaymentFailed)
    assert (failed.payable_id, failed.code) == (wanted.order_id, code)
    assert world.charges_at_provider() == []
    assert await world.audit() == []


async def test_a_charge_whose_answer_is_lost_is_found_by_asking(world: World, face: Face, buyer: str) -> None:
    wanted = await ordered(world, buyer)
    await world.fault("timeout_after", face.charge)
    await world.fault("error", face.look, code=face.passing)
    await world.work()
    assert (await world.shown(wanted.order_id, buyer))["status"] == "UNKNOWN"
    assert await world.told(PaymentCaptured) == []
    await world.work(later=2)
    assert (await world.shown(wanted.order_id, buyer))["status"] == "DONE"
    assert len(await world.rows(attempts)) == 1, "it was asked for, not made again"
    assert len(world.charges_at_provider()) == 1
    assert await world.audit() == []


async def test_a_charge_that_never_arrived_is_made_with_the_same_key(world: World, face: Face, buyer: str) -> None:
    wanted = await ordered(world, buyer)
    await world.fault("timeout_before", face.charge)
    await world.work()
    await world.work(later=2)
    assert (await world.shown(wanted.order_id, buyer))["status"] == "DONE"
    assert len(await world.rows(attempts)) == 1
    assert len(world.charges_at_provider()) == 1


async def test_a_provider_that_fails_for_now_is_tried_with_new_keys(world: World, face: Face, buyer: str) -> None:
    wanted = await ordered(world, buyer)
    await world.fault("error", face.charge, code=face.passing, times=2)
    for _ in range(3):
        await world.work(later=4)
    shown = await world.shown(wanted.order_id, buyer)
    assert shown["status"] == "DONE"
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["RETRYABLE", "RETRYABLE", "SUCCEEDED"]
    assert len(world.charges_at_provider()) == 1


async def test_a_provider_that_keeps_failing_fails_the_payment(world: World, face: Face, buyer: str) -> None:
    await ordered(world, buyer)
    await world.fault("error", face.charge, code=face.passing, times=10)
    for _ in range(5):
        await world.work(later=10)
    (failed,) = await world.told(PaymentFailed)
    assert failed.code == "PROVIDER_UNAVAILABLE"
    assert await world.audit() == []


async def test_an_error_answered_after_charging_is_a_capture(world: World, face: Face, buyer: str) -> None:
    await ordered(world, buyer)
    await world.fault("error_after", face.charge, code=face.passing)
    await world.work()
    assert len(await world.told(PaymentCaptured)) == 1
    assert len(world.charges_at_provider()) == 1


async def test_an_order_is_charged_once_with_whatever_keys(world: World, buyer: str) -> None:
    """The provider's side of the promise: two calls that know nothing of one another."""
    await world.card(buyer)
    billing_key = world.service.methods._vault.open((await world.rows(methods))[0]["billing_key_sealed"])
    customer = (await world.service.methods.start_setup(buyer, "https://shop.example/")).customer_key

    async def charge(key: str) -> Any:
        return await world.provider.charge(billing_key, customer, 12_000, "D-ONCE-ONLY", "goods", key=key)

    first = await charge("k1")
    assert first.verdict() == (await charge("k1")).verdict()
    outcomes = await asyncio.gather(*(charge(f"k{n}") for n in range(2, 5)), return_exceptions=True)
    assert all(isinstance(each, Exception) for each in outcomes)
    assert len(world.charges_at_provider()) == 1


async def test_a_cancellation_gives_the_whole_back_once(world: World, buyer: str) -> None:
    wanted = await ordered(world, buyer)
    await world.work()
    cancel = PaymentCancelRequested(order_id=wanted.order_id, reason="delivery refused")
    await world.tell(cancel)
    await world.tell(cancel)
    await world.work()
    assert {each.refunded for each in await world.told(PaymentCanceled)} == {12_000}
    assert len(await world.rows(refunds)) == 1
    assert await world.audit() == []


# Paying in the window


async def test_what_the_buyer_entered_is_confirmed_and_may_be_tried_again(world: World, face: Face, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    declined = await confirm(world, buyer, wanted, await in_window(world, face, wanted, cardNumber="4000000000000002"))
    assert (declined["payment"]["status"], declined["userErrors"][0]["code"]) == ("READY", "PAYMENT_DECLINED")
    done = await confirm(world, buyer, wanted, await in_window(world, face, wanted))
    assert (done["payment"]["status"], done["payment"]["method"], done["userErrors"]) == ("DONE", "CARD", [])
    assert len(world.charges_at_provider()) == 1
    assert await world.audit() == []


async def test_a_payment_key_that_nobody_knows_leaves_the_order_to_be_paid(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    for unknown in ("pm_unknown", "nonsense"):
        payload = await confirm(world, buyer, wanted, unknown)
        assert payload["payment"]["status"] == "READY"
        assert payload["userErrors"]
    assert world.charges_at_provider() == []


async def test_where_no_accounts_are_issued_the_buyer_is_told(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    payload = await issue(world, buyer, wanted.order_id)
    if world.provider.issues_accounts:
        assert payload["payment"]["status"] == "WAITING_FOR_DEPOSIT"
    else:
        assert (payload["payment"], payload["userErrors"][0]["code"]) == (None, "NOT_ALLOWED")
        assert (await world.shown(wanted.order_id, buyer))["status"] == "READY"


# Cards


async def test_a_registration_counts_once_and_for_its_owner(world: World, buyer: str) -> None:
    key = await auth_key(world, buyer)
    stranger = await world.do(REGISTER, new_ulid(), authKey=key, key="k")
    assert stranger["userErrors"][0]["code"] == "INVALID"
    if not (await world.do(REGISTER, buyer, authKey=key, key="k1"))["paymentMethod"]:
        key = await auth_key(world, buyer)  # a registration that another has shown is spent
        assert (await world.do(REGISTER, buyer, authKey=key, key="k1"))["userErrors"] == []
    again = await world.do(REGISTER, buyer, authKey=key, key="k2")
    assert again["userErrors"][0]["code"] in ("INVALID", "ALREADY_PROCESSED")
    other = await world.card(buyer)
    spent = await world.do(UPDATE, buyer, id=global_id("PaymentMethod", other), authKey=key)
    assert spent["userErrors"][0]["code"] in ("INVALID", "ALREADY_PROCESSED")
    assert len(await world.rows(methods)) == 2
    assert "4330123412341234" not in str(await world.rows(methods))


# Refunds


async def test_parts_are_refunded_within_the_capture(world: World, buyer: str) -> None:
    payment = await paid(world, buyer)
    first = await refund(world, payment, amount="5000")
    assert first["refund"]["payment"]["status"] == "PARTIAL_CANCELED"
    assert (await refund(world, payment, amount="7001"))["userErrors"][0]["code"] == "REFUND_EXCEEDS_BALANCE"
    rest = await refund(world, payment)
    assert (rest["refund"]["amount"]["amount"], rest["refund"]["payment"]["status"]) == ("7000", "CANCELED")
    assert await world.audit() == []


async def test_the_provider_itself_refuses_more_than_is_left(world: World, buyer: str) -> None:
    await paid(world, buyer)
    key = (await world.rows(payments))[0]["provider_key"]
    await world.provider.cancel(key, "r", 5_000, None, key="k1")
    again = await world.provider.cancel(key, "r", 5_000, None, key="k1")
    assert again.canceled_amount == 5_000, "the same key is carried out once"
    with pytest.raises(ProviderError) as refused:
        await world.provider.cancel(key, "r", 7_001, None, key="k2")
    verdict = refused.value.verdict()
    assert isinstance(verdict, Declined)
    assert verdict.code == "REFUND_EXCEEDS_BALANCE"
    seen = await world.provider.payment(key)
    assert seen is not None
    assert (seen.canceled_amount, seen.last_cancel) == (5_000, again.last_cancel)


async def test_a_refund_whose_answer_is_lost_is_found_and_not_made_again(world: World, face: Face, buyer: str) -> None:
    payment = await paid(world, buyer)
    await world.fault("timeout_after", face.refund)
    await world.fault("error", face.look, code=face.passing)
    assert (await refund(world, payment, amount="5000"))["refund"]["status"] == "PENDING"
    await world.work(later=2)
    assert [row["status"] for row in await world.rows(refunds)] == ["COMPLETED"]
    assert await world.audit() == []


async def test_a_refund_that_cannot_be_made_now_is_made_later(world: World, face: Face, buyer: str) -> None:
    payment = await paid(world, buyer)
    await world.fault("error", face.refund, code=face.passing, times=3)
    await refund(world, payment)
    for _ in range(4):
        await world.work(later=31)
    assert [row["status"] for row in await world.rows(refunds)] == ["COMPLETED"]
    assert await world.audit() == []


async def test_a_refused_refund_has_failed_and_leaves_the_balance(world: World, face: Face, buyer: str) -> None:
    payment = await paid(world, buyer)
    await world.fault("error", face.refund, code=face.refused)
    failed = await refund(world, payment, amount="5000")
    assert (failed["refund"]["status"], failed["userErrors"][0]["code"]) == ("FAILED", "NOT_ALLOWED")
    assert (await refund(world, payment))["refund"]["status"] == "COMPLETED"
    assert await world.audit() == []


# Webhooks


async def test_webhooks_twice_late_and_out_of_order_have_one_effect(world: World, face: Face, buyer: str) -> None:
    await world.fault("duplicate_webhook")
    wanted = await ordered(world, buyer)
    await world.fault("timeout_after", face.charge)
    await world.fault("error", face.look, code=face.passing)
    await world.work()
    assert await world.deliver_webhooks() >= 2
    await world.work(later=0.1)
    assert (await world.shown(wanted.order_id, buyer))["status"] == "DONE"
    await world.tell(PaymentCancelRequested(order_id=wanted.order_id, reason="no"))
    await world.work()
    await world.deliver_webhooks()
    await world.work()
    assert len(await world.told(PaymentCaptured)) == 1
    assert (await world.shown(wanted.order_id, buyer))["refundedAmount"]["amount"] == "12000"
    assert len(world.charges_at_provider()) == 1
    assert await world.audit() == []


async def test_a_capture_that_nobody_here_asked_for_is_found_by_its_webhook(
    world: World, face: Face, buyer: str
) -> None:
    """A call of ours that arrives after its payment was canceled: the money goes back."""
    wanted = request(buyer, None)
    await world.tell(wanted)
    await world.tell(PaymentCancelRequested(order_id=wanted.order_id, reason="changed my mind"))
    window = await in_window(world, face, wanted)
    await world.provider.confirm(window, wanted.order_number, 12_000, key=new_ulid())
    assert [each.invariant for each in await world.audit()] == ["payments.equal_to_provider"]
    assert await world.deliver_webhooks() >= 1
    await world.work()
    assert (await world.shown(wanted.order_id, buyer))["refundedAmount"]["amount"] == "12000"
    assert await world.audit() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"{" * 5000, b" " * 70_000])
async def test_what_is_no_webhook_is_refused(world: World, body: bytes) -> None:
    assert await world.webhook(body) in (400, 403)


async def test_a_webhook_alone_makes_nothing_paid(world: World, face: Face, buyer: str) -> None:
    """Even a genuine one: the provider is asked, and knows of no money."""
    wanted = await ordered(world, buyer)
    await world.service.hint(wanted.order_number, None, is_deposit=False, status="DONE")
    await world.fault("timeout_before", face.charge, times=9)
    await world.work()
    assert (await world.shown(wanted.order_id, buyer))["capturedAmount"]["amount"] == "0"
    assert await world.told(PaymentCaptured) == []


# Reconciliation


async def test_books_are_held_against_the_providers(world: World, face: Face, buyer: str) -> None:
    """Money there and not here is found and looked into; what agrees is not named."""
    kept = await ordered(world, buyer)
    lost = await ordered(world, buyer)
    await world.work()
    await refund(world, global_id("Payment", (await world.payment_of(kept.order_id))["id"]), amount="5000")
    assert await world.service.reconciler.reconcile() == []
    stranger = request(buyer, None)
    window = await in_window(world, face, stranger)
    await world.provider.confirm(window, stranger.order_number, 12_000, key="s")
    async with world.database.transaction() as tx:
        mine = payments.c.provider_order_id == lost.order_number
        await tx.execute(payments.update().where(mine).values(status="ABORTED", captured=0))
    found = {
        each.order_number: (each.kind, each.here, each.there) for each in await world.service.reconciler.reconcile()
    }
    assert found == {
        stranger.order_number: (Kind.UNKNOWN_HERE, 0, 12_000),
        lost.order_number: (Kind.MISSING_HERE, 0, 12_000),
    }


async def test_transactions_are_those_between_two_instants(world: World, buyer: str) -> None:
    await paid(world, buyer)
    now = world.clock.now()
    day = timedelta(days=1)
    assert [each.net for each in await world.provider.transactions(now - day, now + day)] == [12_000]
    assert list(await world.provider.transactions(now - 3 * day, now - 2 * day)) == []


# Negative controls: with a guard off, the harm is done and seen


async def test_without_asking_a_charge_is_never_found(
    world: World, face: Face, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def blind(*_: Any) -> Absent:
        return Absent()

    monkeypatch.setattr(Charger, "_look", blind)
    monkeypatch.setattr(charging, "_OPEN", ())
    await ordered(world, buyer)
    await world.fault("timeout_after", face.charge)
    await world.work()
    assert len(world.charges_at_provider()) == 1
    assert await world.told(PaymentCaptured) == []


async def test_a_hint_that_is_not_heard_leaves_money_unseen(
    world: World, face: Face, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(*_: Any, **__: Any) -> bool:
        return True

    monkeypatch.setattr(Service, "hint", deaf)
    wanted = request(buyer, None)
    await world.tell(wanted)
    await world.tell(PaymentCancelRequested(order_id=wanted.order_id, reason="changed my mind"))
    await world.provider.confirm(await in_window(world, face, wanted), wanted.order_number, 12_000, key="k")
    await world.deliver_webhooks()
    await world.work()
    assert [each.invariant for each in await world.audit()] == ["payments.equal_to_provider"]
