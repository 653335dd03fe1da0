"""A refund that payments has refused is an operator's to settle: with another amount, or as given back already."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from messaging.events.payments import RefundCompleted, RefundRejected
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.orders.domain.returns import Sent, given_back
from tests.subgraphs.orders.conftest import BUYER, SELLER, STAFF, STRANGER, Shop
from tests.subgraphs.orders.test_returns import PARTS, Delivered, bare, completed, deliver

SETTLE = f"""mutation($id: ID!, $amount: Decimal!, $already: Boolean, $note: String!) {{
  answer: returnSettle(id: $id, amount: $amount, alreadyRefunded: $already, note: $note) {{
    return {{ {PARTS} settlementNote refundedAt }} userErrors {{ code field }} }} }}"""
LIST = "query($refused: Boolean) { orders(filter: {refundRefused: $refused}) { edges { node { id } } } }"


async def settle(some: Delivered, id: str, amount: str, already: bool = False, note: str = "by hand") -> Any:
    given = {"id": id, "amount": amount, "already": already, "note": note}
    answer = await some.shop.ask(SETTLE, STAFF, scopes=["refunds:write"], **given)
    return answer["data"]["answer"]


async def listed(some: Delivered, refused: bool) -> int:
    answer = await some.shop.ask(LIST, STAFF, scopes=["orders:read"], refused=refused)
    return len(answer["data"]["orders"]["edges"])


async def refused(some: Delivered) -> str:
    """A return of one vitamin, worth 17,000, whose refund payments has refused."""
    id = await some.approved()
    await some.receive(id)
    no = RefundRejected(return_id=bare(id), code="REFUND_EXCEEDS_BALANCE", message="More than is left.")
    await some.shop.tell(no)
    return id


@pytest.fixture
async def delivered(any_shop: Shop) -> Delivered:
    return await deliver(any_shop)


@pytest.fixture
async def on_sqlite(shop: Shop) -> Delivered:
    return await deliver(shop)


async def test_it_is_asked_for_anew_with_what_is_left(delivered: Delivered) -> None:
    """The goods' shares become smaller with it; the refund ends the return as ever, and the order goes on."""
    id = await refused(delivered)
    assert (await listed(delivered, True), await listed(delivered, False)) == (1, 0)
    answer = await settle(delivered, id, "5000")
    assert answer["userErrors"] == []
    shown = answer["return"]
    assert (shown["status"], shown["refundAmount"]["amount"], shown["refundError"]) == ("RECEIVED", "5000", None)
    assert shown["settlementNote"] == "by hand"
    assert await listed(delivered, True) == 0
    first, second = await delivered.refunds()
    assert [(each.amount, [line.amount for line in each.lines]) for each in (first, second)] == [
        (17_000, [20_000]),
        (5_000, [8_000]),
    ]
    await delivered.shop.tell(completed(id, 5_000))
    order = await delivered.see()
    assert (order["status"], order["returns"][0]["status"]) == ("DELIVERED", "REFUNDED")
    delivered.shop.clock.forward(days=8)
    await delivered.shop.sweeper.sweep()
    assert (await delivered.see())["status"] == "CONFIRMED"
    assert await delivered.shop.audit() == []


async def test_what_was_given_back_another_way_ends_it(delivered: Delivered) -> None:
    """Payments is not asked any more; the same word again, and a late answer, change nothing."""
    id = await refused(delivered)
    for _ in range(2):
        answer = await settle(delivered, id, "17000", already=True)
        assert answer["userErrors"] == []
        assert (answer["return"]["status"], answer["return"]["refundAmount"]["amount"]) == ("REFUNDED", "17000")
    assert (await settle(delivered, id, "16999", already=True))["userErrors"][0]["code"] == "NOT_ALLOWED"
    late = RefundCompleted(return_id=bare(id), payment_id=new_ulid(), amount=1, currency="KRW")
    await delivered.shop.tell(late)
    delivered.shop.clock.forward(days=1)
    await delivered.shop.sweeper.sweep()
    assert len(await delivered.refunds()) == 1
    assert [each.status for each in await delivered.changes()] == ["REQUESTED", "APPROVED", "RECEIVED", "REFUNDED"]
    assert await delivered.shop.audit() == []


