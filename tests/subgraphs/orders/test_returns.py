"""Returns: asked for, decided, received, refunded once; the tests answer for payments and delivery."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from messaging.events.delivery import ReturnShipmentChanged
from messaging.events.orders import RefundRequested, ReturnChanged
from messaging.events.payments import RefundCompleted, RefundRejected
from subgraphs.kit.ids import global_id, new_ulid, parse_id
from subgraphs.orders.domain import returns as rules
from subgraphs.orders.domain.returns import NEXT, ReturnReason, ReturnStatus, Sent
from subgraphs.orders.domain.states import OrderStatus
from tests.subgraphs.orders import conftest as given
from tests.subgraphs.orders.conftest import BUYER, SELLER, STAFF, STRANGER, Shop
from tests.subgraphs.orders.test_steps import moved, paid_order

PARTS = """id status reason note refundAmount { amount } returnShippingFee { amount } refundError
  lines { quantity receivedQuantity restock orderLine { id returnableQuantity } } order { id status }"""
REQUEST = f"""mutation(
  $order: ID!, $lines: [ReturnLineInput!]!, $reason: ReturnReason!, $key: String!, $note: String) {{
  returnRequest(orderId: $order, lines: $lines, reason: $reason, idempotencyKey: $key, note: $note) {{
    return {{ {PARTS} }} userErrors {{ code field message }} }} }}"""
DECIDE = f"""mutation($id: ID!, $yes: Boolean!) {{ answer: returnDecide(id: $id, approve: $yes, note: "why") {{
  return {{ {PARTS} decisionNote }} userErrors {{ code field }} }} }}"""
RECEIVE = f"""mutation($id: ID!, $lines: [ReturnLineInput!]!, $restock: Boolean!) {{
  answer: returnReceive(id: $id, lines: $lines, restock: $restock) {{
    return {{ {PARTS} }} userErrors {{ code field }} }} }}"""
CANCEL = f"""mutation($id: ID!) {{ answer: returnCancel(id: $id) {{
  return {{ {PARTS} }} userErrors {{ code field }} }} }}"""
ORDER = f"""query($id: ID!) {{ order(id: $id) {{
  status nextTransitions returns {{ {PARTS} }} lines {{ id quantity sku returnableQuantity }} }} }}"""


class Delivered:
    """An order of BUYER's that has arrived: one vitamin (20,000) of PARTNER, one coffee (10,000) of OTHER_PARTNER."""

    def __init__(self, shop: Shop, order_id: str, vitamin: str, coffee: str) -> None:
        self.shop = shop
        self.order_id = order_id
        self.vitamin, self.coffee = vitamin, coffee

    async def see(self, user: str = BUYER) -> Any:
        answer = await self.shop.ask(ORDER, user, id=global_id("Order", self.order_id))
        return answer["data"]["order"]

    async def request(self, line: str | None = None, units: int = 1, **more: Any) -> Any:
        variables: dict[str, Any] = {
            "order": global_id("Order", self.order_id),
            "lines": [{"orderLineId": line or self.vitamin, "quantity": units}],
            "reason": "CHANGED_MIND",
            "key": new_ulid(),
        }
        answer = await self.shop.ask(REQUEST, more.pop("user", BUYER), **(variables | more))
        return answer["data"]["returnRequest"]

    async def approved(self, line: str | None = None, **more: Any) -> str:
        id: str = (await self.request(line, **more))["return"]["id"]
        assert (await self.decide(id))["return"]["status"] == "APPROVED"
        return id

    async def decide(self, id: str, yes: bool = True, user: str = STAFF) -> Any:
        scopes = ["returns:write", *(["orders:read"] if user == STAFF else [])]
        return (await self.shop.ask(DECIDE, user, scopes=scopes, id=id, yes=yes))["data"]["answer"]

    async def receive(
        self, id: str, line: str | None = None, units: int = 1, restock: bool = True, user: str = STAFF
    ) -> Any:
        scopes = ["returns:write", *(["orders:read"] if user == STAFF else [])]
        lines = [{"orderLineId": line or self.vitamin, "quantity": units}]
        answer = await self.shop.ask(RECEIVE, user, scopes=scopes, id=id, lines=lines, restock=restock)
        return answer["data"]["answer"]

    async def changes(self) -> list[ReturnChanged]:
        return [event for event in await self.shop.told() if isinstance(event, ReturnChanged)]

    async def refunds(self) -> list[RefundRequested]:
        return [event for event in await self.shop.told() if isinstance(event, RefundRequested)]


def bare(id: str) -> str:
    named = parse_id(id)
    assert named is not None
    return named[1]


def completed(id: str, amount: int) -> RefundCompleted:
    return RefundCompleted(return_id=bare(id), payment_id=new_ulid(), amount=amount, currency="KRW")


