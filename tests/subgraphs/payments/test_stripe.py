"""What only Stripe has: signed webhooks, intents, lists and a search that is behind."""

from __future__ import annotations

import hmac
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from messaging.events.payments import PaymentCaptured, PaymentFailed
from subgraphs.payments import app, stripe, stripe_refusals, stripe_signature
from subgraphs.payments.domain import Absent, Captured, Declined, Gone, MethodKind, Retryable, Unclear
from subgraphs.payments.models import attempts, refunds
from subgraphs.payments.provider import Forged, ProviderError
from subgraphs.payments.settings import Settings
from subgraphs.payments.stripe import Stripe
from subgraphs.payments.stripe_objects import Charge, PaymentIntent
from subgraphs.payments.transport import Response
from tests.subgraphs.payments.conftest import REGISTER, SETUP, WEBHOOK_SECRET, World, opened, request
from tests.subgraphs.payments.test_refunds import paid, refund

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
async def world(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    secrets = SecretStr(f"whsec_old, {WEBHOOK_SECRET}")
    async with opened(sqlite_database_url, tmp_path, provider="stripe", provider_webhook_secret=secrets) as made:
        yield made


def signed(body: bytes, secret: str = WEBHOOK_SECRET, at: float | None = None) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
    return {"Stripe-Signature": f"t={stamp},v1={digest}"}


def event(order_number: str, type: str = "payment_intent.canceled") -> bytes:
    about = {"object": "payment_intent", "metadata": {"order_id": order_number}}
    return orjson.dumps({"id": "evt_1", "object": "event", "type": type, "data": {"object": about}})


# Webhooks


async def test_a_signed_webhook_wakes_the_worker_and_a_forged_one_nobody(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.work()
    body = event(wanted.order_number)
    forged: list[dict[str, str]] = [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "t=1,v1=ab"},
        {"Stripe-Signature": "x" * 5000},
        signed(body, "whsec_guess"),
        signed(body + b" "),
        signed(body, at=time.time() - 301),
        signed(body, at=time.time() + 301),
        {"Stripe-Signature": signed(body)["Stripe-Signature"].replace("v1=", "v0=")},
        {"Stripe-Signature": signed(body)["Stripe-Signature"] + ",t=1"},
    ]
    for headers in forged:
        assert await world.webhook(body, headers) == 403
    assert (await world.payment_of(wanted.order_id))["attend_at"] is None
    assert await world.webhook(body, signed(body)) == 200
    assert (await world.payment_of(wanted.order_id))["attend_at"] is not None


async def test_while_the_secret_is_rolled_both_are_heard(world: World) -> None:
    body = event("D-NOBODYS")
    assert await world.webhook(body, signed(body, "whsec_old")) == 200
    both = f"{signed(body)['Stripe-Signature']},v1={'0' * 64}"
    assert await world.webhook(body, {"Stripe-Signature": both}) == 200


async def test_a_replayed_webhook_is_too_old(world: World, buyer: str) -> None:
    await world.card(buyer)
    body = event("D-NOBODYS")
    headers = signed(body)
    assert await world.webhook(body, headers) == 200
    world.clock.advance(stripe_signature.TOLERANCE_SECONDS + 2)
    assert await world.webhook(body, headers) == 403


@pytest.mark.parametrize("said", [b"[]", b"{}", b'{"data":null}', b'{"data":{"object":3}}', b"{"])
async def test_a_signed_webhook_that_cannot_be_read(world: World, said: bytes) -> None:
    assert await world.webhook(said, signed(said)) == 400


async def test_an_event_about_something_else_is_taken_and_means_nothing(world: World) -> None:
    body = orjson.dumps({"id": "evt_1", "type": "payout.paid", "data": {"object": {"metadata": {}}}})
    assert await world.webhook(body, signed(body)) == 200


@given(body=st.binary(max_size=200), header=st.text(max_size=200))
def test_no_header_that_was_made_up_is_believed(body: bytes, header: str) -> None:
    with pytest.raises(Forged):
        stripe_signature.check(body, header, [WEBHOOK_SECRET], NOW)


@given(body=st.binary(max_size=200), late=st.integers(-300, 300))
def test_whatever_was_signed_just_now_is_believed(body: bytes, late: int) -> None:
    header = signed(body, at=NOW.timestamp() + late)["Stripe-Signature"]
    stripe_signature.check(body, header, ["another", WEBHOOK_SECRET], NOW)


def test_without_a_secret_payments_does_not_start() -> None:
    async def send(*_: Any) -> Response:
        raise AssertionError

    with pytest.raises(app.MissingKey):
        app.provider_of(Settings(provider="stripe"), send, lambda: NOW)


# Cards and intents


async def test_the_window_is_opened_with_a_client_secret(world: World, buyer: str) -> None:
    query = SETUP.replace("customerKey", "customerKey clientKey clientSecret provider")
    started = await world.do(query, buyer, url="https://shop.example/cards")
    assert started["provider"] == "STRIPE"
    assert started["customerKey"].startswith("cus_")
    assert started["clientSecret"].startswith("seti_")
    again = await world.do(query, buyer, url="https://shop.example/cards")
    assert again["customerKey"] == started["customerKey"]
    assert again["clientSecret"] != started["clientSecret"]


@pytest.mark.parametrize(
    ("kind", "path"), [("timeout_after", "/v1/customers"), ("timeout_before", "/v1/setup_intents")]
)
async def test_while_stripe_is_away_no_window_is_opened(world: World, buyer: str, kind: str, path: str) -> None:
    """And a customer that was made all the same is found again, not made twice."""
    await world.fault(kind, path)
    away = await world.do(SETUP, buyer, url="https://shop.example/cards")
    assert (away["customerKey"], away["userErrors"]) == (None, [{"code": "PROVIDER_UNAVAILABLE"}])
    back = await world.do(SETUP, buyer, url="https://shop.example/cards")
    assert back["userErrors"] == []
    assert [each["id"] for each in world.simulator.store.objects("customer")] == [back["customerKey"]]


async def test_a_registration_that_is_not_complete_is_no_card(world: World, buyer: str) -> None:
    started = await world.do(SETUP.replace("customerKey", "clientSecret"), buyer, url="https://shop.example/cards")
    setup_intent = started["clientSecret"].partition("_secret_")[0]
    payload = await world.do(REGISTER, buyer, authKey=setup_intent, key="k")
    assert (payload["paymentMethod"], payload["userErrors"][0]["code"]) == (None, "INVALID")


async def test_a_card_whose_bank_wants_its_owner_is_declined(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer, "4000002760003184"))
    await world.tell(wanted)
    await world.work()
    (failed,) = await world.told(PaymentFailed)
    assert failed.code == "PAYMENT_DECLINED"
    assert "owner" in failed.message


