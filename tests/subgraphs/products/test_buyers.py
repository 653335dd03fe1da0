"""Wishlists and reviews, and what the stock keeper does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from messaging.events.delivery import ShipmentChanged
from messaging.events.orders import OrderConfirmed, OrderLineFacts, OrderPaid
from messaging.events.users import UserChanged
from subgraphs.kit.ids import global_id, new_ulid
from tests.subgraphs.products.conftest import Product, World, order_of

WISH = "mutation($id: ID!) { wishlistAdd(productId: $id) { product { isWishlisted } userErrors { code field } } }"
UNWISH = "mutation($id: ID!) { wishlistRemove(productId: $id) { product { isWishlisted } userErrors { code field } } }"
WISHLIST = """query($r: [_Any!]!, $n: Int, $a: String) { _entities(representations: $r) { ... on User {
  wishlist(first: $n, after: $a) { totalCount pageInfo { hasNextPage endCursor } edges { node { id name } } } } } }"""
REVIEW = """mutation($id: ID!, $stars: Int!, $body: String!) {
  reviewCreate(productId: $id, rating: $stars, body: $body) {
    review { id rating verifiedPurchase author { id displayName avatarUrl } } userErrors { code field } } }"""
REVIEWS = """query($id: ID!, $sort: ReviewSort, $n: Int, $a: String) { product(id: $id) { rating { average count }
  reviews(first: $n, after: $a, sort: $sort) { totalCount pageInfo { endCursor hasNextPage }
    edges { node { body author { displayName } } } } } }"""


def me(user: str) -> list[dict[str, str]]:
    return [{"__typename": "User", "id": global_id("User", user)}]


async def test_a_wishlist_has_each_product_once_the_newest_first(world: World) -> None:
    products = [await world.publish(name, name) for name in ("One", "Two", "Three")]
    user = new_ulid()
    for product in (*products, products[0]):
        answer = (await world.data(WISH, user, id=product.id))["wishlistAdd"]
        assert answer == {"product": {"isWishlisted": True}, "userErrors": []}
    first = (await world.data(WISHLIST, user, r=me(user), n=2))["_entities"][0]["wishlist"]
    assert [edge["node"]["name"] for edge in first["edges"]] == ["Three", "Two"]
    assert first["totalCount"] == 3
    rest = (await world.data(WISHLIST, user, r=me(user), n=2, a=first["pageInfo"]["endCursor"]))["_entities"][0]
    assert [edge["node"]["name"] for edge in rest["wishlist"]["edges"]] == ["One"]
    for _ in range(2):
        answer = (await world.data(UNWISH, user, id=products[0].id))["wishlistRemove"]
        assert answer == {"product": {"isWishlisted": False}, "userErrors": []}
    assert (await world.data(WISHLIST, new_ulid(), r=me(user)))["_entities"] == [{"wishlist": None}], "not yours"


@pytest.mark.parametrize("mutation", [WISH, UNWISH])
async def test_a_wish_for_nothing_is_refused(world: World, mutation: str) -> None:
    for bad in ("nonsense", global_id("Product", new_ulid()), global_id("ProductVariant", new_ulid())):
        (payload,) = (await world.data(mutation, new_ulid(), id=bad)).values()
        assert payload["userErrors"] == [{"code": "NOT_FOUND", "field": ["productId"]}]
    answer = await world.ask(mutation, None, id="x")
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def bought(kind: type[Any], user: str, product: Product, order_id: str | None = None, **more: Any) -> Any:
    line = OrderLineFacts(order_line_id=new_ulid(), variant_id=product.ulids[0], quantity=2, total=20000)
    return kind(order_id=order_id or new_ulid(), buyer_id=user, lines=(line,), **more)


PAID = {"order_number": "N-1", "total": 20000, "currency": "KRW"}


def delivered(order_id: str, world: World) -> ShipmentChanged:
    return ShipmentChanged(
        shipment_id=new_ulid(),
        version=5,
        status="DELIVERED",
        occurred_at=world.clock(),
        order_id=order_id,
        order_fulfillment="FULFILLED",
        order_delivered=True,
    )


async def review(world: World, user: str, product: Product, stars: int = 5, body: str = "Good.") -> Any:
    return (await world.data(REVIEW, user, id=product.id, stars=stars, body=body))["reviewCreate"]


async def test_who_has_not_received_it_does_not_review_it(world: World) -> None:
    product, other = await world.publish("One", "O-1"), await world.publish("Two", "T-1")
    user, order_id = new_ulid(), new_ulid()
    refused = {"review": None, "userErrors": [{"code": "NOT_PURCHASED", "field": ["productId"]}]}
    assert await review(world, user, product) == refused
    await world.tell(bought(OrderPaid, user, product, order_id, **PAID))
    assert await review(world, user, product) == refused, "paid, not delivered"
    await world.tell(delivered(order_id, world))
    assert (await review(world, user, product))["userErrors"] == []
    assert await review(world, user, other) == refused
    assert await review(world, new_ulid(), product) == refused


async def test_a_confirmed_order_grants_the_right_in_any_order_of_events(world: World) -> None:
    product = await world.publish("One", "O-1")
    user, early = new_ulid(), new_ulid()
    await world.tell(bought(OrderConfirmed, user, product))
    assert (await review(world, user, product))["review"]["verifiedPurchase"] is True
    late = new_ulid()
    await world.tell(delivered(early, world))
    await world.tell(bought(OrderPaid, late, product, early, **PAID))
    assert (await review(world, late, product))["userErrors"] == []


async def test_a_product_is_reviewed_once_even_by_racing_requests(world: World) -> None:
    product, user = await world.publish("One", "O-1"), new_ulid()
    await world.tell(bought(OrderConfirmed, user, product))
    answers = await asyncio.gather(*(review(world, user, product, stars) for stars in (1, 3, 5)))
    assert sorted(len(answer["userErrors"]) for answer in answers) == [0, 1, 1]
    assert {answer["userErrors"][0]["code"] for answer in answers if answer["userErrors"]} == {"UNIQUE"}
    assert (await world.data(REVIEWS, id=product.id))["product"]["rating"]["count"] == 1
    assert await world.violations() == []


@pytest.mark.parametrize(
    ("stars", "body", "field"), [(0, "x", "rating"), (6, "x", "rating"), (5, " ", "body"), (5, "x" * 5001, "body")]
)
async def test_a_review_without_sense_is_refused(world: World, stars: int, body: str, field: str) -> None:
    product, user = await world.publish("One", "O-1"), new_ulid()
    await world.tell(bought(OrderConfirmed, user, product))
    assert (await review(world, user, product, stars, body))["userErrors"] == [{"code": "INVALID", "field": [field]}]


async def test_reviews_show_who_wrote_them_and_forget_who_withdrew(world: World) -> None:
    product, users = await world.publish("One", "O-1"), [new_ulid() for _ in range(3)]
    facts = [UserChanged(user_id=user, version=2, display_name=f"u{n}") for n, user in enumerate(users)]
    await world.tell(*facts)
    await world.tell(UserChanged(user_id=users[0], version=1, display_name="an older name"))
    for stars, user in zip((5, 4, 1), users, strict=True):
        await world.tell(bought(OrderConfirmed, user, product))
        assert (await review(world, user, product, stars, "x" * stars))["userErrors"] == []
    await world.tell(UserChanged(user_id=users[2], version=3, display_name="", deleted=True))
    page = (await world.data(REVIEWS, id=product.id, sort="RATING_DESC", n=2))["product"]
    assert page["rating"] == {"average": "3.33", "count": 3}
    names = [edge["node"]["author"]["displayName"] for edge in page["reviews"]["edges"]]
    assert (names, page["reviews"]["totalCount"]) == (["u0", "u1"], 3)
    after = page["reviews"]["pageInfo"]["endCursor"]
    rest = (await world.data(REVIEWS, id=product.id, sort="RATING_DESC", a=after))["product"]["reviews"]
    assert [edge["node"]["author"] for edge in rest["edges"]] == [None]
    for sort in ("HELPFUL", "NEWEST"):
        first = (await world.data(REVIEWS, id=product.id, sort=sort, n=1))["product"]["reviews"]
        second = (await world.data(REVIEWS, id=product.id, sort=sort, n=5, a=first["pageInfo"]["endCursor"]))["product"]
        bodies = [edge["node"]["body"] for page in (first, second["reviews"]) for edge in page["edges"]]
        assert sorted(bodies) == ["x", "xxxx", "xxxxx"]


ADJUST = """mutation($id: ID!, $delta: Int!, $key: String!) {
  inventoryAdjust(variantId: $id, delta: $delta, reason: "broken", idempotencyKey: $key) { variant { availableQuantity }
    userErrors { code field ... on InsufficientStockError { variantId availableQuantity } } } }"""
SET = """mutation($id: ID!, $to: Int!, $was: Int!, $key: String!) {
  inventorySet(variantId: $id, onHand: $to, compareOnHand: $was, idempotencyKey: $key) { variant { availableQuantity }
    userErrors { code field ... on InsufficientStockError { availableQuantity } } } }"""
LEDGER = """query($id: ID!, $n: Int, $a: String) { stockMovements(variantId: $id, first: $n, after: $a) {
  pageInfo { hasNextPage endCursor } edges { node { type quantity balanceAfter causeId } } } }"""


async def adjust(world: World, variant: str, delta: int, key: str | None = None, user: str | None = None) -> Any:
    data = await world.data(ADJUST, user or world.seller, id=variant, delta=delta, key=key or new_ulid())
    return data["inventoryAdjust"]


async def test_stock_is_adjusted_once_for_a_key(world: World) -> None:
    product = await world.publish("One", "O-1", units=10)
    for _ in range(2):
        assert (await adjust(world, product.variants[0], -4, "key"))["variant"] == {"availableQuantity": 6}
    conflict = await adjust(world, product.variants[0], -5, "key")
    assert conflict["userErrors"] == [{"code": "IDEMPOTENCY_CONFLICT", "field": ["idempotencyKey"]}]
    assert await world.level(product.ulids[0]) == (6, 0, 0)
    assert await world.violations() == []


async def test_units_that_are_promised_can_not_be_taken_away(world: World) -> None:
    product = await world.publish("One", "O-1", units=10)
    await world.tell(order_of(**{product.ulids[0]: 7}))
    short = {
        "code": "INSUFFICIENT_STOCK",
        "field": ["delta"],
        "variantId": product.variants[0],
        "availableQuantity": 3,
    }
    assert (await adjust(world, product.variants[0], -4, "key"))["userErrors"] == [short]
    assert (await adjust(world, product.variants[0], -3, "key"))["userErrors"] == [], "a refusal leaves no key"
    answer = await world.data(SET, world.seller, id=product.variants[0], to=6, was=7, key="s")
    assert answer["inventorySet"]["userErrors"][0]["code"] == "INSUFFICIENT_STOCK"


@pytest.mark.parametrize("delta", [0, 2**31 - 1, -(2**31)])
async def test_an_adjustment_without_sense_is_refused(world: World, delta: int) -> None:
    product = await world.publish("One", "O-1", units=10)
    assert (await adjust(world, product.variants[0], delta))["userErrors"] == [{"code": "INVALID", "field": ["delta"]}]
    assert await world.level(product.ulids[0]) == (10, 0, 0)


async def test_a_count_holds_only_while_nobody_else_has_counted(world: World) -> None:
    product = await world.publish("One", "O-1", units=10)

    async def set_to(to: int, was: int) -> Any:
        data = await world.data(SET, world.seller, id=product.variants[0], to=to, was=was, key=new_ulid())
        return data["inventorySet"]

    assert (await set_to(8, 10))["variant"] == {"availableQuantity": 8}
    assert (await set_to(9, 10))["userErrors"] == [{"code": "VERSION_CONFLICT", "field": ["compareOnHand"]}]
    assert (await set_to(-1, 8))["userErrors"] == [{"code": "INVALID", "field": ["onHand"]}]
    assert await world.level(product.ulids[0]) == (8, 0, 0)


async def test_another_sellers_stock_is_closed(world: World) -> None:
    product = await world.publish("One", "O-1")
    stranger = new_ulid()
    given = {"id": product.variants[0], "delta": 1, "key": "k"}
    answer = await world.ask(ADJUST, stranger, scopes=["inventory:write"], **given)
    assert answer["data"]["inventoryAdjust"]["userErrors"] == [{"code": "NOT_ALLOWED", "field": ["variantId"]}]
    assert "errors" in await world.ask(ADJUST, stranger, scopes=[], **given)
    missing = await adjust(world, global_id("ProductVariant", new_ulid()), 1)
    assert missing["userErrors"] == [{"code": "NOT_FOUND", "field": ["variantId"]}]
    query = "query($id: ID!) { productVariant(id: $id) { availableQuantity inventory { onHand available } } }"
    mine = await world.data(query, world.seller, id=product.variants[0])
    assert mine["productVariant"]["inventory"] == {"onHand": 10, "available": 10}
    closed = await world.ask(query, stranger, scopes=["inventory:read"], id=product.variants[0])
    assert closed["data"]["productVariant"] == {"availableQuantity": 10, "inventory": None}
    assert "errors" in await world.ask(query, stranger, scopes=[], id=product.variants[0])
    ledger = await world.ask(LEDGER, stranger, scopes=["inventory:read"], id=product.variants[0])
    assert ledger["data"] == {"stockMovements": None}


async def test_the_ledger_tells_the_newest_first_what_was_left(world: World) -> None:
    product = await world.publish("One", "O-1", units=10)
    request = order_of(**{product.ulids[0]: 3})
    await world.tell(request)
    await adjust(world, product.variants[0], -2)
    page = (await world.data(LEDGER, world.seller, id=product.variants[0], n=2))["stockMovements"]
    assert [edge["node"] for edge in page["edges"]] == [
        {"type": "ADJUSTED", "quantity": -2, "balanceAfter": 5, "causeId": None},
        {"type": "RESERVED", "quantity": 3, "balanceAfter": 7, "causeId": global_id("Order", request.order_id)},
    ]
    after = page["pageInfo"]["endCursor"]
    rest = (await world.data(LEDGER, world.seller, id=product.variants[0], a=after))["stockMovements"]
    assert [edge["node"]["type"] for edge in rest["edges"]] == ["RECEIVED"]
    assert rest["pageInfo"]["hasNextPage"] is False
