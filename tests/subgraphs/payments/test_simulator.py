"""The simulated provider keeps the real one's rules."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from subgraphs.kit.ids import new_ulid
from subgraphs.kit.subgraph import utc_now
from subgraphs.payments.simulator.app import RETRY_MINUTES, Simulator, create_simulator
from subgraphs.payments.transport import AsgiSender, NoAnswer
from tests.support.waiting import eventually

AUTHORIZATION = "Basic " + b64encode(b"test_sk_dure:").decode()


class Caller:
    """Calls the simulator as a shop would."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, authorization: str = AUTHORIZATION
    ) -> tuple[int, Any]:
        headers = {"Authorization": authorization} | ({"Idempotency-Key": key} if key else {})
        send = AsgiSender(self.simulator, timeout_seconds=0.3)
        response = await send(method, path, headers, orjson.dumps(body) if body is not None else b"")
        return response.status, orjson.loads(response.body)

    async def billing(self) -> tuple[str, str]:
        """A billing key and its customer key."""
        _, auth = await self.call(
            "POST", "/simulator/billing-auth", {"customerKey": "customer-1", "cardNumber": "4330-1234-1234-1234"}
        )
        status, issued = await self.call("POST", "/v1/billing/authorizations/issue", auth)
        assert status == 200
        return issued["billingKey"], issued["customerKey"]

    async def account(self, order_id: str) -> dict[str, Any]:
        body = {"amount": 5000, "orderId": order_id, "orderName": "n", "customerName": "h", "bank": "88"}
        status, payment = await self.call("POST", "/v1/virtual-accounts", body)
        assert status == 200
        found: dict[str, Any] = payment
        return found


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    simulator = create_simulator(tmp_path / "provider.sqlite", minute_seconds=0.0)
    yield Caller(simulator)
    simulator.store.close()


def charge(customer: str, order_id: str, amount: Any = 5000) -> dict[str, Any]:
    return {"customerKey": customer, "amount": amount, "orderId": order_id, "orderName": "n"}


async def test_without_the_secret_key_nothing_is_answered(caller: Caller) -> None:
    status, body = await caller.call("GET", "/v1/payments/x", authorization="Basic bm9ib2R5Og==")
    assert (status, body["code"]) == (401, "UNAUTHORIZED_KEY")


async def test_a_repeated_key_is_answered_the_same_a_decline_included(caller: Caller) -> None:
    key, customer = await caller.billing()
    path = f"/v1/billing/{key}"
    first = await caller.call("POST", path, charge(customer, "order-1"), key="k1")
    assert first == await caller.call("POST", path, charge(customer, "order-1"), key="k1")
    declined = await caller.call("POST", path, charge("another", "order-2"), key="k2")
    assert declined[1]["code"] == "NOT_MATCHES_CUSTOMER_KEY"
    assert declined == await caller.call("POST", path, charge(customer, "order-2"), key="k2")


async def test_a_second_call_in_flight_is_told_so(caller: Caller) -> None:
    key, customer = await caller.billing()
    await caller.call("POST", "/simulator/faults", {"kind": "timeout_after", "path": "/v1/billing", "seconds": 5})
    first = asyncio.create_task(caller.call("POST", f"/v1/billing/{key}", charge(customer, "order-1"), key="k"))
    await eventually(lambda: caller.simulator._processing)
    status, body = await caller.call("POST", f"/v1/billing/{key}", charge(customer, "order-1"), key="k")
    assert (status, body["code"]) == (409, "IDEMPOTENT_REQUEST_PROCESSING")
    with pytest.raises(NoAnswer):
        await first
    status, body = await caller.call("POST", f"/v1/billing/{key}", charge(customer, "order-1"), key="k")
    assert (status, body["status"]) == (200, "DONE")


async def test_an_order_is_approved_once(caller: Caller) -> None:
    key, customer = await caller.billing()
    await caller.call("POST", f"/v1/billing/{key}", charge(customer, "order-1"), key="k1")
    status, body = await caller.call("POST", f"/v1/billing/{key}", charge(customer, "order-1"), key="k2")
    assert (status, body["code"]) == (400, "DUPLICATED_ORDER_ID")


