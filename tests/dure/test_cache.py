"""The router's cache in front of the whole shop: quick for everybody, and never somebody else's or old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dure.demo.client import Shop, Unexpected
from tests.dure.shop import ShopProcess, visiting

pytestmark = pytest.mark.e2e

PASSWORD = "a demo password"
SECRET = "purge it"
SLUG = "baekdu-health-00-tablets"
PAGE = """
query Page($slug: String!) {
  product(slug: $slug) {
    id slug name description type version status
    priceRange { min { amount } max { amount } }
    categories { id name }
    nutrients { amount nutrient { name } }
    rating { average count }
    variants { id sku name price { amount currencyCode } weightGrams
      shippingEstimate(postalCode: "06236") { fee { amount } deliverTo } }
    partner { id name slug status description }
    reviews(first: 3) { edges { node { rating body author { displayName } } } }
  }
}"""
UPDATE = """
mutation($id: ID!, $version: Int!, $input: ProductInput!) {
  productUpdate(id: $id, version: $version, input: $input) { product { version } userErrors { code message field } }
}"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopProcess]:
    """A shop in one process."""
    folder: Path = tmp_path_factory.mktemp("cached")
    environment = {
        "DURE_DEMO_PASSWORD": PASSWORD,
        "ROUTER_CACHE__INVALIDATION_SECRET": SECRET,
        # A busy machine is not what these tests are about.
        "ROUTER_RESILIENCE__LAG": "10",
        "ROUTER_SUBGRAPH_TIMEOUT": "20",
        "ROUTER_REQUEST_TIMEOUT": "30",
    }
    process = ShopProcess(folder, environment)
    asyncio.run(process.start())
    yield process
    asyncio.run(process.stop())


@asynccontextmanager
async def signed_in(shop: ShopProcess, *emails: str) -> AsyncIterator[list[Shop]]:
    """Clients of these people; an empty address is a stranger's."""
    async with AsyncExitStack() as stack:
        found = []
        for email in emails:
            visitor = await stack.enter_async_context(visiting(shop.url))
            if email:
                answer = await visitor.ask("log_in", email=email, password=PASSWORD)
                visitor.log_in(answer.data["tokenCreate"]["tokens"]["accessToken"])
            found.append(visitor)
        yield found


OPERATOR = "operator@dure.example"
SELLER = "owner@baekdu-health.example"
OTHER_SELLER = "owner@hanbit-lab.example"
CUSTOMERS = "customer20@people.example", "customer21@people.example"


async def fetches(visitor: Shop, text: str, **variables: Any) -> tuple[int, dict[str, Any]]:
    """How many requests to subgraphs an answer took, and the answer."""
    answer = await visitor.ask_text(text, **variables)
    assert answer.cost is not None
    return answer.cost.fetches, answer.data


