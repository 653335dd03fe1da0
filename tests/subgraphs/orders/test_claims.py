"""Orders on claims of flash sales: the claim's price, for its customer, once and in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from messaging.events.orders import OrderPlaced
from messaging.events.products import StockClaimed, StockClaimReleased
from subgraphs.kit.ids import global_id, new_ulid
from tests.subgraphs.orders.conftest import BUYER, ORDER_CREATE, STRANGER, VITAMIN, Shop, latest, wanted


async def claimed(shop: Shop, user: str = BUYER, **more: Any) -> dict[str, Any]:
    """A claim of one vitamin at 5000 won that orders has been told of; the facts of it."""
    facts: dict[str, Any] = {
        "claim_id": new_ulid(),
        "version": 1,
        "sale_id": new_ulid(),
        "user_id": user,
        "variant_id": VITAMIN,
        "quantity": 1,
        "unit_price": 5000,
        "currency": "KRW",
        "expires_at": shop.clock() + timedelta(minutes=10),
    }
    await shop.tell(StockClaimed(**(facts | more)))
    return facts | more


async def order(shop: Shop, claim: str, total: str = "8000", quantity: int = 1) -> tuple[Any, list[str]]:
    """The order on the claim, and the codes of the refusal."""
    lines = [{"variantId": global_id("ProductVariant", VITAMIN), "quantity": quantity}]
    wish = wanted(lines=lines, claimId=global_id("StockClaim", claim), expectedTotal=total)
    answer = await shop.ask(ORDER_CREATE, BUYER, input=wish, key=new_ulid())
    payload = answer["data"]["orderCreate"]
    return payload["order"], [error["code"] for error in payload["userErrors"]]


async def test_the_claims_price_is_paid_and_its_units_are_asked_for(any_shop: Shop) -> None:
    facts = await claimed(any_shop)
    made, errors = await order(any_shop, facts["claim_id"])
    assert errors == []
    assert made["total"]["amount"] == "8000"
    row = await latest(any_shop)
    assert (row.source, row.claim_id) == ("FLASH_SALE", facts["claim_id"])
    (asked,) = [each for each in await any_shop.told() if isinstance(each, OrderPlaced)]
    assert asked.claim_id == facts["claim_id"]
    assert await any_shop.audit() == []
    assert await order(any_shop, facts["claim_id"]) == (None, ["CLAIM_EXPIRED"]), "one order a claim"


@pytest.mark.parametrize("why", ["time", "released", "stranger", "lines"])
async def test_a_claim_that_does_not_hold_places_nothing(shop: Shop, why: str) -> None:
    facts = await claimed(shop, STRANGER if why == "stranger" else BUYER)
    if why == "time":
        shop.clock.forward(minutes=10)
    if why == "released":
        await shop.tell(StockClaimReleased(**(facts | {"version": 2}), reason="expired"))
    code = {"stranger": "NOT_FOUND", "lines": "INVALID"}.get(why, "CLAIM_EXPIRED")
    assert await order(shop, facts["claim_id"], quantity=2 if why == "lines" else 1) == (None, [code])


async def test_the_release_may_come_first(shop: Shop) -> None:
    facts = await claimed(shop, version=2)
    await shop.tell(StockClaimReleased(**(facts | {"version": 3}), reason="expired"))
    await shop.tell(StockClaimed(**(facts | {"version": 1})))
    assert (await order(shop, facts["claim_id"]))[1] == ["CLAIM_EXPIRED"]


async def test_without_a_claim_the_usual_price_is_due(shop: Shop) -> None:
    await claimed(shop)
    lines = [{"variantId": global_id("ProductVariant", VITAMIN), "quantity": 1}]
    answer = await shop.ask(ORDER_CREATE, BUYER, input=wanted(lines=lines, expectedTotal="8000"), key=new_ulid())
    assert answer["data"]["orderCreate"]["userErrors"][0]["code"] == "PRICE_CHANGED"