async def deliver(shop: Shop) -> Delivered:
    order_id = await paid_order(shop)
    await shop.tell(moved(order_id, "DELIVERED", delivered=True))
    answer = await shop.ask(ORDER, BUYER, id=global_id("Order", order_id))
    lines = {line["sku"]: line["id"] for line in answer["data"]["order"]["lines"]}
    return Delivered(shop, order_id, lines[f"SKU-{given.VITAMIN[-6:]}"], lines[f"SKU-{given.COFFEE[-6:]}"])


@pytest.fixture
async def delivered(any_shop: Shop) -> Delivered:
    return await deliver(any_shop)


@pytest.fixture
async def on_sqlite(shop: Shop) -> Delivered:
    return await deliver(shop)


async def test_from_the_wish_to_the_money(delivered: Delivered) -> None:
    """Change of mind: the goods less the parcel back; told once for each status; the order is kept as it was."""
    asked = (await delivered.request(note="  too bitter "))["return"]
    assert (asked["status"], asked["note"], asked["reason"]) == ("REQUESTED", "too bitter", "CHANGED_MIND")
    assert (asked["refundAmount"]["amount"], asked["returnShippingFee"]["amount"]) == ("17000", "3000")
    id = asked["id"]
    assert (await delivered.decide(id, user=SELLER))["return"]["decisionNote"] == "why"
    on_its_way = ReturnShipmentChanged(
        return_id=bare(id), shipment_id=new_ulid(), version=2, status="DISPATCHED", occurred_at=delivered.shop.clock()
    )
    await delivered.shop.tell(on_its_way)
    assert (await delivered.see())["returns"][0]["status"] == "IN_TRANSIT"
    back = (await delivered.receive(id, user=SELLER))["return"]
    assert (back["status"], back["lines"][0]["receivedQuantity"], back["lines"][0]["restock"]) == ("RECEIVED", 1, True)
    (asked_for,) = await delivered.refunds()
    assert (asked_for.return_id, asked_for.order_id, asked_for.amount) == (bare(id), delivered.order_id, 17_000)
    await delivered.shop.tell(completed(id, 17_000))
    order = await delivered.see()
    assert (order["status"], order["returns"][0]["status"]) == ("DELIVERED", "REFUNDED")
    assert {line["id"]: line["returnableQuantity"] for line in order["lines"]} == {
        delivered.vitamin: 0,
        delivered.coffee: 1,
    }
    changes = await delivered.changes()
    assert [(each.version, each.status) for each in changes] == list(
        enumerate(["REQUESTED", "APPROVED", "IN_TRANSIT", "RECEIVED", "REFUNDED"], start=1)
    )
    assert [(line.variant_id, line.quantity, line.restock) for line in changes[3].lines] == [(given.VITAMIN, 1, True)]
    assert await delivered.shop.audit() == []


async def test_when_all_of_it_has_come_back_the_order_is_returned(on_sqlite: Delivered) -> None:
    """Not before the last refund; later news of its shipments change nothing."""
    for line, expected in ((on_sqlite.vitamin, "DELIVERED"), (on_sqlite.coffee, "RETURNED")):
        id = await on_sqlite.approved(line)
        amount = int((await on_sqlite.receive(id, line))["return"]["refundAmount"]["amount"])
        await on_sqlite.shop.tell(completed(id, amount), completed(id, amount))
        assert (await on_sqlite.see())["status"] == expected
    await on_sqlite.shop.tell(moved(on_sqlite.order_id, "DELIVERED", delivered=True))
    order = await on_sqlite.see()
    assert (order["status"], order["nextTransitions"]) == ("RETURNED", [])
    assert await on_sqlite.shop.audit() == []


async def test_the_seller_at_fault_pays_for_the_parcel(on_sqlite: Delivered) -> None:
    asked = (await on_sqlite.request(reason="DEFECTIVE"))["return"]
    assert (asked["refundAmount"]["amount"], asked["returnShippingFee"]["amount"]) == ("20000", "0")


async def test_what_did_not_come_back_is_not_refunded(shop: Shop) -> None:
    order_id = await paid_order(shop)
    await shop.tell(moved(order_id, "DELIVERED", delivered=True))
    some = await deliver(shop)
    id = await some.approved(some.coffee)
    assert (await some.receive(id, some.coffee, units=0))["userErrors"] == [{"code": "INVALID", "field": ["lines"]}]
    assert (await some.receive(id, some.coffee, units=2))["userErrors"] == [{"code": "INVALID", "field": ["lines"]}]
    assert (await some.receive(id, some.vitamin))["userErrors"] == [{"code": "INVALID", "field": ["lines"]}]


