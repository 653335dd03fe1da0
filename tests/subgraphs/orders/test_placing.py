"""Placing orders through the endpoint: what is accepted, what is refused, and that a refusal writes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from messaging.events.delivery import ShippingProfileChanged
from messaging.events.orders import OrderPlaced
from messaging.events.products import VariantChanged
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.orders import models
from tests.subgraphs.orders import conftest as given
from tests.subgraphs.orders.conftest import BUYER, ORDER_CREATE, Shop, wanted


async def create(shop: Shop, input: dict[str, Any], key: str | None = None, user: str = BUYER) -> Any:
    answer = await shop.ask(ORDER_CREATE, user, input=input, key=new_ulid() if key is None else key)
    assert "errors" not in answer, answer
    return answer["data"]["orderCreate"]


async def test_an_order_is_pending_and_its_stock_is_asked_for(any_shop: Shop) -> None:
    payload = await create(any_shop, wanted())
    order = payload["order"]
    assert payload["userErrors"] == []
    assert (order["status"], order["total"]["amount"], order["shipping"]["amount"]) == ("PENDING", "36000", "6000")
    assert 6 <= len(order["number"]) <= 64
    assert order["nextTransitions"] == ["AWAITING_PAYMENT", "PAID", "CANCELED", "EXPIRED"]
    (placed,) = await any_shop.told()
    assert isinstance(placed, OrderPlaced)
    assert (placed.buyer_id, placed.total, placed.order_number) == (BUYER, 36000, order["number"])
    assert [(line.variant_id, line.quantity) for line in placed.lines] == [(given.VITAMIN, 1), (given.COFFEE, 1)]
    assert await any_shop.audit() == []


def line(variant_id: str, quantity: int = 1) -> dict[str, Any]:
    return {"variantId": global_id("ProductVariant", variant_id), "quantity": quantity}


REFUSALS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "no lines": ({"lines": []}, "REQUIRED", ["input", "lines"]),
    "zero": ({"lines": [line(given.VITAMIN, 0)]}, "INVALID", ["input", "lines", "0", "quantity"]),
    "negative": ({"lines": [line(given.VITAMIN, -1)]}, "INVALID", ["input", "lines", "0", "quantity"]),
    "huge": ({"lines": [line(given.VITAMIN, 2**31 - 1)]}, "INVALID", ["input", "lines", "0", "quantity"]),
    "too many together": ({"lines": [line(given.VITAMIN, 999), line(given.VITAMIN)]}, "INVALID", ["input", "lines"]),
    "beyond the limit": ({"lines": [line(given.COFFEE, 6)]}, "INVALID", ["input", "lines"]),
    "51 lines": ({"lines": [line(new_ulid()) for _ in range(51)]}, "INVALID", ["input", "lines"]),
    "unknown variant": ({"lines": [line("01ARZ3NDEKTSV4RRFFQ69G5FAV")]}, "NOT_FOUND", ["input", "lines"]),
    "not for sale": ({"lines": [line(given.MUG)]}, "NOT_FOUND", ["input", "lines"]),
    "id of another type": (
        {"lines": [{"variantId": global_id("Product", given.VITAMIN), "quantity": 1}]},
        "NOT_FOUND",
        ["input", "lines", "0", "variantId"],
    ),
    "id from a year that is none": (
        {"lines": [line("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")]},
        "NOT_FOUND",
        ["input", "lines"],
    ),
    "no address": ({"addressId": ""}, "ADDRESS_REQUIRED", ["input", "addressId"]),
    "another's address": (
        {"addressId": global_id("Address", given.STRANGERS_ADDRESS)},
        "NOT_FOUND",
        ["input", "addressId"],
    ),
    "unknown address": (
        {"addressId": global_id("Address", "01ARZ3NDEKTSV4RRFFQ69G5FAV")},
        "NOT_FOUND",
        ["input", "addressId"],
    ),
    "another's card": (
        {"paymentMethodId": global_id("PaymentMethod", given.STRANGERS_CARD)},
        "NOT_FOUND",
        ["input", "paymentMethodId"],
    ),
    "empty payment method": ({"paymentMethodId": ""}, "PAYMENT_METHOD_REQUIRED", ["input", "paymentMethodId"]),
    "too little": ({"expectedTotal": "35999"}, "PRICE_CHANGED", ["input", "expectedTotal"]),
    "remote area costs more": (
        {"addressId": global_id("Address", given.REMOTE_ADDRESS)},
        "PRICE_CHANGED",
        ["input", "expectedTotal"],
    ),
    "part of a won": ({"expectedTotal": "36000.5"}, "INVALID", ["input", "expectedTotal"]),
    "not a number": ({"expectedTotal": "NaN"}, "INVALID", ["input", "expectedTotal"]),
    "infinite": ({"expectedTotal": "Infinity"}, "INVALID", ["input", "expectedTotal"]),
    "absurd": ({"expectedTotal": "1e400"}, "INVALID", ["input", "expectedTotal"]),
}


@pytest.mark.parametrize(("changes", "code", "field"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_refused_order_says_why_and_writes_nothing(
    shop: Shop, changes: dict[str, Any], code: str, field: list[str]
) -> None:
    payload = await create(shop, wanted(**changes))
    assert payload["order"] is None
    assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [(code, field)]
    for table in (models.orders, models.order_lines, models.sagas, models.outbox, models.idempotency):
        assert await shop.count(table) == 0, table.name


async def test_an_unverified_buyer_is_refused(shop: Shop) -> None:
    payload = await create(shop, wanted(), user=given.STRANGER)
    assert payload["userErrors"][0]["code"] == "NOT_ALLOWED"


async def test_a_seller_that_is_closed_sells_nothing(shop: Shop) -> None:
    from messaging.events.users import PartnerChanged

    await shop.tell(PartnerChanged(partner_id=given.PARTNER, version=2, slug="a", name="A", status="SUSPENDED"))
    assert (await create(shop, wanted()))["userErrors"][0]["code"] == "NOT_FOUND"


async def test_what_costs_nothing_is_not_ordered(shop: Shop) -> None:
    """No payment could be made of nothing. With its delivery to pay for, it is sold."""
    await shop.tell(given.variant(given.COFFEE, 0, given.OTHER_PARTNER, version=2))
    coffee = {"lines": [line(given.COFFEE)]}
    assert (await create(shop, wanted(**coffee, expectedTotal="3000")))["userErrors"] == []
    await shop.tell(
        ShippingProfileChanged(
            shipping_profile_id=given.PROFILE, version=2, name="free", currency="KRW", base_fee=0, remote_surcharge=0
        )
    )
    (refused,) = (await create(shop, wanted(**coffee, expectedTotal="0")))["userErrors"]
    assert (refused["code"], refused["field"]) == ("NOT_ALLOWED", ["input", "expectedTotal"])


async def test_an_anonymous_caller_cannot_order(shop: Shop) -> None:
    answer = await shop.ask(ORDER_CREATE, None, input=wanted(), key="k")
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert await shop.count(models.orders) == 0


async def test_the_same_variant_twice_is_one_line(shop: Shop) -> None:
    twice = [line(given.COFFEE, 2), line(given.COFFEE, 3)]
    payload = await create(shop, wanted(lines=twice, expectedTotal="50000"))
    assert payload["order"]["shipping"]["amount"] == "0", "free from 50000 won on"
    assert await shop.count(models.order_lines) == 1


async def test_a_remote_address_costs_its_surcharge_a_seller(shop: Shop) -> None:
    remote = wanted(addressId=global_id("Address", given.REMOTE_ADDRESS), expectedTotal="44000")
    assert (await create(shop, remote))["order"]["shipping"]["amount"] == "14000"


async def test_a_repeated_key_gives_the_same_order(any_shop: Shop) -> None:
    first, again = [await create(any_shop, wanted(), "key") for _ in range(2)]
    assert first["order"]["id"] == again["order"]["id"]
    assert await any_shop.count(models.orders) == 1


async def test_a_key_with_other_input_is_a_conflict(shop: Shop) -> None:
    await create(shop, wanted(), "key")
    other = await create(shop, wanted(addressId=global_id("Address", given.REMOTE_ADDRESS)), "key")
    assert other["userErrors"][0]["code"] == "IDEMPOTENCY_CONFLICT"
    assert await shop.count(models.orders) == 1


async def test_a_refused_key_may_be_used_again(shop: Shop) -> None:
    await create(shop, wanted(expectedTotal="1"), "key")
    assert (await create(shop, wanted(), "key"))["userErrors"] == []


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_1_to_255_characters(shop: Shop, key: str) -> None:
    assert (await create(shop, wanted(), key))["userErrors"][0]["code"] == "INVALID"


async def test_orders_at_once_share_transactions_and_refusals_stay_apart(any_shop: Shop) -> None:
    inputs = [wanted() if n % 3 else wanted(expectedTotal="1") for n in range(12)]
    payloads = await asyncio.gather(*(create(any_shop, each) for each in inputs))
    assert [bool(payload["order"]) for payload in payloads] == [bool(n % 3) for n in range(12)]
    assert await any_shop.count(models.orders) == 8
    assert await any_shop.count(models.idempotency) == 8


async def test_the_same_key_at_once_is_one_order(any_shop: Shop) -> None:
    payloads = await asyncio.gather(*(create(any_shop, wanted(), "key") for _ in range(5)))
    assert len({payload["order"]["id"] for payload in payloads}) == 1
    assert await any_shop.count(models.orders) == 1


async def test_an_address_made_a_moment_ago_is_waited_for(shop: Shop) -> None:
    fresh = new_ulid()
    ordering = asyncio.create_task(create(shop, wanted(addressId=global_id("Address", fresh))))
    await asyncio.sleep(0)
    await shop.tell(given.address(fresh, BUYER))
    assert (await ordering)["userErrors"] == []


async def test_an_older_fact_does_not_replace_a_newer_one(shop: Shop) -> None:
    newer = given.variant(given.VITAMIN, 25_000, given.PARTNER, version=3)
    older = given.variant(given.VITAMIN, 1, given.PARTNER, version=2)
    await shop.tell(newer, older)
    assert isinstance(newer, VariantChanged)
    assert (await create(shop, wanted(expectedTotal="41000")))["userErrors"] == []