async def test_nobody_is_told_that_a_card_was_stolen(world: World, buyer: str) -> None:
    """So Stripe asks: whoever pays with it may be the thief."""
    wanted = request(buyer, await world.card(buyer, "4000000000009979"))
    await world.tell(wanted)
    await world.work()
    shown = await world.shown(wanted.order_id, buyer)
    assert shown["failure"]["code"] == "PAYMENT_DECLINED"
    assert "stolen" not in str(shown)


async def test_an_order_has_one_intent_however_often_it_is_tried(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.fault("error", "/confirm", code="lock_timeout", times=2)
    for _ in range(3):
        await world.work(later=4)
    assert len(await world.rows(attempts)) == 3
    assert len(world.simulator.store.objects("payment_intent")) == 1


async def test_without_one_intent_an_order_could_be_charged_twice(
    world: World, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: Stripe itself does not know that two intents are of one order."""

    async def opened_anew(self: Stripe, order_id: str, amount: int, about: dict[str, str]) -> PaymentIntent:
        body = {"amount": str(amount), "currency": "krw", f"metadata[{stripe.ORDER}]": order_id}
        return stripe._decode(await self._post("/v1/payment_intents", body, None), PaymentIntent)

    monkeypatch.setattr(Stripe, "_opened", opened_anew)
    for key in ("k1", "k2"):
        card = (await world.at_provider("stripe/card"))["paymentKey"]
        await world.provider.confirm(card, "D-TWICE", 12_000, key=key)
    assert len(world.charges_at_provider()) == 2


async def test_the_lists_know_what_the_search_does_not_yet(
    world: World, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A charge of a moment ago is found; by the search alone it would not be. One of long ago is found by it."""
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.work()
    found = await world.provider.payment_of_order(wanted.order_number)
    assert found is not None
    assert isinstance(found.verdict(), Captured)
    monkeypatch.setattr(stripe, "RECENT", -timedelta(hours=1))
    assert await world.provider.payment_of_order(wanted.order_number) is None
    world.simulator.store._db.execute("UPDATE stripe_object SET created = created - 3600")
    found = await world.provider.payment_of_order(wanted.order_number)
    assert found is not None
    assert isinstance(found.verdict(), Captured)


async def test_lists_are_read_to_their_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe, "PAGE", 2)
    for number in range(5):
        card = (await world.at_provider("stripe/card"))["paymentKey"]
        await world.provider.confirm(card, f"D-PAGE-{number}", 1_000 + number, key=f"k{number}")
    day = timedelta(days=1)
    moved = await world.provider.transactions(world.clock.now() - day, world.clock.now() + day)
    assert {each.order_id: each.net for each in moved} == {f"D-PAGE-{number}": 1_000 + number for number in range(5)}
    assert await world.provider.payment_of_order("D-PAGE-0") is not None


async def test_a_payment_that_another_provider_took_waits_for_it(world: World, buyer: str) -> None:
    """The shop changed its provider: the refund is not lost, and it is not said to have failed."""
    payment = await paid(world, buyer)
    async with world.database.transaction() as tx:
        await tx.exec_driver_sql("UPDATE payment SET provider_key = 'tgen_2026'")
    assert (await refund(world, payment))["refund"]["status"] == "PENDING"
    assert [row["status"] for row in await world.rows(refunds)] == ["PENDING"]


async def test_what_is_sent_is_whole_won_under_a_pinned_version() -> None:
    sent: list[tuple[str, dict[str, str], dict[str, list[str]]]] = []

    async def send(method: str, path: str, headers: Any, body: bytes) -> Response:
        sent.append((path, dict(headers), parse_qs(body.decode())))
        status = "succeeded" if path.endswith("/confirm") else "requires_payment_method"
        intent = {"id": "pi_1", "status": status, "created": 0, "amount": 12_000, "currency": "krw"}
        return Response(200, {}, orjson.dumps(intent | {"amount_received": 12_000, "customer": "cus_1"}))

    provider = Stripe(send, "sk_test", ["whsec"], lambda: NOW)
    made = await provider.charge("pm_1", "cus_1", 12_000, "D-1", "비타민", key="k")
    assert isinstance(made.verdict(), Captured)
    (_, created, opened_with), (path, confirmed, confirmed_with) = sent
    assert (opened_with["amount"], opened_with["currency"]) == (["12000"], ["krw"])
    assert opened_with["metadata[order_id]"] == ["D-1"]
    assert (created["Idempotency-Key"], confirmed["Idempotency-Key"]) == ("order-D-1", "k")
    assert (path, confirmed_with["off_session"]) == ("/v1/payment_intents/pi_1/confirm", ["true"])
    assert {created["Stripe-Version"], confirmed["Stripe-Version"]} == {stripe.API_VERSION}


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error":3}', b'{"error":{"type":"api_error"}}', b'{"error":{"code":"new"}}']
)
@pytest.mark.parametrize("status", [400, 402, 404, 500, 503])
async def test_any_error_answer_is_typed(status: int, body: bytes) -> None:
    async def send(*_: Any) -> Response:
        return Response(status, {}, body)

    provider = Stripe(send, "sk_test", ["whsec"], lambda: NOW)
    with pytest.raises(ProviderError) as refused:
        await provider.charge("pm_1", "cus_1", 12_000, "D-1", "n", key="k")
    assert refused.value.code
    final = body == b'{"error":{"code":"new"}}' and status < 500  # what is not Stripe's (a proxy's) says nothing
    assert isinstance(refused.value.verdict(), Declined if final else Retryable)


