"""Search: Korean and English text, filters, facets, sorts and pages."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from messaging.events.users import PartnerChanged
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.products import models
from tests.subgraphs.products.conftest import World, bare, order_of

SEARCH = """query($q: String, $f: ProductFilter, $s: ProductSort, $n: Int, $a: String) {
  productSearch(query: $q, filter: $f, sort: $s, first: $n, after: $a) {
    totalCount correctedQuery pageInfo { hasNextPage endCursor } edges { cursor node { id name } }
    facets { key label values { value label count selected } } } }"""


class Shelf:
    """A few products that differ in everything that can be searched for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.c, self.zinc, self.monthly, self.top, self.sub = (new_ulid() for _ in range(5))

    async def fill(self) -> None:
        world = self.world
        await world.add(
            models.Nutrient.__table__,
            {"id": self.c, "name": "비타민 C", "unit": "mg"},
            {"id": self.zinc, "name": "아연", "unit": "mg"},
        )
        await world.add(models.Category.__table__, {"id": self.top, "slug": "supplements", "name": "영양제"})
        sub = {"id": self.sub, "slug": "multi", "name": "Multivitamins", "parent_id": self.top}
        await world.add(models.Category.__table__, sub)
        plan = {"id": self.monthly, "name": "Monthly", "interval": "MONTH", "interval_count": 1}
        await world.add(models.SellingPlan.__table__, plan)
        c, zinc = ({"nutrientId": global_id("Nutrient", each), "amount": "100"} for each in (self.c, self.zinc))
        self.multi = await world.publish(
            "종합비타민 포 맨",
            "M-1",
            price="30000",
            nutrients=[c, zinc],
            categoryIds=[global_id("Category", self.sub)],
            sellingPlanIds=[global_id("SellingPlan", self.monthly)],
            description="Multivitamin for men, 1,000mg",
        )
        self.pure = await world.publish("Vitamin C 1000", "V-1", price="10000", units=0, nutrients=[c])
        self.beans = await world.publish(
            "에티오피아 원두", "B-1", "B-2", price="20000", units=3, description="Coffee with a note of bergamot"
        )
        await world.add(
            models.ProductAttribute.__table__,
            {"product_id": bare(self.beans.id), "name": "roast", "value": "light"},
            {"product_id": bare(self.pure.id), "name": "form", "value": "tablet"},
            {"product_id": bare(self.multi.id), "name": "form", "value": "capsule"},
        )

    async def find(self, q: str | None = None, **filter: Any) -> set[str]:
        found = (await self.search(q, **filter))["edges"]
        return {self.called(edge["node"]["id"]) for edge in found}

    async def search(self, q: str | None = None, **filter: Any) -> Any:
        return (await self.world.data(SEARCH, q=q, f=filter or None))["productSearch"]

    def called(self, id: str) -> str:
        return {self.multi.id: "multi", self.pure.id: "pure", self.beans.id: "beans"}[id]


@pytest.fixture
async def shelf(world: World) -> Shelf:
    made = Shelf(world)
    await made.fill()
    return made


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("비타민", {"multi", "pure"}),
        ("종합비타민", {"multi"}),
        ("ㅂㅌㅁ", {"multi"}),
        ("ㅇㄷ", {"beans"}),
        ("VITAMIN", {"pure"}),
        ("vitamin c", {"pure"}),
        ("vit", {"pure"}),
        ("itamin", {"pure"}),
        ("tami", set()),
        ("1000", {"pure", "multi"}),
        ("아연", {"multi"}),
        ("bergamot", {"beans"}),
        ("원두 coffee", {"beans"}),
        ("원두 비타민", set()),
        ("dure farm", {"multi", "pure", "beans"}),
        ("xyzzy", set()),
        ("!!!", set()),
        ("%", set()),
        ("  ", {"multi", "pure", "beans"}),
    ],
)
async def test_text_finds_what_it_names(shelf: Shelf, query: str, found: set[str]) -> None:
    assert await shelf.find(query) == found


@pytest.mark.parametrize(
    ("query", "corrected", "found"),
    [
        ("vitmain", "vitamin", {"pure"}),
        ("종합비티민", "종합비타민", {"multi"}),
        ("빝타민", "비타민", {"multi", "pure"}),
        ("vitamin", None, {"pure"}),
        ("vitmain c", "vitamin c", {"pure"}),
        ("원두 vitmain", None, set()),
        ("xyzzyx", None, set()),
        ("vitmain xyzzyx", None, set()),
        ("cot", None, set()),
    ],
)
async def test_a_misspelt_word_finds_the_nearest(shelf: Shelf, query: str, corrected: str, found: set[str]) -> None:
    """And says so. Words that are somebody's stay; where nothing is near, or nothing comes of it, nothing is found."""
    assert await shelf.find(query) == found
    assert (await shelf.search(query))["correctedQuery"] == corrected


