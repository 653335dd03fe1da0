"""Who sees which orders, how lists are paged, and that reading costs no statement a row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.orders.service.saga import SEOUL
from tests.subgraphs.orders import conftest as given
from tests.subgraphs.orders.conftest import BUYER, SELLER, STAFF, STRANGER, Shop, place
from tests.subgraphs.orders.test_steps import moved, paid_order
from tests.support.statements import statements_of

ORDER = """query($id: ID, $number: String) { order(id: $id, number: $number) {
  id number status source buyer { id } placedAt confirmableFrom autoConfirmAt confirmedAt canceledAt cancelReason
  subtotal { amount } discount { amount } shipping { amount } total { amount currencyCode }
  shippingAddress { recipient phone postalCode line1 line2 deliveryNote } shippingAddressId
  lines { id productName sku quantity unitPrice { amount } total { amount } variant { id } partner { id } partnerId
    returnableQuantity }
  fulfillmentStatus nextTransitions steps { name status attempts lastError updatedAt } } }"""

ENTITIES = """query($r: [_Any!]!) { _entities(representations: $r) { __typename
  ... on Order { number total { amount } }
  ... on OrderLine { quantity partnerId }
  ... on Cart { version }
  ... on User { orders { totalCount edges { node { number } } } cart { id } }
  ... on Partner { orders { totalCount edges { node { number lines { productName } } } } }
  ... on ProductVariant { id } } }"""


async def read(shop: Shop, user: str | None, *, scopes: list[str] | None = None, **which: Any) -> Any:
    return (await shop.ask(ORDER, user, scopes=scopes or [], **which))["data"]["order"]


async def test_the_buyer_reads_all_of_his_order(any_shop: Shop) -> None:
    order_id = await paid_order(any_shop)
    order = await read(any_shop, BUYER, id=global_id("Order", order_id))
    assert order == await read(any_shop, BUYER, number=order["number"])
    assert order["buyer"] == {"id": global_id("User", BUYER)}
    assert order["shippingAddress"]["recipient"] == "김두레"
    assert order["shippingAddressId"] == global_id("Address", given.ADDRESS)
    assert order["total"] == {"amount": "36000", "currencyCode": "KRW"}
    assert [line["productName"] for line in order["lines"]] == ["비타민 C 1000 (60정)", "커피 (60정)"]
    assert [line["partnerId"] for line in order["lines"]] == [
        global_id("Partner", given.PARTNER),
        global_id("Partner", given.OTHER_PARTNER),
    ]
    assert order["fulfillmentStatus"] == "UNFULFILLED"
    assert order["nextTransitions"] == ["PREPARING", "SHIPPED", "CANCELED"]


async def test_an_order_keeps_the_names_and_prices_of_its_day(shop: Shop) -> None:
    order_id = await place(shop)
    await shop.tell(given.variant(given.VITAMIN, 99_000, given.PARTNER, version=2, product_name="새 이름"))
    await shop.tell(given.address(given.ADDRESS, BUYER, version=2, deleted=True))
    order = await read(shop, BUYER, id=global_id("Order", order_id))
    assert order["lines"][0]["unitPrice"]["amount"] == "20000"
    assert order["lines"][0]["productName"] == "비타민 C 1000 (60정)"
    assert order["shippingAddress"]["line1"] == "서울특별시 중구 세종대로 110"


async def test_delivery_opens_confirmation_and_return(shop: Shop) -> None:
    order_id = await paid_order(shop)
    await shop.tell(moved(order_id, "DELIVERED", delivered=True))
    order = await read(shop, BUYER, id=global_id("Order", order_id))
    assert order["nextTransitions"] == ["CONFIRMED", "RETURNED"]
    assert order["autoConfirmAt"] > order["confirmableFrom"]
    assert [line["returnableQuantity"] for line in order["lines"]] == [1, 1]
    shop.clock.forward(days=8)
    order = await read(shop, BUYER, id=global_id("Order", order_id))
    assert [line["returnableQuantity"] for line in order["lines"]] == [0, 0]


async def test_nobody_reads_anothers_order(shop: Shop) -> None:
    id = global_id("Order", await place(shop))
    number = (await read(shop, BUYER, id=id))["number"]
    assert await read(shop, STRANGER, id=id) is None
    assert await read(shop, STRANGER, number=number) is None
    assert await read(shop, BUYER, id=global_id("Order", new_ulid())) is None
    assert await read(shop, BUYER, id="nonsense") is None
    assert (await read(shop, STAFF, scopes=["orders:read"], id=id))["number"] == number
    anonymous = await shop.ask(ORDER, None, id=id)
    assert anonymous["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_seller_sees_his_own_lines_only(shop: Shop) -> None:
    id = global_id("Order", await place(shop))
    order = await read(shop, SELLER, id=id)
    assert [line["productName"] for line in order["lines"]] == ["비타민 C 1000 (60정)"]


async def entities(shop: Shop, user: str | None, *which: dict[str, Any], scopes: tuple[str, ...] = ()) -> Any:
    answer = await shop.ask(ENTITIES, user, scopes=scopes, r=list(which))
    return answer["data"]["_entities"]


async def test_entities_are_found_by_each_key_and_hidden_from_others(shop: Shop) -> None:
    order_id = await place(shop)
    id = global_id("Order", order_id)
    order = await read(shop, BUYER, id=id)
    which = [
        {"__typename": "Order", "id": id},
        {"__typename": "Order", "number": order["number"]},
        {"__typename": "OrderLine", "id": order["lines"][1]["id"]},
        {"__typename": "Order", "id": global_id("Order", new_ulid())},
        {"__typename": "Order", "id": 7},
        {"__typename": "ProductVariant", "id": global_id("ProductVariant", given.VITAMIN)},
        {"__typename": "ProductVariant", "id": id},
    ]
    found = await entities(shop, BUYER, *which)
    assert [each and each["__typename"] for each in found] == [
        "Order",
        "Order",
        "OrderLine",
        None,
        None,
        "ProductVariant",
        None,
    ]
    assert found[0] == found[1] == {"__typename": "Order", "number": order["number"], "total": {"amount": "36000"}}
    assert (await entities(shop, STRANGER, *which))[:5] == [None] * 5
    seller = await entities(shop, SELLER, *which)
    assert seller[0] is not None
    assert seller[2] is None, "another seller's line"


async def test_a_users_orders_are_his_own(shop: Shop) -> None:
    await place(shop)
    me = {"__typename": "User", "id": global_id("User", BUYER)}
    assert (await entities(shop, BUYER, me))[0]["orders"]["totalCount"] == 1
    assert (await entities(shop, STRANGER, me))[0] == {"__typename": "User", "orders": None, "cart": None}


async def test_a_sellers_orders_need_scope_and_membership(shop: Shop) -> None:
    await place(shop)
    partner = {"__typename": "Partner", "id": global_id("Partner", given.PARTNER)}
    (found,) = await entities(shop, SELLER, partner, scopes=("partner:self",))
    assert found["orders"]["totalCount"] == 1
    assert found["orders"]["edges"][0]["node"]["lines"] == [{"productName": "비타민 C 1000 (60정)"}]
    (other,) = await entities(shop, STRANGER, partner, scopes=("partner:self",))
    assert other["orders"] is None
    denied = await shop.ask(ENTITIES, SELLER, r=[partner])
    assert denied["errors"][0]["extensions"]["code"] == "FORBIDDEN"


LIST = """query($filter: OrderFilter, $first: Int, $after: String) {
  orders(filter: $filter, first: $first, after: $after) {
  totalCount edges { cursor node { id status } } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""


async def page(shop: Shop, **variables: Any) -> Any:
    return (await shop.ask(LIST, STAFF, scopes=["orders:read"], **variables))["data"]["orders"]


async def test_staff_page_through_all_orders_newest_first(any_shop: Shop) -> None:
    ids = {global_id("Order", await place(any_shop)) for _ in range(5)}
    seen, after, pages = [], None, 0
    while pages < 10:
        found = await page(any_shop, first=2, after=after)
        assert found["totalCount"] == 5
        seen += [edge["node"]["id"] for edge in found["edges"]]
        pages, after = pages + 1, found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert (set(seen), len(seen), pages) == (ids, 5, 3)
    denied = await any_shop.ask(LIST, BUYER)
    assert denied["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_filters_narrow_and_an_empty_list_matches_nothing(any_shop: Shop) -> None:
    shop = any_shop
    await place(shop)
    shop.clock.forward(hours=1)
    await paid_order(shop)
    since = (shop.clock() - timedelta(minutes=1)).isoformat()
    for filter, count in (
        ({"status": ["PAID"]}, 1),
        ({"status": ["PAID", "PENDING"]}, 2),
        ({"status": []}, 0),
        ({"source": ["CART"]}, 0),
        ({"source": ["BUY_NOW"], "placedFrom": since}, 1),
        ({"placedTo": since}, 1),
        ({"partnerId": global_id("Partner", given.PARTNER)}, 2),
        ({"partnerId": global_id("Partner", new_ulid())}, 0),
        ({"partnerId": "nonsense"}, 0),
    ):
        assert (await page(shop, filter=filter))["totalCount"] == count, filter


@pytest.mark.parametrize("variables", [{"first": 101}, {"first": -1}, {"after": "nonsense"}])
async def test_an_impossible_page_is_refused(shop: Shop, variables: dict[str, Any]) -> None:
    answer = await shop.ask(LIST, STAFF, scopes=["orders:read"], **variables)
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_longer_list_costs_no_more_statements(shop: Shop) -> None:
    query = "{ orders { edges { node { lines { sku } steps { name } buyer { id } } } } }"
    counts = []
    for _ in range(2):
        for _ in range(4):
            await place(shop)
        with statements_of(shop.runtime.database) as statements:
            answer = await shop.ask(query, STAFF, scopes=["orders:read"])
        counts.append(len(statements))
    assert len(answer["data"]["orders"]["edges"]) == 8
    assert counts == [2, 2], "orders and lines"


SALES = """query($r: [_Any!]!, $from: Date!, $to: Date!, $by: SalesGroup!) { _entities(representations: $r) {
  ... on Partner { salesSummary(from: $from, to: $to, groupBy: $by) { key orders quantity revenue { amount } } } } }"""


async def sales(shop: Shop, by: str, user: str = SELLER, **dates: str) -> Any:
    day = shop.clock().astimezone(SEOUL).date().isoformat()
    partner = {"__typename": "Partner", "id": global_id("Partner", given.PARTNER)}
    variables = {"from": day, "to": day, "by": by, "r": [partner]} | dates
    return await shop.ask(SALES, user, scopes=["partner:self"], **variables)


async def test_a_seller_sees_what_he_sold(any_shop: Shop) -> None:
    for _ in range(2):
        await paid_order(any_shop)
    await place(any_shop)
    today = any_shop.clock().astimezone(SEOUL)
    keys = {"DAY": f"{today:%Y-%m-%d}", "WEEK": f"{today:%G-W%V}", "MONTH": f"{today:%Y-%m}"}
    for by, key in keys.items():
        answer = await sales(any_shop, by)
        (bucket,) = answer["data"]["_entities"][0]["salesSummary"]
        assert bucket == {"key": key, "orders": 2, "quantity": 2, "revenue": {"amount": "40000"}}
    (bucket,) = (await sales(any_shop, "PRODUCT"))["data"]["_entities"][0]["salesSummary"]
    assert (bucket["orders"], bucket["revenue"]["amount"]) == (2, "40000")
    assert (await sales(any_shop, "DAY", STRANGER))["data"]["_entities"][0]["salesSummary"] is None


async def test_a_span_of_sales_is_1_to_366_days(shop: Shop) -> None:
    for dates in ({"from": "2026-01-02", "to": "2026-01-01"}, {"from": "2020-01-01", "to": "2026-01-01"}):
        answer = await sales(shop, "DAY", **dates)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def following(shop: Shop, query: str, user: str, **variables: Any) -> AsyncIterator[Any]:
    import time

    from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims

    scopes = ["partner:self"] if user == SELLER else []
    headers = {CLAIMS_HEADER: sign_claims(given.SECRET, {"sub": user, "scopes": scopes, "exp": time.time() + 60})}
    async for answer in shop.subgraph.endpoint.subscribe(query, variables, None, headers):
        yield answer


FOLLOW = "subscription($id: ID!) { orderUpdated(id: $id) { status steps { status } } }"


async def test_a_buyer_follows_his_order(shop: Shop) -> None:
    order_id = await place(shop)
    news = following(shop, FOLLOW, BUYER, id=global_id("Order", order_id))
    async with asyncio.timeout(10):
        assert (await anext(news))["data"]["orderUpdated"]["status"] == "PENDING"
        coming = asyncio.create_task(_until_paid(news))
        from tests.subgraphs.orders.test_steps import steps_to_paid

        await shop.tell(*steps_to_paid(shop, order_id))
        assert (await coming)[-1] == "PAID"
    await news.aclose()  # type: ignore[attr-defined]


async def _until_paid(news: AsyncIterator[Any]) -> list[str]:
    seen = []
    async for answer in news:
        seen.append(answer["data"]["orderUpdated"]["status"])
        if seen[-1] == "PAID":
            break
    return seen


async def test_nobody_follows_anothers_order(shop: Shop) -> None:
    news = following(shop, FOLLOW, STRANGER, id=global_id("Order", await place(shop)))
    assert (await anext(news))["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_seller_hears_of_each_paid_order_once(shop: Shop) -> None:
    query = "subscription($id: ID!) { partnerOrderReceived(partnerId: $id) { id lines { sku } } }"
    news = following(shop, query, SELLER, id=global_id("Partner", given.PARTNER))
    async with asyncio.timeout(10):
        for _ in range(2):
            coming: asyncio.Task[Any] = asyncio.create_task(anext(news))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            order_id = await paid_order(shop)
            received = (await coming)["data"]["partnerOrderReceived"]
            assert received["id"] == global_id("Order", order_id)
            assert len(received["lines"]) == 1
    await news.aclose()  # type: ignore[attr-defined]
    denied = following(shop, query, STRANGER, id=global_id("Partner", given.PARTNER))
    assert "errors" in await anext(denied)