def draft(product: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a seller sends to say the same of a product again, but for ``changes``; ``price`` is every variant's."""
    price = changes.pop("price", None)
    return {
        "name": product["name"],
        "description": product["description"],
        "type": product["type"],
        "categoryIds": [each["id"] for each in product["categories"]],
        "variants": [
            {
                "sku": each["sku"],
                "name": each["name"],
                "price": price or each["price"]["amount"],
                "weightGrams": each["weightGrams"],
            }
            for each in product["variants"]
        ],
        **changes,
    }


async def test_a_hot_page_costs_the_subgraphs_nothing(shop: ShopProcess) -> None:
    """From the second reader on, whoever it is and whatever browser, all parts come from the cache."""
    async with signed_in(shop, "", "", CUSTOMERS[0]) as (first, second, customer):
        began, page = await fetches(first, PAGE, slug=SLUG)
        assert began >= 3
        for visitor in (second, customer):
            assert await fetches(visitor, PAGE, slug=SLUG) == (0, page)
    headers = {"user-agent": "another", "accept-language": "en", "x-forwarded-for": "192.0.2.1", "router-plan": "1"}
    body = {"query": PAGE, "variables": {"slug": SLUG}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{shop.url}/graphql", json=body, headers=headers) as response,
    ):
        answer = await response.json()
    assert (answer["extensions"]["plan"]["fetches"], answer["data"]) == (0, page)


async def test_a_new_price_is_seen_as_soon_as_its_event_is_consumed(shop: ShopProcess) -> None:
    """The page lives a minute; the seller's change takes it away long before, by its own id and by its variants'."""
    await sees_a_new_price(shop)


async def sees_a_new_price(shop: ShopProcess) -> None:
    """Read a page twice, change it, read until it is new. The shop's ``DURE_DEMO_PASSWORD`` is PASSWORD."""
    by_variant = "query($id: ID!) { productVariant(id: $id) { name price { amount } product { name } } }"
    async with signed_in(shop, "", SELLER) as (visitor, seller):
        product = (await fetches(visitor, PAGE, slug=SLUG))[1]["product"]
        assert (await fetches(visitor, PAGE, slug=SLUG))[0] == 0, "it was kept"
        variant = product["variants"][0]
        await fetches(visitor, by_variant, id=variant["id"])
        price = str(int(variant["price"]["amount"]) + 700)
        changed = draft(product, price=price, description="새로 쓴 설명")
        await seller.ask_text(UPDATE, id=product["id"], version=product["version"], input=changed)
        deadline = time.monotonic() + 20
        while True:
            seen = (await fetches(visitor, PAGE, slug=SLUG))[1]["product"]
            if seen["variants"][0]["price"]["amount"] == price:
                break
            assert time.monotonic() < deadline, "the old price is still there"
            await asyncio.sleep(0.01)
        assert (seen["description"], seen["priceRange"]["min"]["amount"]) == ("새로 쓴 설명", price)
        alone = (await fetches(visitor, by_variant, id=variant["id"]))[1]["productVariant"]
        assert alone["price"]["amount"] == price
        while (again := await fetches(visitor, PAGE, slug=SLUG))[0]:
            assert time.monotonic() < deadline, "the new page is not kept"
            await asyncio.sleep(0.05)  # what a late replica may have said is not kept either
        assert again == (0, {"product": seen})


async def test_what_is_ones_own_is_never_anothers(shop: ShopProcess) -> None:
    """A wish is seen by who made it, at once; the same question of others gets their own answer."""
    mine = "query($slug: String!) { product(slug: $slug) { id name isWishlisted } }"
    async with signed_in(shop, *CUSTOMERS, "") as (one, other, stranger):
        product = (await fetches(one, mine, slug=SLUG))[1]["product"]
        await one.ask_text(
            "mutation($id: ID!) { wishlistAdd(productId: $id) { userErrors { code } } }", id=product["id"]
        )
        for _ in range(2):
            seen = [(await fetches(each, mine, slug=SLUG))[1]["product"] for each in (one, other, stranger)]
            assert [each["isWishlisted"] for each in seen] == [True, False, None]
            assert all(each["name"] == product["name"] for each in seen)


GUARDED = "query($slug: String!) { partner(slug: $slug) { name businessNumber } }"


async def test_who_may_not_read_a_field_does_not_get_it_from_the_cache(shop: ShopProcess) -> None:
    """The seller's number is kept for the seller alone; a stranger and a customer are refused before and after."""
    async with signed_in(shop, "", CUSTOMERS[0], OTHER_SELLER, SELLER) as (stranger, customer, rival, seller):
        for _ in range(2):
            number = (await fetches(seller, GUARDED, slug="baekdu-health"))[1]["partner"]["businessNumber"]
            assert number
            assert (await fetches(rival, GUARDED, slug="baekdu-health"))[1]["partner"]["businessNumber"] is None
            for visitor in (stranger, customer):
                with pytest.raises(Unexpected, match=r"UNAUTHENTICATED|FORBIDDEN|UNAUTHORIZED"):
                    await visitor.ask_text(GUARDED, slug="baekdu-health")
        assert (await fetches(seller, GUARDED, slug="baekdu-health"))[0] == 0, "the control: it was in the cache"


CREATE = """
mutation($input: ProductInput!, $key: String!) {
  productCreate(input: $input, idempotencyKey: $key) { product { id slug } userErrors { code message field } }
}"""


async def test_what_is_not_public_yet_stays_so(shop: ShopProcess) -> None:
    """A draft is its seller's and the operator's to see, before and after each other; a stranger finds nothing."""
    text = "query($slug: String!) { product(slug: $slug) { name status } }"
    async with signed_in(shop, "", OTHER_SELLER, SELLER, OPERATOR) as (stranger, rival, seller, operator):
        product = (await fetches(seller, PAGE, slug=SLUG))[1]["product"]
        variants = [{"sku": "CACHE-1", "name": "1", "price": "5000", "weightGrams": 10}]
        given = draft(product, name="아직 비밀인 제품", variants=variants)
        created = await seller.ask_text(CREATE, input=given, key="draft")
        slug = created.data["productCreate"]["product"]["slug"]
        for visitor, sees in ((seller, True), (stranger, False), (operator, True), (rival, False), (stranger, False)):
            found = await visitor._send(text, {"slug": slug})
            assert (found["data"]["product"] is not None) is sees


async def test_an_operator_purges_by_hand(shop: ShopProcess) -> None:
    """POST /invalidation on the operators' port, and not on the clients'."""
    asked = [{"kind": "subgraph", "subgraph": "users"}]
    async with signed_in(shop, "") as (visitor,), aiohttp.ClientSession() as session:
        await fetches(visitor, PAGE, slug=SLUG)
        assert (await fetches(visitor, PAGE, slug=SLUG))[0] == 0
        headers = {"authorization": SECRET}
        async with session.post(f"http://127.0.0.1:{shop.port + 1000}/invalidation", json=asked, headers=headers) as ok:
            assert (ok.status, await ok.json()) == (202, {"count": 1})
        assert (await fetches(visitor, PAGE, slug=SLUG))[0] == 1
        async with session.post(f"{shop.url}/invalidation", json=asked, headers=headers) as refused:
            assert refused.status == 404


async def test_a_crowd_is_one_fetch_and_the_metrics_tell(shop: ShopProcess) -> None:
    """Fifty readers in the same moment ask the subgraph once; hits and purges are counted by type and queue."""
    text = 'query($first: Int!) { productSearch(query: "원두", first: $first) { totalCount edges { node { name } } } }'
    async with signed_in(shop, "") as (visitor,):
        answers = await asyncio.gather(*(fetches(visitor, text, first=7) for _ in range(50)))
    assert sum(count for count, _ in answers) == 1
    assert all(data == answers[0][1] for _, data in answers)
    metrics = f"http://127.0.0.1:{shop.port + 1000}/metrics"
    async with aiohttp.ClientSession() as session, session.get(metrics) as response:
        shown = await response.text()
    for line in (
        'router_entity_cache_lookups_total{outcome="hit",subgraph="users",type="Partner"}',
        'router_entity_cache_lookups_total{outcome="miss",subgraph="products",type="Query"}',
        'messaging_client_consumed_messages_total{messaging_destination_name="dure.router",'
        'messaging_message_type="dure.products.product_changed.v1"}',
        'dure_worker_up{worker="router.purges"} 1.0',
    ):
        assert line in shown, line
