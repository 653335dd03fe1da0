"""The simulator's Stripe face keeps Stripe's rules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from subgraphs.payments.simulator.app import Simulator, create_simulator
from subgraphs.payments.simulator.stripe_face import form
from subgraphs.payments.transport import AsgiSender

INTENT = {"amount": "12000", "currency": "krw", "metadata[order_id]": "D-1"}


class Caller:
    """Calls the simulator as a shop would."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    async def call(
        self,
        method: str,
        path: str,
        fields: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        secret: str = "test_sk_dure",
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/x-www-form-urlencoded"}
        headers |= {"Idempotency-Key": key} if key else {}
        response = await AsgiSender(self.simulator)(method, path, headers, urlencode(fields or {}).encode())
        return response.status, orjson.loads(response.body)

    async def card(self, number: str = "4330123412341234") -> str:
        body = orjson.dumps({"cardNumber": number})
        response = await AsgiSender(self.simulator)("POST", "/simulator/stripe/card", {}, body)
        key: str = orjson.loads(response.body)["paymentKey"]
        return key

    async def intent(self, **fields: str) -> dict[str, Any]:
        status, made = await self.call("POST", "/v1/payment_intents", INTENT | fields)
        assert status == 200, made
        return dict(made)

    async def confirmed(self, intent: str, card: str, **fields: str) -> tuple[int, Any]:
        return await self.call("POST", f"/v1/payment_intents/{intent}/confirm", {"payment_method": card} | fields)


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    simulator = create_simulator(tmp_path / "provider.sqlite")
    yield Caller(simulator)
    simulator.store.close()


async def test_without_the_secret_key_nothing_is_answered(caller: Caller) -> None:
    status, body = await caller.call("GET", "/v1/payment_intents", secret="sk_guess")
    assert (status, body["error"]["type"]) == (401, "invalid_request_error")


async def test_a_key_stands_for_one_request(caller: Caller) -> None:
    first = await caller.call("POST", "/v1/payment_intents", INTENT, key="k")
    assert first == await caller.call("POST", "/v1/payment_intents", INTENT, key="k")
    status, body = await caller.call("POST", "/v1/payment_intents", INTENT | {"amount": "1"}, key="k")
    assert (status, body["error"]["type"]) == (400, "idempotency_error")


async def test_an_intent_is_captured_once_and_two_of_an_order_twice(caller: Caller) -> None:
    intent, card = (await caller.intent())["id"], await caller.card()
    status, paid = await caller.confirmed(intent, card)
    assert (status, paid["status"], paid["amount_received"]) == (200, "succeeded", 12_000)
    status, again = await caller.confirmed(intent, card)
    assert (status, again["error"]["code"]) == (400, "payment_intent_unexpected_state")
    assert again["error"]["payment_intent"]["status"] == "succeeded"
    assert (await caller.confirmed((await caller.intent())["id"], card))[1]["status"] == "succeeded"


async def test_a_decline_says_why_and_leaves_the_intent_open(caller: Caller) -> None:
    intent = (await caller.intent())["id"]
    status, body = await caller.confirmed(intent, await caller.card("4000000000009995"))
    error = body["error"]
    assert (status, error["type"], error["code"]) == (402, "card_error", "card_declined")
    assert error["decline_code"] == "insufficient_funds"
    assert error["payment_intent"]["status"] == "requires_payment_method"
    owner = await caller.confirmed(intent, await caller.card("4000002760003184"), off_session="true")
    assert owner[1]["error"]["code"] == "authentication_required"
    assert (await caller.confirmed(intent, await caller.card()))[1]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"amount": "12000.5"}, "parameter_invalid"),
        ({"amount": "-1"}, "parameter_invalid"),
        ({"amount": ""}, "parameter_invalid"),
        ({"amount": "99"}, "amount_too_small"),
        ({"amount": "100000000"}, "amount_too_large"),
        ({"currency": "usd"}, "parameter_invalid"),
        ({"customer": "cus_nobody"}, "resource_missing"),
    ],
)
async def test_intents_have_rules(caller: Caller, fields: dict[str, str], code: str) -> None:
    status, body = await caller.call("POST", "/v1/payment_intents", INTENT | fields)
    assert status in (400, 404)
    assert body["error"]["code"] == code
    assert caller.simulator.store.objects("payment_intent") == []


async def test_a_card_is_its_customers(caller: Caller) -> None:
    _, customer = await caller.call("POST", "/v1/customers", {"metadata[user_id]": "u"})
    intent = (await caller.intent(customer=customer["id"]))["id"]
    status, body = await caller.confirmed(intent, await caller.card())
    assert (status, body["error"]["code"]) == (404, "resource_missing")


async def test_refunds_stay_within_the_charge_and_are_listed(caller: Caller) -> None:
    intent, card = (await caller.intent())["id"], await caller.card()
    await caller.confirmed(intent, card)
    part = {"payment_intent": intent, "amount": "5000"}
    _, refund = await caller.call("POST", "/v1/refunds", part | {"expand[0]": "payment_intent.latest_charge"})
    assert refund["payment_intent"]["latest_charge"]["amount_refunded"] == 5_000
    status, much = await caller.call("POST", "/v1/refunds", part | {"amount": "7001"})
    assert (status, much["error"]["param"], "code" in much["error"]) == (400, "amount", False)
    _, rest = await caller.call("POST", "/v1/refunds", {"payment_intent": intent})
    assert rest["amount"] == 7_000
    status, none = await caller.call("POST", "/v1/refunds", {"payment_intent": intent})
    assert none["error"]["code"] == "charge_already_refunded"
    _, listed = await caller.call("GET", "/v1/refunds?limit=1")
    assert (listed["has_more"], [each["id"] for each in listed["data"]]) == (True, [rest["id"]])
    _, more = await caller.call("GET", f"/v1/refunds?limit=1&starting_after={rest['id']}")
    assert (more["has_more"], [each["id"] for each in more["data"]]) == (False, [refund["id"]])


async def test_the_search_is_behind_and_the_lists_are_not(caller: Caller) -> None:
    intent = (await caller.intent())["id"]
    query = urlencode({"query": "metadata['order_id']:'D-1'"})
    assert (await caller.call("GET", f"/v1/payment_intents/search?{query}"))[1]["data"] == []
    assert [each["id"] for each in (await caller.call("GET", "/v1/payment_intents"))[1]["data"]] == [intent]
    caller.simulator.store._db.execute("UPDATE stripe_object SET created = created - 61")
    found = (await caller.call("GET", f"/v1/payment_intents/search?{query}"))[1]["data"]
    assert [each["id"] for each in found] == [intent]
    assert (await caller.call("GET", "/v1/payment_intents/search?query=status"))[0] == 400


async def test_a_card_number_is_never_shown(caller: Caller) -> None:
    intent, card = (await caller.intent())["id"], await caller.card()
    await caller.confirmed(intent, card)
    path = f"/v1/payment_intents/{intent}?{urlencode({'expand[0]': 'payment_method'})}"
    _, shown = await caller.call("GET", path)
    assert shown["payment_method"]["card"]["last4"] == "1234"
    assert "4330123412341234" not in str(shown)
    assert "4330123412341234" not in str(caller.simulator.store._db.execute("SELECT body FROM webhook").fetchall())


def test_a_form_with_brackets_is_a_map() -> None:
    assert form(b"a=1&metadata%5Border_id%5D=D-1&expand[0]=x&b=") == {
        "a": "1",
        "metadata": {"order_id": "D-1"},
        "expand": {"0": "x"},
        "b": "",
    }
