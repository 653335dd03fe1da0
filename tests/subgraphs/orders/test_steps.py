"""An order's way through its saga, told by events: the tests answer for stock, payments and delivery."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from messaging.events import EventData
from messaging.events.delivery import DeliveryAccepted, DeliveryCanceled, DeliveryRejected, ShipmentChanged
from messaging.events.orders import DeliveryRequested, OrderConfirmed, OrderPaid, PaymentRequested
from messaging.events.payments import PaymentAwaitingDeposit, PaymentCanceled, PaymentCaptured, PaymentFailed
from messaging.events.products import (
    Shortage,
    StockCommitRejected,
    StockCommitted,
    StockRejected,
    StockReleased,
    StockReserved,
)
from subgraphs.kit.ids import global_id, new_ulid
from tests.subgraphs.orders import conftest as given
from tests.subgraphs.orders.conftest import BUYER, STRANGER, Shop, place


def captured(order_id: str, amount: int = 36_000, payable_type: str = "Order") -> PaymentCaptured:
    return PaymentCaptured(
        payment_id=new_ulid(),
        payable_type=payable_type,
        payable_id=order_id,
        payer_id=BUYER,
        amount=amount,
        currency="KRW",
        approved_at=given.Clock().now,
    )


def failed(order_id: str) -> PaymentFailed:
    return PaymentFailed(
        payment_id=new_ulid(),
        payable_type="Order",
        payable_id=order_id,
        payer_id=BUYER,
        code="REJECT_CARD_PAYMENT",
        message="declined",
    )


def awaiting(order_id: str, **more: Any) -> PaymentAwaitingDeposit:
    return PaymentAwaitingDeposit(
        payment_id=new_ulid(), payable_type="Order", payable_id=order_id, payer_id=BUYER, **more
    )


def refunded(order_id: str) -> PaymentCanceled:
    return PaymentCanceled(payable_type="Order", payable_id=order_id, payer_id=BUYER, refunded=36_000, currency="KRW")


def moved(order_id: str, status: str, *, delivered: bool = False, fulfilled: str | None = None) -> ShipmentChanged:
    return ShipmentChanged(
        shipment_id=new_ulid(),
        version=1,
        status=status,
        occurred_at=given.Clock().now,
        order_id=order_id,
        order_fulfillment=fulfilled,
        order_delivered=delivered,
    )


def steps_to_paid(shop: Shop, order_id: str) -> list[EventData]:
    return [
        StockReserved(order_id=order_id, expires_at=shop.clock() + timedelta(minutes=10)),
        captured(order_id),
        DeliveryAccepted(order_id=order_id, shipment_ids=(new_ulid(),)),
        StockCommitted(order_id=order_id),
    ]


async def paid_order(shop: Shop) -> str:
    order_id = await place(shop)
    await shop.tell(*steps_to_paid(shop, order_id))
    return order_id


STEPS = "query($id: ID!) { order(id: $id) { status cancelReason steps { name status attempts lastError } } }"


CANCEL = """mutation($id: ID!, $why: String!) {
  orderCancel(id: $id, reason: $why) { order { status nextTransitions } userErrors { code field } } }"""


async def steps(shop: Shop, order_id: str) -> dict[str, str]:
    order = await see(shop, order_id)
    return {step["name"]: step["status"] for step in order["steps"]}


async def see(shop: Shop, order_id: str) -> Any:
    answer = await shop.ask(STEPS, BUYER, id=global_id("Order", order_id))
    return answer["data"]["order"]


async def cancel(shop: Shop, order_id: str, user: str = BUYER, reason: str = "changed my mind") -> Any:
    answer = await shop.ask(CANCEL, user, id=global_id("Order", order_id), why=reason)
    return answer["data"]["orderCancel"]


async def test_four_answers_make_an_order_paid(any_shop: Shop) -> None:
    shop = any_shop
    order_id = await place(shop)
    names = list((await steps(shop, order_id)).values())
    assert names == ["PENDING"] * 4
    for done, event in enumerate(steps_to_paid(shop, order_id), start=1):
        await shop.tell(event)
        assert list((await steps(shop, order_id)).values()) == ["DONE"] * done + ["PENDING"] * (4 - done)
        assert await shop.audit() == []
    assert (await see(shop, order_id))["status"] == "PAID"
    assert await shop.told_of(order_id) == [
        "OrderPlaced",
        "PaymentRequested",
        "DeliveryRequested",
        "StockCommitRequested",
        "OrderPaid",
    ]


async def test_what_is_asked_of_others_says_all_they_need(shop: Shop) -> None:
    order_id = await paid_order(shop)
    told = {type(event): event for event in await shop.told()}
    payment, delivery, paid = told[PaymentRequested], told[DeliveryRequested], told[OrderPaid]
    assert isinstance(payment, PaymentRequested)
    assert isinstance(delivery, DeliveryRequested)
    assert isinstance(paid, OrderPaid)
    assert (payment.order_id, payment.amount, payment.currency) == (order_id, 36_000, "KRW")
    assert payment.payment_method_id == given.CARD
    assert payment.order_name == "비타민 C 1000 (60정) (+1)"
    assert delivery.address_id == given.ADDRESS
    assert [(line.total, line.partner_id) for line in paid.lines] == [
        (20_000, given.PARTNER),
        (10_000, given.OTHER_PARTNER),
    ]


async def test_a_shortage_cancels_with_its_reason(shop: Shop) -> None:
    order_id = await place(shop)
    await shop.tell(StockRejected(order_id=order_id, shortages=(Shortage(variant_id=given.COFFEE, available=2),)))
    order = await see(shop, order_id)
    assert (order["status"], order["cancelReason"]) == ("CANCELED", "Not enough in stock: 2 left.")
    assert order["steps"][0] == {
        "name": "RESERVE_STOCK",
        "status": "FAILED",
        "attempts": 1,
        "lastError": "Not enough in stock: 2 left.",
    }
    assert (await shop.told_of(order_id))[-1] == "OrderCanceled"
    assert await shop.audit() == []


async def test_a_declined_card_gives_the_stock_back_before_the_order_ends(any_shop: Shop) -> None:
    shop = any_shop
    order_id = await place(shop)
    await shop.tell(steps_to_paid(shop, order_id)[0], failed(order_id))
    assert (await see(shop, order_id))["status"] == "PENDING"
    assert (await shop.told_of(order_id))[-1] == "StockReleaseRequested"
    await shop.tell(StockReleased(order_id=order_id, reason="requested"))
    order = await see(shop, order_id)
    assert (order["status"], order["cancelReason"]) == ("CANCELED", "REJECT_CARD_PAYMENT: declined")
    assert [step["status"] for step in order["steps"]] == ["COMPENSATED", "FAILED", "PENDING", "PENDING"]
    assert await shop.audit() == []


async def test_a_refused_delivery_gives_back_money_and_stock(shop: Shop) -> None:
    order_id = await place(shop)
    await shop.tell(*steps_to_paid(shop, order_id)[:2], DeliveryRejected(order_id=order_id, reason="address is gone"))
    assert (await shop.told_of(order_id))[-1] == "PaymentCancelRequested"
    await shop.tell(refunded(order_id))
    await shop.tell(StockCommitted(order_id=order_id))
    assert (await shop.told_of(order_id))[-1] == "StockReleaseRequested", "a commit on its way is waited for"
    assert (await see(shop, order_id))["status"] == "PENDING", "the stock has not been answered for"
    await shop.tell(StockReleased(order_id=order_id, reason="requested"))
    assert (await see(shop, order_id))["status"] == "CANCELED"


async def test_a_hold_that_cannot_be_committed_takes_everything_back(shop: Shop) -> None:
    order_id = await place(shop)
    await shop.tell(*steps_to_paid(shop, order_id)[:3], StockCommitRejected(order_id=order_id, reason="sold out"))
    assert (await shop.told_of(order_id))[-1] == "DeliveryCancelRequested"
    await shop.tell(DeliveryCanceled(order_id=order_id), refunded(order_id))
    await shop.tell(StockReleased(order_id=order_id, reason="requested"))
    assert (await see(shop, order_id))["status"] == "CANCELED"
    assert await shop.audit() == []


async def test_a_wrong_amount_is_never_a_sale(shop: Shop) -> None:
    order_id = await place(shop)
    await shop.tell(steps_to_paid(shop, order_id)[0], captured(order_id, amount=1))
    assert "PaymentCancelRequested" in await shop.told_of(order_id)
    assert "DeliveryRequested" not in await shop.told_of(order_id)


async def test_payments_of_pledges_are_nothing_to_orders(shop: Shop) -> None:
    order_id = await place(shop)
    await shop.tell(steps_to_paid(shop, order_id)[0], captured(order_id, payable_type="Pledge"))
    assert (await steps(shop, order_id))["AUTHORIZE_PAYMENT"] == "PENDING"


async def test_an_event_twice_is_told_on_once(any_shop: Shop) -> None:
    shop = any_shop
    order_id = await place(shop)
    for event in steps_to_paid(shop, order_id):
        await shop.tell(event)
        await shop.tell(event)  # as another message: the saga itself must see that it is nothing new
    assert len(await shop.told_of(order_id)) == 5


async def test_a_buyer_who_pays_himself_is_waited_for_until_it_is_due(shop: Shop) -> None:
    order_id = await place(shop, paymentMethodId=None)
    due = shop.clock() + timedelta(minutes=5)
    await shop.tell(steps_to_paid(shop, order_id)[0], awaiting(order_id, due_at=due))
    assert (await see(shop, order_id))["status"] == "AWAITING_PAYMENT"
    shop.clock.forward(minutes=4)
    await shop.sweeper.sweep()
    assert (await see(shop, order_id))["status"] == "AWAITING_PAYMENT"
    assert (await shop.told_of(order_id)).count("PaymentRequested") == 1, "payments has answered: no reminders"
    assert await shop.audit() == []
    shop.clock.forward(minutes=2)
    await shop.sweeper.sweep()
    await shop.tell(refunded(order_id), StockReleased(order_id=order_id, reason="requested"))
    assert (await see(shop, order_id))["status"] == "EXPIRED"


async def test_an_order_whose_hold_runs_out_unpaid_expires(shop: Shop) -> None:
    order_id = await place(shop)
    await shop.tell(steps_to_paid(shop, order_id)[0], StockReleased(order_id=order_id, reason="expired"))
    assert (await shop.told_of(order_id))[-1] == "PaymentCancelRequested"
    await shop.tell(refunded(order_id))
    assert (await see(shop, order_id))["status"] == "EXPIRED"
    assert await shop.audit() == []


async def test_a_question_without_an_answer_is_asked_again(any_shop: Shop) -> None:
    shop = any_shop
    order_id = await place(shop)
    await shop.sweeper.sweep()
    assert await shop.told_of(order_id) == ["OrderPlaced"]
    for asked in (1, 2):
        shop.clock.forward(seconds=31)
        await shop.sweeper.sweep()
        await shop.sweeper.sweep()
        assert (await shop.told_of(order_id)).count("StockReservationRequested") == asked
    assert (await see(shop, order_id))["steps"][0]["attempts"] == 3


async def test_an_order_that_nobody_answers_expires_and_asks_for_its_compensation_again(shop: Shop) -> None:
    order_id = await place(shop)
    shop.clock.forward(minutes=11)
    await shop.sweeper.sweep()
    shop.clock.forward(seconds=31)
    await shop.sweeper.sweep()
    assert (await shop.told_of(order_id)).count("StockReleaseRequested") == 2
    await shop.tell(StockReleased(order_id=order_id, reason="requested"))
    assert (await see(shop, order_id))["status"] == "EXPIRED"


@pytest.mark.parametrize("answered", range(5))
async def test_the_buyer_may_cancel_at_any_step(shop: Shop, answered: int) -> None:
    order_id = await place(shop)
    await shop.tell(*steps_to_paid(shop, order_id)[:answered])
    payload = await cancel(shop, order_id)
    assert payload["userErrors"] == []
    assert payload["order"]["nextTransitions"] == ["CANCELED"]
    answers = {
        "DeliveryCancelRequested": DeliveryCanceled(order_id=order_id),
        "PaymentCancelRequested": refunded(order_id),
        "StockReleaseRequested": StockReleased(order_id=order_id, reason="requested"),
        "StockCommitRequested": StockCommitted(order_id=order_id),
    }
    for _ in range(4):
        for asked in await shop.told_of(order_id):
            if asked in answers:
                await shop.tell(answers[asked])
    order = await see(shop, order_id)
    assert (order["status"], order["cancelReason"]) == ("CANCELED", "changed my mind")
    assert not {"DONE", "FAILED"} & {step["status"] for step in order["steps"]}
    assert (await shop.told_of(order_id)).count("OrderCanceled") == 1
    assert await shop.audit() == []


async def test_cancelling_twice_is_cancelling_once(shop: Shop) -> None:
    order_id = await place(shop)
    assert [(await cancel(shop, order_id))["userErrors"] for _ in range(2)] == [[], []]
    assert (await shop.told_of(order_id)).count("StockReleaseRequested") == 1


async def test_goods_that_have_left_cannot_be_called_back(shop: Shop) -> None:
    order_id = await paid_order(shop)
    await cancel(shop, order_id)
    await shop.tell(moved(order_id, "DISPATCHED"), DeliveryRejected(order_id=order_id, reason="dispatched"))
    order = await see(shop, order_id)
    assert (order["status"], order["cancelReason"]) == ("SHIPPED", None)
    assert (await cancel(shop, order_id))["userErrors"] == [{"code": "ORDER_NOT_CANCELABLE", "field": ["id"]}]
    assert await shop.audit() == []


@pytest.mark.parametrize(
    ("reason", "code"), [("", "REQUIRED"), ("  ", "REQUIRED"), ("x" * 501, "INVALID"), ("a\0b", "INVALID")]
)
async def test_a_reason_is_short_plain_text(shop: Shop, reason: str, code: str) -> None:
    order_id = await place(shop)
    assert (await cancel(shop, order_id, reason=reason))["userErrors"] == [{"code": code, "field": ["reason"]}]
    assert (await shop.order(order_id)).ending is None


async def test_nobody_else_can_cancel_or_confirm(shop: Shop) -> None:
    order_id = await paid_order(shop)
    assert (await cancel(shop, order_id, STRANGER))["userErrors"] == [{"code": "NOT_FOUND", "field": ["id"]}]
    assert (await confirm(shop, order_id, STRANGER))["userErrors"] == [{"code": "NOT_FOUND", "field": ["id"]}]


async def confirm(shop: Shop, order_id: str, user: str = BUYER) -> Any:
    query = "mutation($id: ID!) { orderConfirm(id: $id) { order { status confirmedAt } userErrors { code field } } }"
    return (await shop.ask(query, user, id=global_id("Order", order_id)))["data"]["orderConfirm"]


async def test_shipments_move_the_order_on_and_never_back(any_shop: Shop) -> None:
    shop = any_shop
    order_id = await paid_order(shop)
    seen = []
    for event in (
        moved(order_id, "PREPARING", fulfilled="UNFULFILLED"),
        moved(order_id, "IN_TRANSIT", fulfilled="PARTIALLY_FULFILLED"),
        moved(order_id, "PREPARING", fulfilled="UNFULFILLED"),
        moved(order_id, "DELIVERED", delivered=True, fulfilled="FULFILLED"),
        moved(order_id, "IN_TRANSIT", fulfilled="PARTIALLY_FULFILLED"),
    ):
        await shop.tell(event)
        row = await shop.order(order_id)
        seen.append((row.status, row.fulfillment_status))
    assert seen == [
        ("PREPARING", "UNFULFILLED"),
        ("SHIPPED", "PARTIALLY_FULFILLED"),
        ("SHIPPED", "PARTIALLY_FULFILLED"),
        ("DELIVERED", "FULFILLED"),
        ("DELIVERED", "FULFILLED"),
    ]


async def test_a_delivered_order_is_confirmed_once(shop: Shop) -> None:
    order_id = await paid_order(shop)
    assert (await confirm(shop, order_id))["userErrors"] == [{"code": "NOT_ALLOWED", "field": ["id"]}]
    await shop.tell(moved(order_id, "DELIVERED", delivered=True))
    for _ in range(2):
        payload = await confirm(shop, order_id)
        assert payload["userErrors"] == []
        assert payload["order"]["status"] == "CONFIRMED"
    assert [type(event) for event in await shop.told()].count(OrderConfirmed) == 1


async def test_a_delivered_order_confirms_itself_after_a_week(any_shop: Shop) -> None:
    shop = any_shop
    order_id = await paid_order(shop)
    await shop.tell(moved(order_id, "DELIVERED", delivered=True))
    shop.clock.forward(days=6.9)
    await shop.sweeper.sweep()
    assert (await shop.order(order_id)).status == "DELIVERED"
    shop.clock.forward(days=0.2)
    await shop.sweeper.sweep()
    await shop.sweeper.sweep()
    assert (await shop.order(order_id)).status == "CONFIRMED"
    assert (await shop.told_of(order_id)).count("OrderConfirmed") == 1


async def test_answers_for_many_orders_are_a_handful_of_statements(shop: Shop) -> None:
    """One lock, one write and one record for a whole message of answers."""
    from sqlalchemy import event as sql

    order_ids = [await place(shop) for _ in range(10)]
    statements: list[str] = []
    engine = shop.runtime.database._writer.sync_engine
    sql.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    expires = shop.clock() + timedelta(minutes=10)
    counts = []
    for some in (order_ids[:1], order_ids[1:]):
        before = len(statements)
        await shop.tell_together([StockReserved(order_id=each, expires_at=expires) for each in some])
        counts.append(len(statements) - before)
    assert counts[0] == counts[1] < 10


async def test_events_for_one_order_at_once_do_not_lose_each_other(any_shop: Shop) -> None:
    shop = any_shop
    order_ids = [await place(shop) for _ in range(3)]
    for number in range(4):
        await asyncio.gather(
            *(shop.tell(steps_to_paid(shop, order_id)[number]) for order_id in order_ids for _ in range(2))
        )
    assert {(await shop.order(order_id)).status for order_id in order_ids} == {"PAID"}
    assert await shop.audit() == []