async def test_nothing_twice(delivered: Delivered) -> None:
    """The same key is the same return; the same decision, receipt and refund again change nothing."""
    key = new_ulid()
    first, again = [(await delivered.request(key=key))["return"]["id"] for _ in range(2)]
    assert first == again
    other = await delivered.request(delivered.coffee, key=key)
    assert other["userErrors"][0]["code"] == "IDEMPOTENCY_CONFLICT"
    for _ in range(2):
        assert (await delivered.decide(first))["return"]["status"] == "APPROVED"
    assert (await delivered.decide(first, yes=False))["userErrors"][0]["code"] == "NOT_ALLOWED"
    for _ in range(2):
        assert (await delivered.receive(first))["return"]["status"] == "RECEIVED"
    await delivered.shop.tell(completed(first, 17_000))
    await delivered.shop.tell(completed(first, 17_000))
    assert (await delivered.receive(first))["return"]["status"] == "REFUNDED"
    assert len(await delivered.refunds()) == 1
    assert [each.status for each in await delivered.changes()] == ["REQUESTED", "APPROVED", "RECEIVED", "REFUNDED"]


async def test_of_two_wishes_for_the_same_unit_one_is_granted(delivered: Delivered) -> None:
    """At the same moment: the order is held while its returns are counted."""
    answers = await asyncio.gather(*(delivered.request() for _ in range(4)))
    assert sorted(len(each["userErrors"]) for each in answers) == [0, 1, 1, 1]
    assert len((await delivered.see())["returns"]) == 1


async def test_a_unit_can_be_returned_after_a_return_of_it_ended_otherwise(on_sqlite: Delivered) -> None:
    """Cancelled by the buyer, or rejected by the seller; while it was open there was nothing to return."""
    first = (await on_sqlite.request())["return"]
    assert first["lines"][0]["orderLine"]["returnableQuantity"] == 0
    answer = (await on_sqlite.shop.ask(CANCEL, BUYER, id=first["id"]))["data"]["answer"]
    assert answer["return"]["status"] == "CANCELED"
    second = (await on_sqlite.request())["return"]["id"]
    assert (await on_sqlite.decide(second, yes=False))["return"]["status"] == "REJECTED"
    third = await on_sqlite.approved()
    assert (await on_sqlite.receive(third))["return"]["status"] == "RECEIVED"
    late = (await on_sqlite.shop.ask(CANCEL, BUYER, id=third))["data"]["answer"]
    assert late["userErrors"] == [{"code": "NOT_ALLOWED", "field": ["id"]}]


@pytest.mark.parametrize(
    ("days", "reason", "code"),
    [
        (6.9, "CHANGED_MIND", None),
        (7, "CHANGED_MIND", "RETURN_WINDOW_CLOSED"),
        (7, "OTHER", "RETURN_WINDOW_CLOSED"),
        (7, "DEFECTIVE", None),
        (89.9, "NOT_AS_DESCRIBED", None),
        (90, "DAMAGED_IN_TRANSIT", "RETURN_WINDOW_CLOSED"),
    ],
)
async def test_the_windows_of_the_law(on_sqlite: Delivered, days: float, reason: str, code: str | None) -> None:
    """Seven days for a change of mind, three months for the seller's fault, also after confirmation."""
    on_sqlite.shop.clock.forward(days=days)
    await on_sqlite.shop.sweeper.sweep()
    errors = (await on_sqlite.request(reason=reason))["userErrors"]
    assert [each["code"] for each in errors] == ([code] if code else [])


async def test_an_open_return_keeps_the_order_from_being_confirmed(on_sqlite: Delivered) -> None:
    """By the buyer or by time; once the return has ended, time confirms what was kept."""
    confirm = "mutation($id: ID!) { orderConfirm(id: $id) { userErrors { code } } }"
    id = await on_sqlite.approved()
    answer = await on_sqlite.shop.ask(confirm, BUYER, id=global_id("Order", on_sqlite.order_id))
    assert answer["data"]["orderConfirm"]["userErrors"] == [{"code": "NOT_ALLOWED"}]
    on_sqlite.shop.clock.forward(days=8)
    await on_sqlite.shop.sweeper.sweep()
    assert (await on_sqlite.see())["status"] == "DELIVERED"
    await on_sqlite.receive(id)
    await on_sqlite.shop.tell(completed(id, 17_000))
    await on_sqlite.shop.sweeper.sweep()
    assert (await on_sqlite.see())["status"] == "CONFIRMED"


async def test_an_unanswered_refund_is_asked_for_again(on_sqlite: Delivered) -> None:
    """Until payments answers; what it cannot refund is shown and not asked for any more."""
    id = await on_sqlite.approved()
    await on_sqlite.receive(id)
    on_sqlite.shop.clock.forward(seconds=31)
    await on_sqlite.shop.sweeper.sweep()
    assert len(await on_sqlite.refunds()) == 2
    await on_sqlite.shop.tell(RefundRejected(return_id=bare(id), code="REFUND_EXCEEDS_BALANCE", message="no"))
    on_sqlite.shop.clock.forward(days=1)
    await on_sqlite.shop.sweeper.sweep()
    assert len(await on_sqlite.refunds()) == 2
    assert (await on_sqlite.see())["returns"][0]["refundError"] == "REFUND_EXCEEDS_BALANCE: no"