@pytest.mark.parametrize(
    ("order_id", "amount", "code"),
    [
        ("short", 5000, "INVALID_ORDER_ID"),
        ("x" * 65, 5000, "INVALID_ORDER_ID"),
        ("주문번호여섯글자", 5000, "INVALID_ORDER_ID"),
        ("order-1", 99, "BELOW_MINIMUM_AMOUNT"),
        ("order-1", "5000", "INVALID_REQUEST"),
        ("order-1", True, "INVALID_REQUEST"),
    ],
)
async def test_order_ids_and_amounts_have_rules(caller: Caller, order_id: str, amount: Any, code: str) -> None:
    key, customer = await caller.billing()
    status, body = await caller.call("POST", f"/v1/billing/{key}", charge(customer, order_id, amount))
    assert (status, body["code"]) == (400, code)


async def test_cancellations_stay_within_the_payment(caller: Caller) -> None:
    key, customer = await caller.billing()
    _, payment = await caller.call("POST", f"/v1/billing/{key}", charge(customer, "order-1"))
    path = f"/v1/payments/{payment['paymentKey']}/cancel"
    _, part = await caller.call("POST", path, {"cancelReason": "r", "cancelAmount": 2000})
    assert (part["status"], part["balanceAmount"]) == ("PARTIAL_CANCELED", 3000)
    _, much = await caller.call("POST", path, {"cancelReason": "r", "cancelAmount": 3001})
    assert much["code"] == "NOT_CANCELABLE_AMOUNT"
    _, rest = await caller.call("POST", path, {"cancelReason": "r"})
    assert (rest["status"], rest["balanceAmount"]) == ("CANCELED", 0)
    _, again = await caller.call("POST", path, {"cancelReason": "r"})
    assert again["code"] == "ALREADY_CANCELED_PAYMENT"


async def test_a_deposit_is_told_with_the_accounts_secret(caller: Caller) -> None:
    payment = await caller.account("order-1")
    await caller.call("POST", "/simulator/deposits", {"orderId": "order-1"})
    hooks = [orjson.loads(row["body"]) for row in caller.simulator.store.due_webhooks()]
    assert [hook["status"] for hook in hooks] == ["WAITING_FOR_DEPOSIT", "DONE"]
    assert {hook["secret"] for hook in hooks} == {payment["secret"]}


async def test_a_webhook_is_sent_again_until_it_is_taken_and_at_most_seven_times(caller: Caller) -> None:
    await caller.account("order-1")
    sent: list[bytes] = []

    async def refuse(body: bytes, headers: Mapping[str, str]) -> int:
        sent.append(body)
        return 500

    caller.simulator.deliver_to(refuse)
    for _ in range(20):
        await caller.simulator.deliver_due()
    assert len(sent) == 1 + len(RETRY_MINUTES) == 8


async def test_webhooks_can_be_doubled_and_lost(caller: Caller) -> None:
    await caller.call("POST", "/simulator/faults", {"kind": "duplicate_webhook"})
    await caller.account("order-1")
    assert len(caller.simulator.store.due_webhooks()) == 2
    await caller.call("POST", "/simulator/faults", {"kind": "lost_webhook"})
    await caller.account("order-2")
    assert len(caller.simulator.store.due_webhooks()) == 2
    _, refused = await caller.call("POST", "/simulator/faults", {"kind": "nonsense"})
    assert refused["code"] == "INVALID_REQUEST"


async def test_the_books_outlive_the_process(caller: Caller, tmp_path: Path) -> None:
    key, customer = await caller.billing()
    first = await caller.call("POST", f"/v1/billing/{key}", charge(customer, "order-1"), key="k")
    again = create_simulator(tmp_path / "provider.sqlite")
    other = Caller(again)
    assert await other.call("POST", f"/v1/billing/{key}", charge(customer, "order-1"), key="k") == first
    assert (await other.call("GET", "/v1/payments/orders/order-1"))[1]["status"] == "DONE"
    again.store.close()


async def test_the_journal_is_given_in_pages(caller: Caller) -> None:
    key, customer = await caller.billing()
    for number in range(5):
        await caller.call("POST", f"/v1/billing/{key}", charge(customer, f"order-{number}"), key=new_ulid())
    year = utc_now().year
    query = f"/v1/transactions?startDate={year - 1}-01-01T00:00:00&endDate={year + 1}-01-01T00:00:00&limit=3"
    _, first = await caller.call("GET", query)
    _, rest = await caller.call("GET", f"{query}&startingAfter={first[-1]['transactionKey']}")
    assert [entry["orderId"] for entry in first + rest] == [f"order-{number}" for number in range(5)]
    assert (await caller.call("GET", "/v1/transactions?startDate=x"))[0] == 400
