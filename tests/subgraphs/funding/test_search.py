"""Finding projects: what matches, in which order, and pages that are complete and repeat nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from subgraphs.funding.models import projects
from subgraphs.kit.ids import global_id, local_id, new_ulid
from tests.subgraphs.funding.conftest import World

SEARCH = """
query($query: String, $filter: ProjectFilter, $sort: ProjectSort, $first: Int, $after: String) {
  projectSearch(query: $query, filter: $filter, sort: $sort, first: $first, after: $after) {
    totalCount edges { cursor node { id title } } pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}"""
SORTS = {
    "POPULAR": ("popularity", True),
    "RECOMMENDED": ("favorite_count", True),
    "NEWEST": ("published_at", True),
    "ENDING_SOON": ("closes_at", False),
    "MOST_FUNDED": ("pledged_amount", True),
}


async def found(world: World, **given: Any) -> list[str]:
    return [edge["node"]["title"] for edge in (await world.do(SEARCH, **given))["edges"]]


async def change(world: World, project: str, **values: Any) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(update(projects).where(projects.c.id == local_id("Project", project)).values(**values))


async def test_words_are_found_in_korean_and_english_whatever_their_case_and_width(world: World) -> None:
    await world.open(title="달빛 조명", story="Clay")
    await world.open(title="Ｍoon 100%", story="by_hand")
    for query in ("달빛", "조명 달", "clay", "CLAY 달빛"):
        assert await found(world, query=query) == ["달빛 조명"], query
    for query in ("moon", "100%", "BY_HAND"):
        assert await found(world, query=query) == ["Ｍoon 100%"], query
    for query in ("sun", "moon 달빛", "m%n", "m__n"):
        assert await found(world, query=query) == [], query
    for nothing in (None, "", "  ", "\x00"):
        assert len(await found(world, query=nothing)) == 2


async def test_filters_hold_together_and_an_empty_list_matches_nothing(world: World) -> None:
    owner = new_ulid()
    first = await world.open(owner, title="First", goalAmount="100")
    await world.open(title="Second")
    await world.pledge(await world.backer(), first, additionalAmount="50")
    mine = global_id("User", owner)
    filters: list[tuple[dict[str, Any], set[str]]] = [
        ({}, {"First", "Second"}),
        ({"creatorIds": [mine]}, {"First"}),
        ({"creatorIds": []}, set()),
        ({"creatorIds": ["nonsense"]}, set()),
        ({"creatorIds": None}, {"First", "Second"}),
        ({"categoryIds": [world.category]}, {"First", "Second"}),
        ({"categoryIds": [mine]}, set()),
        ({"status": ["OPEN"]}, {"First", "Second"}),
        ({"status": []}, set()),
        ({"status": ["DRAFT"]}, set()),
        ({"productionStatus": ["IDEA"], "creatorIds": [mine]}, {"First"}),
        ({"productionStatus": ["SHIPPING"]}, set()),
        ({"progressMin": 50}, {"First"}),
        ({"progressMin": 51}, set()),
        ({"progressMin": 0}, {"First", "Second"}),
        ({"progressMin": -5}, {"First", "Second"}),
        ({"progressMin": 2**31 - 1}, set()),
    ]
    for given, titles in filters:
        answer = await world.do(SEARCH, filter=given)
        assert {edge["node"]["title"] for edge in answer["edges"]} == titles, given
        assert answer["totalCount"] == len(titles)


async def test_drafts_are_never_found_and_what_failed_only_when_asked_for(world: World) -> None:
    owner = new_ulid()
    await world.create(owner, title="Draft")
    await world.open(title="Failed")
    world.clock.pass_by(days=11)
    await world.sweep()
    await world.open(title="Open")
    every = ["DRAFT", "IN_REVIEW", "REJECTED", "FAILED", "OPEN"]
    assert await found(world) == ["Open"]
    assert set(await found(world, filter={"status": every})) == {"Failed", "Open"}


async def test_what_is_over_does_not_end_soon(world: World) -> None:
    project = await world.open(title="Over")
    await change(world, project, status="SUCCEEDED")
    await world.open(title="Later", closesAt=(world.clock.ahead(days=20)))
    await world.open(title="Soon", closesAt=(world.clock.ahead(days=2)))
    assert await found(world, sort="ENDING_SOON") == ["Soon", "Later"]


@pytest.fixture
async def many(world: World) -> World:
    """Seven projects with ties in every column."""
    made = [await world.open(title=f"P{index}") for index in range(7)]
    now = world.clock()
    for index, project in enumerate(made):
        rank = index // 3
        await change(
            world,
            project,
            popularity=rank,
            favorite_count=rank,
            pledged_amount=rank * 10**11,
            published_at=now,
            closes_at=now.replace(microsecond=rank),
        )
    return world


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_pages_are_complete_in_order_and_repeat_nothing(many: World, sort: str, size: int) -> None:
    column, descending = SORTS[sort]
    async with many.database.read() as connection:
        rows = (await connection.execute(select(projects))).all()
    wanted = sorted(rows, key=lambda row: (getattr(row, column), row.id), reverse=descending)
    seen: list[str] = []
    after = None
    for turn in range(8):
        page = await many.do(SEARCH, sort=sort, first=size, after=after)
        seen += [edge["node"]["title"] for edge in page["edges"]]
        assert page["pageInfo"]["hasPreviousPage"] == (turn > 0)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [row.title for row in wanted]


async def test_a_cursor_of_another_list_or_a_forged_one_is_refused(many: World) -> None:
    cursor = (await many.do(SEARCH, sort="NEWEST", first=1))["pageInfo"]["endCursor"]
    wrong = [
        {"sort": "POPULAR", "after": cursor},
        {"sort": "NEWEST", "after": cursor[:-2] + "AA"},
        {"sort": "NEWEST", "after": "%%%"},
        {"first": 101},
        {"first": -1},
    ]
    for given in wrong:
        answer = await many.ask(SEARCH, **given)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", given
    assert (await many.do(SEARCH, first=0))["edges"] == []


async def test_recommendations_put_the_liked_category_first_and_leave_out_what_is_liked(world: World) -> None:
    user = new_ulid()
    liked, same = await world.open(title="Liked"), await world.open(title="Same category")
    await world.do(
        "mutation($id: ID!) { projectFavoriteAdd(projectId: $id) { project { isFavorite } userErrors { code } } }",
        user,
        id=liked,
    )
    query = "query($first: Int) { recommendedProjects(first: $first) { id } }"
    assert await world.do(query, user) == [{"id": same}]
    assert {each["id"] for each in await world.do(query)} == {liked, same}
    assert await world.do(query, first=0) == []