async def test_others_returns_do_not_exist(on_sqlite: Delivered) -> None:
    """A stranger and the other seller neither see, ask, decide nor receive; without the scope nobody decides."""
    assert (await on_sqlite.request(user=STRANGER))["userErrors"][0]["code"] == "NOT_FOUND"
    coffee = (await on_sqlite.request(on_sqlite.coffee))["return"]["id"]
    for other in (SELLER, STRANGER):  # SELLER works for PARTNER, who did not sell the coffee
        assert (await on_sqlite.decide(coffee, user=other))["userErrors"][0]["code"] == "NOT_FOUND"
        assert (await on_sqlite.receive(coffee, on_sqlite.coffee, user=other))["userErrors"][0]["code"] == "NOT_FOUND"
    assert (await on_sqlite.see(SELLER))["returns"] == []
    answer = await on_sqlite.shop.ask(CANCEL, STRANGER, id=coffee)
    assert answer["data"]["answer"]["userErrors"][0]["code"] == "NOT_FOUND"
    refused = await on_sqlite.shop.ask(DECIDE, BUYER, id=coffee, yes=True)
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("units", [0, -1, 2, 2**31 - 1])
async def test_impossible_quantities_are_refused(on_sqlite: Delivered, units: int) -> None:
    assert (await on_sqlite.request(units=units))["userErrors"][0]["code"] == "INVALID"
    assert (await on_sqlite.see())["returns"] == []


async def test_two_sellers_take_two_returns(on_sqlite: Delivered) -> None:
    both = [{"orderLineId": id, "quantity": 1} for id in (on_sqlite.vitamin, on_sqlite.coffee)]
    assert (await on_sqlite.request(lines=both))["userErrors"][0]["code"] == "INVALID"
    assert (await on_sqlite.request(lines=[]))["userErrors"][0]["code"] == "INVALID"
    assert (await on_sqlite.request(note="x" * 501))["userErrors"][0]["field"] == ["note"]


async def test_what_has_not_arrived_cannot_be_returned(shop: Shop) -> None:
    order_id = await paid_order(shop)
    some = Delivered(shop, order_id, global_id("OrderLine", new_ulid()), global_id("OrderLine", new_ulid()))
    assert (await some.request())["userErrors"][0]["code"] == "RETURN_WINDOW_CLOSED"


UNITS = st.lists(st.builds(Sent, st.just("line"), st.integers(0, 999), st.integers(0, 10**9)), max_size=5)


@drawn(UNITS, st.integers(0, 10_000), st.integers(0, 10_000), st.booleans(), st.sampled_from(list(ReturnReason)))
def test_never_more_is_refunded_than_was_paid(
    sent: list[Sent], fee: int, shipping: int, whole: bool, reason: ReturnReason
) -> None:
    """At most the goods and the way there, never less than nothing; the fee never turns into a debt."""
    paid = sum(each.quantity * each.unit_price for each in sent) + shipping
    back = rules.refund(sent, rules.parcel_fee(reason, fee), shipping=shipping, whole_order=whole, reason=reason)
    assert 0 <= back <= paid


@drawn(st.lists(st.sampled_from(list(ReturnStatus)), max_size=8))
def test_a_return_ends(wishes: list[ReturnStatus]) -> None:
    """Whatever is wished for: each step is a legal one, no state comes twice, and the ends lead nowhere."""
    status, seen = ReturnStatus.REQUESTED, [ReturnStatus.REQUESTED]
    for wish in wishes:
        if wish in NEXT[status]:
            status = wish
            seen.append(status)
    assert len(seen) == len(set(seen))
    assert all(not NEXT[end] for end in (ReturnStatus.REFUNDED, ReturnStatus.REJECTED, ReturnStatus.CANCELED))


@drawn(st.sampled_from(list(OrderStatus)), st.sampled_from(list(ReturnReason)), st.timedeltas(timedelta(0)))
def test_only_goods_that_arrived_can_come_back(status: OrderStatus, reason: ReturnReason, later: timedelta) -> None:
    """And a confirmed order only for the seller's fault."""
    arrived = datetime(2026, 1, 1, tzinfo=UTC)
    now = arrived + min(later, timedelta(days=365))
    if rules.is_open(status, arrived, reason, now):
        assert status is OrderStatus.DELIVERED or (status is OrderStatus.CONFIRMED and reason in rules.SELLERS_FAULT)
    assert not rules.is_open(status, None, reason, now)