async def test_a_corrected_search_has_pages_facets_and_a_count(shelf: Shelf) -> None:
    whole = await shelf.search("빝타민")
    assert whole["totalCount"] == 2
    assert {facet["key"] for facet in whole["facets"]} >= {"nutrient", "attribute:form"}
    first = (await shelf.world.data(SEARCH, q="빝타민", n=1))["productSearch"]
    second = (await shelf.world.data(SEARCH, q="빝타민", n=1, a=first["pageInfo"]["endCursor"]))["productSearch"]
    ids = [edge["node"]["id"] for page in (first, second) for edge in page["edges"]]
    assert ids == [edge["node"]["id"] for edge in whole["edges"]]
    assert not second["pageInfo"]["hasNextPage"]


async def test_nutrient_amounts(shelf: Shelf) -> None:
    """Both products with vitamin C have 100 mg of it."""
    c, zinc = global_id("Nutrient", shelf.c), global_id("Nutrient", shelf.zinc)

    async def having(*amounts: dict[str, Any]) -> set[str]:
        return await shelf.find(nutrientAmounts=list(amounts))

    assert await having({"nutrientId": c, "min": "100"}) == {"multi", "pure"}
    assert await having({"nutrientId": c, "min": "100.000001"}) == set()
    assert await having({"nutrientId": c, "max": "99.9999999"}) == set()
    assert await having({"nutrientId": c, "min": "99.9999999", "max": "1e30"}) == {"multi", "pure"}
    assert await having({"nutrientId": c}, {"nutrientId": zinc, "max": "100"}) == {"multi"}
    assert await having() == set(), "an empty list matches nothing"
    assert await having({"nutrientId": "nonsense"}) == set()


async def test_filters(shelf: Shelf) -> None:
    c, zinc = global_id("Nutrient", shelf.c), global_id("Nutrient", shelf.zinc)
    assert await shelf.find(nutrientIds=[c]) == {"multi", "pure"}
    assert await shelf.find(nutrientIds=[c, zinc]) == {"multi"}, "all of the nutrients"
    assert await shelf.find(nutrientIds=[]) == set(), "an empty list matches nothing"
    assert await shelf.find(nutrientIds=["nonsense"]) == set()
    assert await shelf.find(nutrientIds=None) == {"multi", "pure", "beans"}
    assert await shelf.find(categoryIds=[global_id("Category", shelf.top)]) == {"multi"}, "with what is below it"
    assert await shelf.find(categoryIds=[]) == set()
    assert await shelf.find(partnerIds=[global_id("Partner", shelf.world.partner_id)]) == {"multi", "pure", "beans"}
    assert await shelf.find(partnerIds=[global_id("Partner", new_ulid())]) == set()
    assert await shelf.find(priceMin="10000", priceMax="20000") == {"pure", "beans"}
    assert await shelf.find(priceMin="10000.5") == {"multi", "beans"}
    assert await shelf.find(priceMax="1e30") == {"multi", "pure", "beans"}
    assert await shelf.find(inStockOnly=True) == {"multi", "beans"}
    assert await shelf.find(subscribableOnly=True) == {"multi"}
    assert await shelf.find(attributes=[{"name": "form", "values": ["tablet", "capsule"]}]) == {"multi", "pure"}
    assert await shelf.find(attributes=[{"name": "form", "values": []}]) == set()
    assert await shelf.find("비타민", inStockOnly=True, nutrientIds=[c]) == {"multi"}


async def test_price_and_stock_are_those_of_one_variant(shelf: Shelf) -> None:
    two = shelf.beans.ulids[1]
    table = models.ProductVariant.__table__
    async with shelf.world.database.transaction() as tx:
        await tx.execute(update(table).where(table.c.id == two).values(price=5000))
    assert await shelf.find(priceMax="5000", inStockOnly=True) == {"beans"}
    await shelf.world.tell(order_of(**{two: 3}))
    assert await shelf.find(priceMax="5000", inStockOnly=True) == set(), "the other variant is in stock, but dearer"


async def test_ratings_filter_and_sort(shelf: Shelf) -> None:
    table = models.Product.__table__
    async with shelf.world.database.transaction() as tx:
        for product, total in ((shelf.pure, 9), (shelf.beans, 8)):
            rated = {"rating_total": total, "rating_count": 2, "rating_average": total * 50}
            await tx.execute(update(table).where(table.c.id == bare(product.id)).values(rated))
    assert await shelf.find(ratingMin="4.5") == {"pure"}
    assert await shelf.find(ratingMin="4.51") == set()
    assert await shelf.find(ratingMin="1e15") == set()
    assert await shelf.find(ratingMin="-1e300") == await shelf.find(ratingMin="0")
    assert (await ordered(shelf, "RATING"))[:2] == ["pure", "beans"]


