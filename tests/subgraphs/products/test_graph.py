"""What the router relies on: entities by every key, few statements, live availability, a schema that migrates."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import update

from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.products import models
from tests.subgraphs.products.conftest import CREATE, SECRET, World, bare, order_of
from tests.support.statements import statements_of
from tests.support.waiting import eventually

ENTITIES = """query($r: [_Any!]!) { _entities(representations: $r) { __typename
  ... on Product { id slug } ... on ProductVariant { id sku shippingProfileId product { id } } ... on Category { name }
  ... on Nutrient { unit } ... on SellingPlan { name } ... on Partner { products(first: 5) { totalCount
  edges { node { name } } } } } }"""


async def entities(world: World, *representations: Any, user: str | None = None) -> list[Any]:
    found: list[Any] = (await world.data(ENTITIES, user, r=list(representations)))["_entities"]
    return found


async def test_entities_are_found_by_each_key_and_a_bad_one_nulls_itself(world: World) -> None:
    product = await world.publish("Vitamin C", "C-1")
    (slug,) = await entities(world, {"__typename": "Product", "id": product.id})
    found = await entities(
        world,
        {"__typename": "Product", "slug": slug["slug"]},
        {"__typename": "ProductVariant", "sku": "C-1"},
        {"__typename": "ProductVariant", "id": product.variants[0]},
        {"__typename": "ProductVariant", "id": product.id},
        {"__typename": "ProductVariant", "id": 5, "sku": ["x"]},
        {"__typename": "ProductVariant"},
        {"__typename": "Category", "id": global_id("Category", new_ulid())},
        {"__typename": "Partner", "id": global_id("Partner", world.partner_id)},
    )
    assert found[0]["id"] == product.id
    assert found[1] == found[2]
    assert found[1]["product"] == {"id": product.id}
    assert found[3:7] == [None] * 4
    assert found[7]["products"] == {"totalCount": 1, "edges": [{"node": {"name": "Vitamin C"}}]}


async def test_orders_keep_seeing_what_once_was_public_and_nobody_a_draft(world: World) -> None:
    product = await world.publish("Vitamin C", "C-1")
    table = models.Product.__table__
    async with world.database.transaction() as tx:
        await tx.execute(update(table).where(table.c.id == bare(product.id)).values(status="ARCHIVED"))
    (archived,) = await entities(world, {"__typename": "ProductVariant", "id": product.variants[0]})
    assert archived["sku"] == "C-1"
    assert (await world.data("query($i: ID) { product(id: $i) { id } }", i=product.id))["product"] is None
    given = {"sku": "D-1", "name": "d", "price": "1", "weightGrams": 1}
    entry = {"name": "Draft", "type": "GENERAL", "categoryIds": [], "variants": [given]}
    draft = (await world.data(CREATE, world.seller, input=entry, key="k"))["productCreate"]["product"]
    assert await entities(world, {"__typename": "Product", "id": draft["id"]}) == [None]
    mine = await entities(world, {"__typename": "Product", "id": draft["id"]}, user=world.seller)
    assert mine[0]["id"] == draft["id"]


async def test_a_sellers_list_shows_drafts_to_the_seller_only(world: World) -> None:
    await world.publish("Vitamin C", "C-1")
    given = {"sku": "D-1", "name": "d", "price": "1", "weightGrams": 1}
    entry = {"name": "Draft", "type": "GENERAL", "categoryIds": [], "variants": [given]}
    await world.data(CREATE, world.seller, input=entry, key="k")
    partner = {"__typename": "Partner", "id": global_id("Partner", world.partner_id)}
    for user, number in ((None, 1), (world.seller, 2), (world.admin, 2), (new_ulid(), 1)):
        (found,) = await entities(world, partner, user=user)
        assert found["products"]["totalCount"] == number
        assert len(found["products"]["edges"]) == number


LIST = """{ productSearch(first: 50) { edges { node { id categories { name parent { name } } nutrients { amount }
  attributes { name } media { url } sellingPlans { name } partner { id } rating { count } isWishlisted
  variants { sku availability product { name } } reviews(first: 3) { edges { node { author { displayName } } } } } } } }
"""


async def test_a_list_costs_the_same_number_of_statements_however_long_it_is(world: World) -> None:
    user, numbers = new_ulid(), []
    for wanted in (2, 8):
        while (have := (await world.data("{ productSearch { totalCount } }"))["productSearch"]["totalCount"]) < wanted:
            await world.publish(f"Product {have}", f"A-{have}", f"B-{have}")
        with statements_of(world.database) as statements:
            await world.data(LIST, user)
        numbers.append(len(statements))
    assert numbers[0] == numbers[1]
    assert 8 <= numbers[1] <= 16


WATCH = """subscription($ids: [ID!]!) { productVariantAvailabilityChanged(ids: $ids) {
  sku availability availableQuantity } }"""


async def test_who_watches_a_variant_hears_of_its_stock(world: World) -> None:
    product = await world.publish("Vitamin C", "C-1", "C-2", units=6)
    headers = {CLAIMS_HEADER: sign_claims(SECRET, {"exp": time.time() + 60})}
    stream = world.subgraph.endpoint.subscribe(WATCH, {"ids": product.variants[:1]}, None, headers)
    first = asyncio.ensure_future(anext(stream))
    async with asyncio.timeout(10):
        await eventually(lambda: world.changes.board.topics)
        await world.tell(order_of(**{product.ulids[1]: 1}))
        await world.tell(order_of(**{product.ulids[0]: 1}))
        heard = (await first)["data"]["productVariantAvailabilityChanged"]
        assert heard == {"sku": "C-1", "availability": "LOW_STOCK", "availableQuantity": 5}
        second = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await world.tell(order_of(**{product.ulids[0]: 5}))
        assert (await second)["data"]["productVariantAvailabilityChanged"]["availability"] == "OUT_OF_STOCK"
    await stream.aclose()  # type: ignore[attr-defined]


async def test_the_migrations_make_what_the_models_say(world: World) -> None:
    async with world.database.transaction() as tx:
        differences = await tx.run_sync(
            lambda connection: compare_metadata(
                MigrationContext.configure(connection, opts={"compare_type": False}), models.Base.metadata
            )
        )
    assert differences == []