@pytest.mark.parametrize("best", ["succeeded", "requires_capture"])
async def test_of_several_intents_the_one_that_may_be_paid_counts(best: str) -> None:
    about = {"created": 0, "amount": 1, "currency": "krw", "metadata": {stripe.ORDER: "D-1"}}
    statuses = ["canceled", "requires_payment_method", best, "requires_payment_method"]
    data = [about | {"id": f"pi_{number}", "status": status} for number, status in enumerate(statuses)]

    async def send(*_: Any) -> Response:
        return Response(200, {}, orjson.dumps({"data": data, "has_more": False}))

    found = await Stripe(send, "sk_test", ["whsec"], lambda: NOW).payment_of_order("D-1")
    assert found is not None
    assert found.status == best


# What an intent says


def intent(status: str, **more: Any) -> PaymentIntent:
    return PaymentIntent(id="pi_1", status=status, created=0, amount=12_000, currency="krw", **more)


def test_what_each_status_says() -> None:
    assert isinstance(intent("requires_payment_method").verdict(), Absent)
    assert isinstance(intent("requires_confirmation").verdict(), Absent)
    assert isinstance(intent("processing").verdict(), Unclear)
    assert isinstance(intent("requires_capture").verdict(), Unclear)
    assert isinstance(intent("canceled").verdict(), Gone)
    assert isinstance(intent("requires_action").verdict(), Declined)
    declined = intent("requires_payment_method", last_payment_error={"decline_code": "insufficient_funds"}).verdict()
    assert isinstance(declined, Declined)
    assert declined.code == "INSUFFICIENT_FUNDS"
    passing = intent("requires_payment_method", last_payment_error={"code": "processing_error"})
    assert isinstance(passing.verdict(), Absent), "it was not executed, and may be tried again"