async def test_refused_again_it_waits_for_another_word(on_sqlite: Delivered) -> None:
    """And an answer that never comes is asked for again, with the new amount."""
    id = await refused(on_sqlite)
    for _ in range(2):
        await settle(on_sqlite, id, "9000")
    assert len(await on_sqlite.refunds()) == 2, "said twice, asked once"
    on_sqlite.shop.clock.forward(seconds=31)
    await on_sqlite.shop.sweeper.sweep()
    assert [each.amount for each in await on_sqlite.refunds()] == [17_000, 9_000, 9_000]
    old = RefundRejected(return_id=bare(id), code="REFUND_EXCEEDS_BALANCE", message="no", amount=17_000)
    await on_sqlite.shop.tell(old)
    assert (await on_sqlite.see())["returns"][0]["refundError"] is None, "said of what is not asked for any more"
    await on_sqlite.shop.tell(RefundRejected(return_id=bare(id), code="NOT_ALLOWED", message="no", amount=9_000))
    assert (await on_sqlite.see())["returns"][0]["refundError"] == "NOT_ALLOWED: no"
    assert (await settle(on_sqlite, id, "0", already=True))["return"]["status"] == "REFUNDED"


@pytest.mark.parametrize(
    ("amount", "already", "note", "code"),
    [
        ("17001", False, "n", "INVALID"),
        ("17001", True, "n", "INVALID"),
        ("0", False, "n", "INVALID"),
        ("-1", True, "n", "INVALID"),
        ("0.5", False, "n", "INVALID"),
        ("NaN", False, "n", "INVALID"),
        ("5000", False, "  ", "REQUIRED"),
        ("5000", False, "x" * 501, "INVALID"),
    ],
)
async def test_bad_words_change_nothing(on_sqlite: Delivered, amount: str, already: bool, note: str, code: str) -> None:
    id = await refused(on_sqlite)
    before = (await on_sqlite.see())["returns"]
    assert [each["code"] for each in (await settle(on_sqlite, id, amount, already, note))["userErrors"]] == [code]
    assert (await on_sqlite.see())["returns"] == before
    assert len(await on_sqlite.refunds()) == 1


async def test_only_what_was_refused_is_settled_and_by_operators_only(on_sqlite: Delivered) -> None:
    """While payments is asked, and after the money went back, there is nothing to settle."""
    id = await on_sqlite.approved()
    assert (await settle(on_sqlite, id, "1"))["userErrors"] == [{"code": "NOT_ALLOWED", "field": ["id"]}]
    await on_sqlite.receive(id)
    assert (await settle(on_sqlite, id, "1", already=True))["userErrors"][0]["code"] == "NOT_ALLOWED"
    for who, scopes in ((BUYER, []), (SELLER, ["returns:write"]), (STRANGER, ["orders:read"])):
        answer = await on_sqlite.shop.ask(SETTLE, who, scopes=scopes, id=id, amount="1", note="n")
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    await on_sqlite.shop.tell(completed(id, 17_000))
    assert (await settle(on_sqlite, id, "17000", already=True))["userErrors"][0]["code"] == "NOT_ALLOWED"
    assert (await settle(on_sqlite, global_id("Return", new_ulid()), "1"))["userErrors"][0]["code"] == "NOT_FOUND"


LINES = st.lists(st.builds(Sent, st.just("line"), st.integers(0, 99), st.integers(0, 10**6)), min_size=1, max_size=5)


@drawn(LINES, st.integers(0, 10**9), st.integers(0, 10_000))
def test_the_shares_of_the_goods_are_what_is_given_back_for_them(lines: list[Sent], amount: int, fee: int) -> None:
    """Never more than their prices; all of the refund, and of what was kept of it, when that is less."""
    prices = [each.quantity * each.unit_price for each in lines]
    shares = given_back(lines, amount, fee)
    assert sum(shares) == min(sum(prices), amount + fee)
    if sum(shares) == sum(prices):
        assert shares == prices
    assert all(0 <= share <= price for share, price in zip(shares, prices, strict=True))
