"""The catalogue through its door: entering, changing, reviewing and seeing products."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import func, select

from messaging.events.products import VariantChanged
from messaging.events.users import PartnerChanged
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.products import models
from tests.subgraphs.products.conftest import CREATE, REVIEW, SUBMIT, UPDATE, World, bare

PRODUCT = """query($id: ID, $slug: String) { product(id: $id, slug: $slug) {
  id name status variants { sku availability availableQuantity } } }"""


def entry(name: str = "Vitamin C", *skus: str, **more: Any) -> dict[str, Any]:
    variants = [{"sku": sku, "name": sku, "price": "12000", "weightGrams": 100} for sku in skus or ("C-1",)]
    return {"name": name, "type": "SUPPLEMENT", "categoryIds": [], "variants": variants, **more}


async def create(world: World, given: Mapping[str, Any], user: str | None = None, key: str | None = None) -> Any:
    data = await world.data(CREATE, user or world.seller, input=given, key=key or new_ulid())
    return data["productCreate"]


def codes(payload: Any) -> list[tuple[str, Any]]:
    return [(each["code"], each["field"]) for each in payload["userErrors"]]


async def rows(world: World) -> list[int]:
    """How much there is of everything that a refusal must not write."""
    tables = (models.Product, models.ProductVariant, models.StockMovement, models.ProductGram)
    async with world.database.read() as connection:
        return [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (*(each.__table__ for each in tables), models.idempotency, models.outbox)
        ]


async def test_a_new_product_is_a_draft_that_only_its_seller_and_staff_see(world: World) -> None:
    product = (await create(world, entry()))["product"]
    assert product["status"] == "DRAFT"
    for user, seen in ((world.seller, True), (world.admin, True), (new_ulid(), False), (None, False)):
        for key in ({"id": product["id"]}, {"slug": product["slug"]}):
            assert ((await world.data(PRODUCT, user, **key))["product"] is not None) is seen


async def test_only_members_of_an_active_seller_and_staff_enter_products(world: World) -> None:
    stranger = new_ulid()
    answer = await world.ask(CREATE, stranger, scopes=["products:write"], input=entry(), key="k")
    assert codes(answer["data"]["productCreate"]) == [("NOT_ALLOWED", None)]
    assert (await create(world, entry("House brand", "H-1"), world.admin))["product"]["status"] == "DRAFT"
    answer = await world.ask(CREATE, world.seller, scopes=[], input=entry(), key="k")
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    answer = await world.ask(CREATE, None, input=entry(), key="k")
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_same_key_gives_the_same_product_and_other_input_is_a_conflict(world: World) -> None:
    first = await create(world, entry(), key="key-a")
    again = await create(world, entry(), key="key-a")
    assert again["product"]["id"] == first["product"]["id"]
    before = await rows(world)
    assert codes(await create(world, entry("Vitamin D", "D-1"), key="key-a")) == [
        ("IDEMPOTENCY_CONFLICT", ["idempotencyKey"])
    ]
    assert (await create(world, entry("Vitamin D", "D-1"), key="KEY-a"))["product"] is not None, "keys have case"
    assert (await rows(world))[0] == before[0] + 1


def variant(**more: Any) -> list[dict[str, Any]]:
    return [{"sku": "X-1", "name": "x", "price": "1", "weightGrams": 1, **more}]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"name": "   "}, "INVALID", ["input", "name"]),
        ({"name": "x" * 201}, "INVALID", ["input", "name"]),
        ({"name": "a\u0000b"}, "INVALID", ["input", "name"]),
        ({"variants": []}, "REQUIRED", ["input", "variants"]),
        ({"variants": variant() * 2}, "UNIQUE", ["input", "variants"]),
        ({"variants": variant(price="-1")}, "INVALID", ["input", "variants", "0", "price"]),
        ({"variants": variant(price="0.5")}, "INVALID", ["input", "variants", "0", "price"]),
        ({"variants": variant(price="NaN")}, "INVALID", ["input", "variants", "0", "price"]),
        ({"variants": variant(price="1e999999")}, "INVALID", ["input", "variants", "0", "price"]),
        ({"variants": variant(weightGrams=-1)}, "INVALID", ["input", "variants", "0", "weightGrams"]),
        ({"variants": variant(initialQuantity=-1)}, "INVALID", ["input", "variants", "0", "initialQuantity"]),
        ({"variants": variant(initialQuantity=2**31 - 1)}, "INVALID", ["input", "variants", "0", "initialQuantity"]),
        ({"variants": variant(sku="a b")}, "INVALID", ["input", "variants", "0", "sku"]),
        ({"variants": variant(sku="")}, "INVALID", ["input", "variants", "0", "sku"]),
        ({"categoryIds": ["nonsense"]}, "NOT_FOUND", ["input", "categoryIds", "0"]),
        ({"categoryIds": [global_id("Nutrient", "0" * 26)]}, "NOT_FOUND", ["input", "categoryIds", "0"]),
        ({"categoryIds": [global_id("Category", "0" * 26)]}, "NOT_FOUND", ["input", "categoryIds", "0"]),
        ({"sellingPlanIds": [global_id("SellingPlan", "0" * 26)]}, "NOT_FOUND", ["input", "sellingPlanIds", "0"]),
        (
            {"nutrients": [{"nutrientId": global_id("Nutrient", "0" * 26), "amount": "0"}]},
            "INVALID",
            ["input", "nutrients", "0", "amount"],
        ),
    ],
)
async def test_bad_input_is_refused_and_nothing_is_written(
    world: World, change: dict[str, Any], code: str, field: list[str]
) -> None:
    before = await rows(world)
    assert codes(await create(world, entry() | change)) == [(code, field)]
    assert await rows(world) == before


async def test_an_overlong_key_is_refused(world: World) -> None:
    assert codes(await create(world, entry(), key="k" * 256)) == [("INVALID", ["idempotencyKey"])]


async def test_a_seller_has_one_product_of_a_name_and_the_shop_one_of_a_sku(world: World) -> None:
    await create(world, entry("Vitamin C", "C-1"))
    assert codes(await create(world, entry("VITAMIN-C!", "C-2"))) == [("DUPLICATE_PRODUCT", ["input", "name"])]
    assert codes(await create(world, entry("Vitamin D", "C-1"))) == [("UNIQUE", ["input", "variants"])]
    assert (await create(world, entry("Vitamin C", "C-9"), world.admin))["product"], "another seller may"


async def test_of_two_who_make_it_at_once_one_is_told_that_it_is_there(world: World) -> None:
    """They look at the same moment; the unique key decides."""
    made = await asyncio.gather(*(create(world, entry("Vitamin C", f"C-{number}")) for number in range(4)))
    told = sorted(code for one in made for code in codes(one))
    assert told == [("DUPLICATE_PRODUCT", ["input", "name"])] * 3


async def test_review_publishes_or_rejects_with_a_reason(world: World) -> None:
    product = (await create(world, entry()))["product"]
    early = await world.data(REVIEW, world.admin, id=product["id"])
    assert codes(early["productReview"]) == [("NOT_ALLOWED", ["id"])]
    await world.data(SUBMIT, world.seller, id=product["id"])
    no_reason = await world.data(REVIEW, world.admin, id=product["id"], approve=False)
    assert codes(no_reason["productReview"]) == [("REQUIRED", ["reason"])]
    rejected = await world.data(REVIEW, world.admin, id=product["id"], approve=False, reason="Amounts are wrong.")
    assert rejected["productReview"]["product"]["status"] == "REJECTED"
    await world.data(SUBMIT, world.seller, id=product["id"])
    again = (await world.data(SUBMIT, world.seller, id=product["id"]))["productSubmitForReview"]
    assert again["userErrors"] == [{"code": "NOT_ALLOWED"}]
    approved = await world.data(REVIEW, world.admin, id=product["id"])
    assert approved["productReview"]["product"]["status"] == "PUBLISHED"
    assert (await world.data(PRODUCT, None, id=product["id"]))["product"]["name"] == "Vitamin C"
    mine = await world.ask(REVIEW, world.seller, id=product["id"])
    assert mine["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_an_update_needs_the_version_that_was_read(world: World) -> None:
    product = (await create(world, entry("Vitamin C", "C-1", "C-2")))["product"]
    given = entry("Vitamin C 1000", "C-1", "C-3")
    answer = (await world.data(UPDATE, world.seller, id=product["id"], version=1, input=given))["productUpdate"]
    assert answer["product"]["version"] == 2
    assert [each["sku"] for each in answer["product"]["variants"]] == ["C-1", "C-3"]
    assert answer["product"]["variants"][0]["id"] == product["variants"][0]["id"], "a SKU keeps its id"
    stale = (await world.data(UPDATE, world.seller, id=product["id"], version=1, input=given))["productUpdate"]
    assert codes(stale) == [("VERSION_CONFLICT", ["version"])]


async def test_another_sellers_product_is_not_found_or_not_allowed(world: World) -> None:
    product = (await create(world, entry()))["product"]
    stranger, given = new_ulid(), entry()

    async def change() -> Any:
        answer = await world.ask(UPDATE, stranger, scopes=["products:write"], id=product["id"], version=1, input=given)
        return codes(answer["data"]["productUpdate"])

    assert await change() == [("NOT_FOUND", ["id"])]
    await world.data(SUBMIT, world.seller, id=product["id"])
    await world.data(REVIEW, world.admin, id=product["id"])
    assert await change() == [("NOT_ALLOWED", ["id"])]


async def test_what_is_under_review_can_not_be_changed(world: World) -> None:
    product = (await create(world, entry()))["product"]
    await world.data(SUBMIT, world.seller, id=product["id"])
    answer = await world.data(UPDATE, world.seller, id=product["id"], version=2, input=entry())
    assert codes(answer["productUpdate"]) == [("NOT_ALLOWED", ["id"])]


async def test_every_change_of_a_variant_is_told_with_a_greater_version(world: World) -> None:
    product = await world.publish("Vitamin C", "C-1", "C-2", price="10000")
    told = await world.told(VariantChanged)
    assert [(each.version, each.purchasable) for each in told if each.sku == "C-1"] == [(1, False), (2, True)]
    given = entry("Vitamin C plus", "C-1")
    await world.data(UPDATE, world.seller, id=product.id, version=3, input=given)
    news = {each.sku: each for each in (await world.told(VariantChanged))[len(told) :]}
    assert (news["C-1"].version, news["C-1"].price, news["C-1"].product_name) == (3, 12000, "Vitamin C plus")
    assert news["C-1"].purchasable
    assert not news["C-2"].purchasable, "withdrawn"
    assert news["C-1"].partner_id == world.partner_id


async def test_a_seller_who_is_suspended_sells_nothing_until_he_is_back(world: World) -> None:
    await world.publish("Vitamin C", "C-1")
    partner = {"partner_id": world.partner_id, "slug": "farm", "name": "Dure Farm"}
    await world.tell(PartnerChanged(**partner, version=2, status="SUSPENDED", member_ids=(world.seller,)))
    assert not (await world.told(VariantChanged))[-1].purchasable
    assert (await world.data("{ productSearch { totalCount } }"))["productSearch"]["totalCount"] == 0
    await world.tell(PartnerChanged(**partner, version=1, status="ACTIVE", member_ids=()))
    assert not (await world.told(VariantChanged))[-1].purchasable, "old news"
    await world.tell(PartnerChanged(**partner, version=3, status="ACTIVE", member_ids=()))
    assert (await world.told(VariantChanged))[-1].purchasable
    answer = (await world.data(CREATE, world.seller, input=entry("Vitamin D", "D-1"), key="k"))["productCreate"]
    assert codes(answer) == [("NOT_ALLOWED", None)], "no member any more"


PAGE = """query($id: ID!) { product(id: $id) {
  priceRange { min { amount currencyCode } max { amount } } partner { id }
  categories { name parent { name } } sellingPlans { name interval discountPercent }
  nutrients { nutrient { name unit } amount dailyValuePercent } attributes { name value } media { url type }
  variants { product { id } } rating { average count } isWishlisted } }"""


async def test_a_product_page_tells_everything(world: World) -> None:
    top, sub, nutrient, plan = (new_ulid() for _ in range(4))
    await world.add(models.Category.__table__, {"id": top, "slug": "supplements", "name": "Supplements"})
    await world.add(models.Category.__table__, {"id": sub, "slug": "vitamins", "name": "Vitamins", "parent_id": top})
    reference = 100_000_000
    await world.add(
        models.Nutrient.__table__, {"id": nutrient, "name": "비타민 C", "unit": "mg", "reference_amount": reference}
    )
    monthly = {"id": plan, "name": "Monthly", "interval": "MONTH", "interval_count": 1, "discount_bps": 750}
    await world.add(models.SellingPlan.__table__, monthly)
    product = await world.publish(
        "Vitamin C",
        "C-1",
        "C-2",
        categoryIds=[global_id("Category", sub)],
        nutrients=[{"nutrientId": global_id("Nutrient", nutrient), "amount": "1000.05"}],
        sellingPlanIds=[global_id("SellingPlan", plan)],
    )
    await world.add(
        models.ProductAttribute.__table__, {"product_id": bare(product.id), "name": "form", "value": "tablet"}
    )
    media = {"product_id": bare(product.id), "position": 0, "url": "https://x/y.jpg", "type": "IMAGE"}
    await world.add(models.ProductMedia.__table__, media)
    page = (await world.data(PAGE, id=product.id))["product"]
    assert page == {
        "priceRange": {"min": {"amount": "10000", "currencyCode": "KRW"}, "max": {"amount": "10000"}},
        "partner": {"id": global_id("Partner", world.partner_id)},
        "categories": [{"name": "Vitamins", "parent": {"name": "Supplements"}}],
        "sellingPlans": [{"name": "Monthly", "interval": "MONTH", "discountPercent": "7.5"}],
        "nutrients": [
            {"nutrient": {"name": "비타민 C", "unit": "mg"}, "amount": "1000.05", "dailyValuePercent": "1000.1"}
        ],
        "attributes": [{"name": "form", "value": "tablet"}],
        "media": [{"url": "https://x/y.jpg", "type": "IMAGE"}],
        "variants": [{"product": {"id": product.id}}] * 2,
        "rating": {"average": None, "count": 0},
        "isWishlisted": None,
    }


async def test_both_keys_must_mean_the_same_product(world: World) -> None:
    one, two = await world.publish("One", "O-1"), await world.publish("Two", "T-1")
    slug = (await world.data("query($id: ID) { product(id: $id) { slug } }", id=two.id))["product"]["slug"]
    assert (await world.data(PRODUCT, id=one.id, slug=slug))["product"] is None
    assert (await world.data(PRODUCT, id=two.id, slug=slug))["product"]["id"] == two.id
    assert (await world.data(PRODUCT))["product"] is None
    query = "query($id: ID, $sku: String) { productVariant(id: $id, sku: $sku) { sku } }"
    assert (await world.data(query, sku="T-1"))["productVariant"] == {"sku": "T-1"}
    assert (await world.data(query, sku="T-1", id=one.variants[0]))["productVariant"] is None
    assert (await world.data(query, id=one.id))["productVariant"] is None, "an id of another type"
