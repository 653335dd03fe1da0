"""The graph: agreement with its lock file, entities, few statements, and live updates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from graphql import parse, print_ast
from graphql.language import DocumentNode

from subgraphs.funding.schema import schema
from subgraphs.kit.ids import global_id, local_id, new_ulid
from tests.subgraphs.funding.conftest import World, headers
from tests.support.statements import statements_of
from tests.support.waiting import eventually

LOCKED = Path(__file__).parents[3] / "schema" / "subgraphs" / "funding.graphql"
LIST = """{ projectSearch(first: 50) { edges { node {
  title category { name } rewards { minimumAmount { amount } project { id } } isFavorite creator { id }
} } } }"""
ENTITIES = "query($r: [_Any!]!) { _entities(representations: $r) { __typename ... on User { id } } }"
PROGRESS = "subscription($id: ID!) { projectProgressUpdated(id: $id) { status backerCount } }"
ADDED = "subscription($id: ID!) { commentAdded(subjectId: $id) { body } }"
COMMENT = "mutation($id: ID!, $body: String!) { commentCreate(subjectId: $id, body: $body) { comment { id } } }"
CANCEL = 'mutation($id: ID!) { projectCancel(id: $id, reason: "No") { userErrors { code } } }'


def parts(document: DocumentNode) -> set[str]:
    """Every type, field, argument, default, value and directive, a line each."""
    found: set[str] = set()
    for definition in document.definitions:
        name = getattr(definition, "name", None)
        if name is None or name.value.startswith("_"):
            continue
        for member in (*(getattr(definition, "fields", None) or ()), *(getattr(definition, "values", None) or ())):
            if not member.name.value.startswith("_"):
                found.add(f"{name.value}: {print_ast(member)}")
    return found


def test_the_schema_is_the_one_under_review() -> None:
    assert parts(parse(schema.as_str())) == parts(parse(LOCKED.read_text()))


async def test_a_list_takes_as_many_statements_for_ten_projects_as_for_one(world: World) -> None:
    counts = []
    for more in (1, 9):
        for _ in range(more):
            owner = new_ulid()
            await world.reward(owner, await world.open(owner))
        with statements_of(world.database) as noted:
            found = await world.do(LIST, new_ulid())
        counts.append(len(noted))
    assert len(found["edges"]) == 10
    assert counts[0] == counts[1] <= 5


async def test_entities_come_in_one_batch_a_type_and_hide_what_must_not_be_seen(world: World) -> None:
    owners = [new_ulid() for _ in range(5)]
    opened = [await world.open(owner) for owner in owners]
    rewards = [await world.reward(owner, each) for owner, each in zip(owners, opened, strict=True)]
    draft = (await world.create(owners[0]))["project"]["id"]
    hidden = await world.reward(owners[0], draft)
    named = [{"__typename": "Reward", "id": each} for each in rewards]
    named += [{"__typename": "Project", "id": each} for each in opened]
    with statements_of(world.database) as noted:
        found = await world.do(ENTITIES, new_ulid(), r=named)
    assert None not in found
    assert len(noted) == 2, noted
    others: list[dict[str, Any]] = [
        {"__typename": "Project", "id": draft},
        {"__typename": "Reward", "id": hidden},
        {"__typename": "Project", "id": "nonsense"},
        {"__typename": "Project", "slug": "\x00"},
        {"__typename": "Project", "slug": 5},
        {"__typename": "User", "id": draft},
        {"__typename": "ProjectCategory", "id": world.category},
        {"__typename": "User", "id": global_id("User", owners[0])},
    ]
    found = await world.do(ENTITIES, new_ulid(), r=others)
    assert [each and each["__typename"] for each in found] == [None] * 6 + ["ProjectCategory", "User"]


async def test_a_users_projects_favourites_and_pledges(world: World) -> None:
    owner, backer = new_ulid(), await world.backer()
    opened, draft = await world.open(owner), (await world.create(owner))["project"]["id"]
    await world.pledge(backer, opened, additionalAmount="5")
    query = """query($r: [_Any!]!) { _entities(representations: $r) { ... on User {
      projects { totalCount edges { node { id } } } favoriteProjects { totalCount } pledges { totalCount }
    } } }"""

    async def seen(of: str, by: str) -> Any:
        return (await world.do(query, by, r=[{"__typename": "User", "id": global_id("User", of)}]))[0]

    assert [edge["node"]["id"] for edge in (await seen(owner, owner))["projects"]["edges"]] == [draft, opened]
    assert [edge["node"]["id"] for edge in (await seen(owner, backer.id))["projects"]["edges"]] == [opened]
    assert (await seen(backer.id, backer.id))["pledges"] == {"totalCount": 1}
    stranger = await seen(backer.id, owner)
    assert stranger["pledges"] is stranger["favoriteProjects"] is None


def subscribe(world: World, query: str, user: str | None, **given: Any) -> AsyncIterator[dict[str, Any]]:
    return world.subgraph.endpoint.subscribe(query, given, None, headers(user))


async def test_progress_is_sent_at_once_and_with_each_change(world: World) -> None:
    owner, project = new_ulid(), ""
    project = await world.open(owner)
    stream = subscribe(world, PROGRESS, None, id=project)
    assert (await anext(stream))["data"]["projectProgressUpdated"] == {"status": "OPEN", "backerCount": 0}
    await world.pledge(await world.backer(), project, additionalAmount="5")
    assert (await anext(stream))["data"]["projectProgressUpdated"] == {"status": "OPEN", "backerCount": 1}
    await world.do(CANCEL, owner, id=project)
    assert (await anext(stream))["data"]["projectProgressUpdated"]["status"] == "CANCELED"
    await stream.aclose()  # type: ignore[attr-defined]


async def test_comments_are_sent_each_once_from_now_on(world: World) -> None:
    project, user = await world.open(), new_ulid()
    await world.do(COMMENT, user, id=project, body="before")
    stream = subscribe(world, ADDED, None, id=project)
    waiting = asyncio.ensure_future(anext(stream))
    await eventually(lambda: world.changes.board.topics)
    for body in ("one", "two", "three"):
        await world.do(COMMENT, user, id=project, body=body)
    heard = [(await waiting)["data"]["commentAdded"]["body"]]
    heard += [(await anext(stream))["data"]["commentAdded"]["body"] for _ in range(2)]
    assert heard == ["one", "two", "three"]
    await stream.aclose()  # type: ignore[attr-defined]


async def test_nobody_listens_to_what_he_may_not_see(world: World) -> None:
    hidden = (await world.create(new_ulid()))["project"]["id"]
    gone = global_id("Project", new_ulid())
    for query in (PROGRESS, ADDED):
        for subject, code in ((hidden, "FORBIDDEN"), (gone, "FORBIDDEN"), ("nonsense", "BAD_USER_INPUT")):
            answers = [each async for each in subscribe(world, query, new_ulid(), id=subject)]
            assert [each["errors"][0]["extensions"]["code"] for each in answers] == [code]


async def test_who_stops_listening_is_forgotten(world: World) -> None:
    project = await world.open()
    stream = subscribe(world, PROGRESS, None, id=project)
    await anext(stream)
    assert f"project:{local_id('Project', project)}" in world.changes.board.topics
    await stream.aclose()  # type: ignore[attr-defined]
    await eventually(lambda: not world.changes.board.topics)
