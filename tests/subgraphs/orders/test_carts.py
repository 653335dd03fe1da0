"""Carts: whose they are, what they cost, and that each becomes one order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.orders import models
from tests.subgraphs.orders import conftest as given
from tests.subgraphs.orders.conftest import BUYER, STRANGER, Shop

CART = """
  id version checkoutToken buyer { id }
  lines { id quantity variant { id } unitPrice { amount } unitPriceChange { amount } subtotal { amount } }
  cost { subtotal { amount } discount { amount } shipping { amount } total { amount currencyCode } estimated }
  warnings { code lineId }
"""
ADD = f"""mutation($cart: ID, $lines: [CartLineInput!]!) {{
  cartLinesAdd(cartId: $cart, lines: $lines) {{ cart {{ {CART} }} userErrors {{ code field }} }} }}"""
UPDATE = f"""mutation($cart: ID!, $line: ID!, $quantity: Int!) {{
  cartLinesUpdate(cartId: $cart, lineId: $line, quantity: $quantity) {{
    cart {{ {CART} }} userErrors {{ code field }} }} }}"""
REMOVE = f"""mutation($cart: ID!, $lines: [ID!]!) {{
  cartLinesRemove(cartId: $cart, lineIds: $lines) {{ cart {{ {CART} }} userErrors {{ code field }} }} }}"""
READ = f"query($id: ID) {{ cart(id: $id) {{ {CART} }} }}"
CHECKOUT = """mutation($input: CheckoutInput!, $key: String!) {
  checkoutComplete(input: $input, idempotencyKey: $key) { order { id total { amount } source }
    userErrors { code field } } }"""


def line(variant_id: str, quantity: int = 1) -> dict[str, Any]:
    return {"variantId": global_id("ProductVariant", variant_id), "quantity": quantity}


async def add(shop: Shop, user: str | None, *lines: dict[str, Any], cart: str | None = None) -> Any:
    answer = await shop.ask(ADD, user, cart=cart, lines=list(lines))
    assert "errors" not in answer, answer
    return answer["data"]["cartLinesAdd"]


async def filled(shop: Shop, user: str | None = BUYER, cart: str | None = None) -> Any:
    """A cart of 20000 + 2 x 10000 won and two parcels of 3000."""
    payload = await add(shop, user, line(given.VITAMIN), line(given.COFFEE, 2), cart=cart)
    assert payload["userErrors"] == []
    return payload["cart"]


async def checkout(shop: Shop, cart: Any, user: str = BUYER, **changes: Any) -> Any:
    key = changes.pop("key", new_ulid())
    input = {
        "cartId": cart["id"],
        "cartVersion": cart["version"],
        "addressId": global_id("Address", given.ADDRESS),
        "paymentMethodId": global_id("PaymentMethod", given.CARD),
        "expectedTotal": "46000",
    }
    answer = await shop.ask(CHECKOUT, user, input=input | changes, key=key)
    return answer["data"]["checkoutComplete"]


async def test_a_cart_shows_what_it_costs(any_shop: Shop) -> None:
    cart = await filled(any_shop)
    assert [(each["quantity"], each["subtotal"]["amount"]) for each in cart["lines"]] == [(1, "20000"), (2, "20000")]
    assert cart["cost"] == {
        "subtotal": {"amount": "40000"},
        "discount": {"amount": "0"},
        "shipping": {"amount": "6000"},
        "total": {"amount": "46000", "currencyCode": "KRW"},
        "estimated": True,
    }
    assert cart["warnings"] == []


async def test_a_users_cart_is_one_and_is_his(any_shop: Shop) -> None:
    first = await filled(any_shop)
    again = (await add(any_shop, BUYER, line(given.COFFEE)))["cart"]
    assert again["id"] == first["id"]
    assert [each["quantity"] for each in again["lines"]] == [1, 3]
    assert again["version"] > first["version"]
    assert (await any_shop.ask(READ, BUYER))["data"]["cart"]["id"] == first["id"]
    assert (await any_shop.ask(READ, STRANGER, id=first["id"]))["data"]["cart"] is None
    assert (await any_shop.ask(READ, None, id=first["id"]))["data"]["cart"] is None
    refused = await add(any_shop, STRANGER, line(given.COFFEE), cart=first["id"])
    assert refused == {"cart": None, "userErrors": [{"code": "NOT_FOUND", "field": ["cartId"]}]}


async def test_two_first_adds_at_once_make_one_cart(any_shop: Shop) -> None:
    carts = await asyncio.gather(*(add(any_shop, BUYER, line(given.VITAMIN)) for _ in range(4)))
    assert len({payload["cart"]["id"] for payload in carts}) == 1
    cart = (await any_shop.ask(READ, BUYER))["data"]["cart"]
    assert cart["lines"][0]["quantity"] == 4


async def test_an_anonymous_cart_is_open_to_whoever_has_its_id(shop: Shop) -> None:
    cart = await filled(shop, None)
    assert cart["buyer"] is None
    assert len(cart["checkoutToken"]) >= 32
    assert (await shop.ask(READ, None, id=cart["id"]))["data"]["cart"]["id"] == cart["id"]
    assert (await shop.ask(READ, None))["data"]["cart"] is None
    other = await filled(shop, None)
    assert other["id"] != cart["id"]


async def test_a_user_without_a_cart_keeps_the_anonymous_one(shop: Shop) -> None:
    cart = await filled(shop, None)
    mine = (await add(shop, BUYER, line(given.VITAMIN), cart=cart["id"]))["cart"]
    assert mine["buyer"] == {"id": global_id("User", BUYER)}
    assert (await shop.ask(READ, None, id=cart["id"]))["data"]["cart"] is None


async def test_lines_are_changed_and_removed(shop: Shop) -> None:
    cart = await filled(shop)
    first, second = (each["id"] for each in cart["lines"])
    answer = await shop.ask(UPDATE, BUYER, cart=cart["id"], line=first, quantity=3)
    assert answer["data"]["cartLinesUpdate"]["cart"]["lines"][0]["quantity"] == 3
    answer = await shop.ask(REMOVE, BUYER, cart=cart["id"], lines=[second])
    assert [each["id"] for each in answer["data"]["cartLinesRemove"]["cart"]["lines"]] == [first]


@pytest.mark.parametrize(
    ("lines", "code", "field"),
    [
        ([], "REQUIRED", ["lines"]),
        ([line(given.VITAMIN, 0)], "INVALID", ["lines", "0", "quantity"]),
        ([line(given.VITAMIN, -3)], "INVALID", ["lines", "0", "quantity"]),
        ([line(given.VITAMIN), line(given.VITAMIN, 999)], "INVALID", ["lines", "1", "quantity"]),
        ([line(given.COFFEE, 6)], "INVALID", ["lines", "0", "quantity"]),
        ([line(given.VITAMIN), line(given.MUG)], "NOT_FOUND", ["lines", "1", "variantId"]),
        ([line("01ARZ3NDEKTSV4RRFFQ69G5FAV")], "NOT_FOUND", ["lines", "0", "variantId"]),
        ([{"variantId": "nonsense", "quantity": 1}], "NOT_FOUND", ["lines", "0", "variantId"]),
    ],
)
async def test_what_cannot_be_added_adds_nothing(shop: Shop, lines: list[Any], code: str, field: list[str]) -> None:
    assert (await add(shop, BUYER, *lines))["userErrors"] == [{"code": code, "field": field}]
    assert await shop.count(models.carts) == 0
    assert await shop.count(models.cart_lines) == 0


async def test_what_cannot_be_changed_changes_nothing(shop: Shop) -> None:
    cart = await filled(shop)
    vitamin, coffee = (each["id"] for each in cart["lines"])
    stranger = global_id("CartLine", new_ulid())
    for query, variables, code, field in (
        (UPDATE, {"line": vitamin, "quantity": 0}, "INVALID", ["quantity"]),
        (UPDATE, {"line": coffee, "quantity": 6}, "INVALID", ["quantity"]),
        (UPDATE, {"line": stranger, "quantity": 1}, "NOT_FOUND", ["lineId"]),
        (REMOVE, {"lines": []}, "REQUIRED", ["lineIds"]),
        (REMOVE, {"lines": [vitamin, stranger]}, "NOT_FOUND", ["lineIds"]),
    ):
        (payload,) = (await shop.ask(query, BUYER, cart=cart["id"], **variables))["data"].values()
        assert payload == {"cart": None, "userErrors": [{"code": code, "field": field}]}
    assert (await shop.ask(READ, BUYER))["data"]["cart"] == cart


async def test_a_changed_price_and_a_vanished_product_are_warned_of(shop: Shop) -> None:
    await filled(shop)
    await shop.tell(
        given.variant(given.VITAMIN, 21_000, given.PARTNER, version=2),
        given.variant(given.COFFEE, 10_000, given.OTHER_PARTNER, version=2, purchasable=False),
    )
    cart = (await shop.ask(READ, BUYER))["data"]["cart"]
    assert [each["code"] for each in cart["warnings"]] == ["PRICE_CHANGED", "PRODUCT_UNAVAILABLE"]
    assert cart["lines"][0]["unitPriceChange"] == {"amount": "1000"}
    assert cart["cost"]["total"]["amount"] == "24000", "what can be bought"


async def test_a_cart_becomes_one_order(any_shop: Shop) -> None:
    cart = await filled(any_shop)
    payloads = await asyncio.gather(*(checkout(any_shop, cart) for _ in range(3)))
    placed = [payload["order"] for payload in payloads if payload["order"]]
    refused = [payload["userErrors"][0] for payload in payloads if not payload["order"]]
    assert [(order["total"]["amount"], order["source"]) for order in placed] == [("46000", "CART")]
    assert refused == [{"code": "NOT_FOUND", "field": ["input", "cartId"]}] * 2
    assert await any_shop.count(models.orders) == 1
    assert await any_shop.count(models.carts) == await any_shop.count(models.cart_lines) == 0


async def test_a_checkout_repeated_with_its_key_gives_its_order(shop: Shop) -> None:
    cart = await filled(shop)
    first, again = [await checkout(shop, cart, key="k") for _ in range(2)]
    assert first["order"]["id"] == again["order"]["id"]


async def test_an_anonymous_cart_can_be_ordered_after_signing_in(shop: Shop) -> None:
    assert (await checkout(shop, await filled(shop, None)))["userErrors"] == []


async def test_a_refused_checkout_leaves_the_cart(shop: Shop) -> None:
    cart = await filled(shop)
    for changes, code, field in (
        ({"cartVersion": cart["version"] - 1}, "VERSION_CONFLICT", "cartVersion"),
        ({"expectedTotal": "1"}, "PRICE_CHANGED", "expectedTotal"),
        ({"cartId": global_id("Cart", new_ulid())}, "NOT_FOUND", "cartId"),
        ({"cartId": cart["lines"][0]["id"]}, "NOT_FOUND", "cartId"),
    ):
        payload = await checkout(shop, cart, **changes)
        assert payload == {"order": None, "userErrors": [{"code": code, "field": ["input", field]}]}
    assert (await checkout(shop, cart, STRANGER))["userErrors"][0]["code"] == "NOT_ALLOWED"
    assert (await shop.ask(READ, BUYER))["data"]["cart"] == cart
    assert await shop.count(models.orders) == 0


async def test_an_empty_cart_is_not_ordered(shop: Shop) -> None:
    cart = await filled(shop)
    lines = [each["id"] for each in cart["lines"]]
    emptied = (await shop.ask(REMOVE, BUYER, cart=cart["id"], lines=lines))["data"]["cartLinesRemove"]["cart"]
    assert emptied["cost"]["total"]["amount"] == "0"
    assert (await checkout(shop, emptied))["userErrors"][0]["code"] == "CART_EMPTY"


async def test_forgotten_anonymous_carts_go_and_others_stay(any_shop: Shop) -> None:
    await filled(any_shop, None)
    mine = await filled(any_shop)
    any_shop.clock.forward(days=31)
    await any_shop.sweeper.prune()
    assert await any_shop.count(models.carts) == 1
    assert (await any_shop.ask(READ, BUYER))["data"]["cart"]["id"] == mine["id"]