async def ordered(shelf: Shelf, sort: str, q: str | None = None) -> list[str]:
    """The names in order, fetched one by one: a page must go on where the last one ended."""
    names, after = [], None
    while True:
        page = (await shelf.world.data(SEARCH, q=q, s=sort, n=1, a=after))["productSearch"]
        names += [shelf.called(edge["node"]["id"]) for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return names


async def test_sorts_page_by_page(shelf: Shelf) -> None:
    assert await ordered(shelf, "PRICE_ASC") == ["pure", "beans", "multi"]
    assert await ordered(shelf, "PRICE_DESC") == ["multi", "beans", "pure"]
    newest = await ordered(shelf, "NEWEST")
    assert sorted(newest) == ["beans", "multi", "pure"]
    assert await ordered(shelf, "RELEVANCE", "비타민") == ["multi", "pure"], "the name says more than a nutrient"
    assert len(await ordered(shelf, "BEST_SELLING")) == 3


async def test_a_cursor_of_another_sort_is_refused(shelf: Shelf) -> None:
    cursor = (await shelf.search())["edges"][0]["cursor"]
    for bad in (cursor, "nonsense", "é"):
        answer = await shelf.world.ask(SEARCH, s="PRICE_ASC", a=bad)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    for first in (-1, 101):
        answer = await shelf.world.ask(SEARCH, n=first)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert (await shelf.world.data(SEARCH, n=0))["productSearch"]["edges"] == []


@pytest.mark.parametrize(
    ("filter", "most"),
    [
        ({"nutrientIds": ["x"]}, 10),
        ({"nutrientAmounts": [{"nutrientId": "x", "min": "1"}]}, 10),
        ({"attributes": [{"name": "form", "values": ["capsule"]}]}, 10),
        ({"categoryIds": ["x"]}, 100),
        ({"partnerIds": ["x"]}, 100),
    ],
)
async def test_more_conditions_than_can_be_looked_up_are_refused(
    shelf: Shelf, filter: dict[str, list[Any]], most: int
) -> None:
    """Leaving some out would find what was not asked for."""
    ((name, (one,)),) = filter.items()
    assert await shelf.search(**{name: [one] * most})
    answer = await shelf.world.ask(SEARCH, f={name: [one] * (most + 1)})
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_conditions_of_all_kinds_count_together(shelf: Shelf) -> None:
    """And as many as are allowed are answered in time, with their facets."""
    form, amount = {"name": "form", "values": ["capsule"]}, {"nutrientId": "x", "min": "1"}
    most = {"nutrientIds": ["x"] * 3, "nutrientAmounts": [amount] * 3, "attributes": [form] * 4}
    assert (await shelf.search(**most))["totalCount"] == 0
    answer = await shelf.world.ask(SEARCH, f={**most, "attributes": [form] * 5})
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_character_that_cannot_be_kept_finds_nothing_or_is_refused(shelf: Shelf) -> None:
    """PostgreSQL has no U+0000."""
    for filter in (
        {"attributes": [{"name": "a\x00", "values": ["b"]}]},
        {"attributes": [{"name": "a", "values": ["\x00"]}]},
    ):
        answer = await shelf.world.ask(SEARCH, f=filter)
        assert [each["extensions"]["code"] for each in answer.get("errors", ())] in ([], ["BAD_USER_INPUT"])
        assert not answer["data"]["productSearch"] or answer["data"]["productSearch"]["edges"] == []


async def test_facets_count_and_a_chosen_value_does_not_hide_the_others(shelf: Shelf) -> None:
    found = await shelf.search(attributes=[{"name": "form", "values": ["tablet"]}])
    assert found["totalCount"] == 1
    facets = {facet["key"]: facet["values"] for facet in found["facets"]}
    assert [(each["value"], each["count"], each["selected"]) for each in facets["attribute:form"]] == [
        ("capsule", 1, False),
        ("tablet", 1, True),
    ]
    assert facets["nutrient"] == [
        {"value": global_id("Nutrient", shelf.c), "label": "비타민 C", "count": 1, "selected": False}
    ]
    assert "attribute:roast" not in facets, "nothing with a roast is left"
    everything = {facet["key"]: facet["values"] for facet in (await shelf.search())["facets"]}
    assert [(each["label"], each["count"]) for each in everything["nutrient"]] == [("비타민 C", 2), ("아연", 1)]
    assert [(each["label"], each["count"]) for each in everything["partner"]] == [("Dure Farm", 3)]
    assert [(each["label"], each["count"]) for each in everything["category"]] == [("Multivitamins", 1)]


async def test_a_sellers_new_name_is_found(shelf: Shelf) -> None:
    partner = {"partner_id": shelf.world.partner_id, "slug": "farm", "status": "ACTIVE"}
    await shelf.world.tell(PartnerChanged(**partner, version=2, name="Baram", member_ids=()))
    assert await shelf.find("baram") == {"multi", "pure", "beans"}
    assert await shelf.find("dure") == set()


async def test_categories_and_nutrients_are_listed(shelf: Shelf) -> None:
    query = """query($p: ID, $s: String) { categories(parentId: $p) { name children { name } }
      nutrients(search: $s) { name unit } }"""
    data = await shelf.world.data(query, s="비타민")
    assert data["categories"] == [{"name": "영양제", "children": [{"name": "Multivitamins"}]}]
    assert data["nutrients"] == [{"name": "비타민 C", "unit": "mg"}]
    assert (await shelf.world.data(query, s="%"))["nutrients"] == []
    below = await shelf.world.data(query, p=global_id("Category", shelf.top))
    assert below["categories"] == [{"name": "Multivitamins", "children": []}]