def test_a_capture_is_what_was_received_in_won() -> None:
    charge = Charge(id="ch_1", created=1_700_000_000, receipt_url="https://receipt")
    got = intent("succeeded", amount_received=12_000, latest_charge=charge, customer="cus_1").verdict()
    assert got == Captured(
        "pi_1", 12_000, datetime.fromtimestamp(1_700_000_000, UTC), MethodKind.BILLING_KEY, "", "https://receipt"
    )
    dollars = PaymentIntent(id="pi_1", status="succeeded", created=0, amount=1, currency="usd", amount_received=12_000)
    assert isinstance(dollars.verdict(), Unclear)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (409, {"type": "invalid_request_error", "code": "idempotency_key_in_use"}, Unclear),
        (400, {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}, Unclear),
        (400, {"type": "invalid_request_error", "code": "charge_already_refunded"}, Unclear),
        (400, {"type": "idempotency_error"}, Retryable),
        (429, {"type": "invalid_request_error", "code": "rate_limit"}, Retryable),
        (429, {"type": "invalid_request_error", "code": "lock_timeout"}, Retryable),
        (401, {"type": "invalid_request_error"}, Retryable),
        (500, {"type": "api_error"}, Retryable),
        (502, {}, Retryable),
        (402, {"type": "card_error", "code": "processing_error"}, Retryable),
        (402, {"type": "card_error", "code": "card_declined", "decline_code": "try_again_later"}, Retryable),
        (402, {"type": "card_error", "code": "card_declined", "decline_code": "generic_decline"}, Declined),
        (402, {"type": "card_error", "code": "expired_card"}, Declined),
        (404, {"type": "invalid_request_error", "code": "resource_missing"}, Declined),
        (400, {"type": "invalid_request_error", "code": "something_new"}, Declined),
    ],
)
def test_a_refusal_is_final_only_when_stripe_says_so(status: int, error: dict[str, Any], kind: type) -> None:
    assert isinstance(stripe_refusals.read(status, error)[1], kind)


async def test_a_lost_answer_of_the_opening_call_charges_nothing_twice(world: World, buyer: str) -> None:
    wanted = request(buyer, await world.card(buyer))
    await world.tell(wanted)
    await world.fault("timeout_after", "POST /v1/payment_intents")
    await world.work()
    assert world.charges_at_provider() == []
    await world.work(later=2)
    assert len(world.simulator.store.objects("payment_intent")) == 1
    assert len(await world.told(PaymentCaptured)) == 1
    assert await world.audit() == []
