"""Comments, posts and favourites."""

from __future__ import annotations

import asyncio
from typing import Any

from messaging.events.users import UserChanged
from subgraphs.funding import models
from subgraphs.kit.ids import global_id, new_ulid
from tests.subgraphs.funding.conftest import World, codes

COMMENT = """
mutation($subject: ID!, $parent: ID, $body: String!) {
  commentCreate(subjectId: $subject, parentId: $parent, body: $body) {
    comment { id body isCreator parent { id } author { id displayName avatarUrl } } userErrors { code field }
  }
}"""
HIDE = "mutation($id: ID!) { commentDelete(id: $id) { comment { body hiddenAt } userErrors { code } } }"
THREAD = """
query($id: ID) { project(id: $id) { comments { totalCount edges { node {
  body hiddenAt replies { totalCount edges { node { body replies { totalCount } } } }
} } } } }"""
POST = """
mutation($project: ID!, $audience: PostAudience!, $title: String!, $body: String!) {
  projectPostPublish(projectId: $project, title: $title, body: $body, audience: $audience) {
    post { id } userErrors { code field }
  }
}"""
POSTS = "query($id: ID) { project(id: $id) { posts { edges { node { title } } } } }"
CANCEL = "mutation($id: ID!) { pledgeCancel(id: $id) { userErrors { code } } }"
LIKE = """mutation($id: ID!) { projectFavoriteAdd(projectId: $id) {
  project { isFavorite favoriteCount } userErrors { code field } } }"""
UNLIKE = LIKE.replace("Add", "Remove")
ENTITY = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }"


async def say(world: World, user: str, subject: str, body: str = "Hello", parent: str | None = None) -> Any:
    return await world.do(COMMENT, user, subject=subject, body=body, parent=parent)


async def publish(world: World, owner: str, project: str, audience: str = "EVERYONE", title: str = "News") -> str:
    made = await world.do(POST, owner, project=project, audience=audience, title=title, body="Much.")
    assert made["userErrors"] == []
    return str(made["post"]["id"])


async def titles(world: World, user: str | None, project: str) -> list[str]:
    seen = await world.do(POSTS, user, id=project)
    return [edge["node"]["title"] for edge in seen["posts"]["edges"]]


async def test_comments_make_threads_and_say_who_speaks(world: World) -> None:
    owner, reader = new_ulid(), new_ulid()
    project = await world.open(owner)
    await world.tell(UserChanged(user_id=reader, version=1, display_name="Reader", avatar_url="https://a/b.png"))
    first = (await say(world, reader, project, "  When?  "))["comment"]
    assert first["author"] == {
        "id": global_id("User", reader),
        "displayName": "Reader",
        "avatarUrl": "https://a/b.png",
    }
    assert (first["body"], first["isCreator"], first["parent"]) == ("When?", False, None)
    reply = (await say(world, owner, project, "Soon", first["id"]))["comment"]
    assert (reply["isCreator"], reply["parent"]) == (True, {"id": first["id"]})
    await say(world, reader, project, "Thanks", reply["id"])
    comments = (await world.do(THREAD, id=project))["comments"]
    assert comments["totalCount"] == 1
    (top,) = comments["edges"]
    assert top["node"]["replies"]["edges"] == [{"node": {"body": "Soon", "replies": {"totalCount": 1}}}]


async def test_a_comment_that_cannot_be_is_refused(world: World) -> None:
    user, project, other = new_ulid(), await world.open(), await world.open()
    elsewhere = (await say(world, user, other))["comment"]["id"]
    hidden = (await world.create(new_ulid()))["project"]["id"]
    before = await world.count(models.comments)
    for body in ("", "  ", "x" * 2001, "a\x00b"):
        assert codes(await say(world, user, project, body)) == ["INVALID"]
    assert codes(await say(world, user, project, parent=elsewhere)) == ["NOT_FOUND"]
    assert codes(await say(world, user, project, parent=project)) == ["NOT_FOUND"]
    assert codes(await say(world, user, hidden)) == ["NOT_FOUND"]
    assert codes(await say(world, user, global_id("User", user))) == ["NOT_FOUND"]
    assert codes(await say(world, user, global_id("ProjectPost", new_ulid()))) == ["NOT_FOUND"]
    assert await world.count(models.comments) == before


async def test_a_hidden_comment_keeps_its_place_and_loses_its_words(world: World) -> None:
    owner, author, stranger = new_ulid(), new_ulid(), new_ulid()
    project = await world.open(owner)
    by_author = (await say(world, author, project, "Oops"))["comment"]["id"]
    by_owner = (await say(world, author, project, "Rude"))["comment"]["id"]
    await say(world, owner, project, "Reply", by_author)
    assert codes(await world.do(HIDE, stranger, id=by_author)) == ["NOT_ALLOWED"]
    assert codes(await world.do(HIDE, stranger, id=global_id("Comment", new_ulid()))) == ["NOT_FOUND"]
    first = (await world.do(HIDE, author, id=by_author))["comment"]
    again = (await world.do(HIDE, author, id=by_author))["comment"]
    assert first["body"] == ""
    assert again == first, "hidden once"
    assert codes(await world.do(HIDE, owner, id=by_owner)) == []
    comments = (await world.do(THREAD, id=project))["comments"]
    assert [edge["node"]["body"] for edge in comments["edges"]] == ["", ""]
    assert comments["edges"][0]["node"]["replies"]["totalCount"] == 1


async def test_posts_for_backers_are_for_backers(world: World) -> None:
    owner, backer, stranger = new_ulid(), await world.backer(), new_ulid()
    project = await world.open(owner)
    pledge = (await world.pledge(backer, project, additionalAmount="5"))["pledge"]["id"]
    await publish(world, owner, project, title="Open")
    secret = await publish(world, owner, project, "BACKERS", title="Secret")
    assert await titles(world, owner, project) == await titles(world, backer.id, project) == ["Secret", "Open"]
    assert await titles(world, stranger, project) == await titles(world, None, project) == ["Open"]
    comment = (await say(world, backer.id, secret))["comment"]["id"]
    assert codes(await say(world, stranger, secret)) == ["NOT_FOUND"]
    named = [{"__typename": "ProjectPost", "id": secret}, {"__typename": "Comment", "id": comment}]
    assert None not in await world.do(ENTITY, backer.id, r=named)
    assert await world.do(ENTITY, stranger, r=named) == [None, None]
    await world.do(CANCEL, backer.id, id=pledge)
    assert await titles(world, backer.id, project) == ["Open"], "who took it back is no backer"
    assert codes(await say(world, backer.id, secret)) == ["NOT_FOUND"]


async def test_posts_are_checked_and_only_the_creators(world: World) -> None:
    owner = new_ulid()
    project, draft = await world.open(owner), (await world.create(owner))["project"]["id"]
    given = {"audience": "EVERYONE", "title": "T", "body": "B"}
    assert codes(await world.do(POST, new_ulid(), project=project, **given)) == ["NOT_FOUND"]
    assert codes(await world.do(POST, owner, project=draft, **given)) == ["PROJECT_NOT_OPEN"]
    for change in ({"title": ""}, {"title": "x" * 201}, {"body": "\x00"}, {"body": "x" * 20_001}):
        assert codes(await world.do(POST, owner, project=project, **{**given, **change})) == ["INVALID"]
    assert await world.count(models.posts) == 0
    long = await world.do(POST, owner, project=project, **{**given, "body": "가" * 20_000})
    assert long["userErrors"] == [], "three bytes a letter fit in every database"


async def test_liking_twice_is_liking_once(world: World) -> None:
    user, project = new_ulid(), await world.open()
    for _ in range(2):
        assert (await world.do(LIKE, user, id=project))["project"] == {"isFavorite": True, "favoriteCount": 1}
    for _ in range(2):
        assert (await world.do(UNLIKE, user, id=project))["project"] == {"isFavorite": False, "favoriteCount": 0}
    assert codes(await world.do(LIKE, user, id=global_id("Project", new_ulid()))) == ["NOT_FOUND"]
    assert await world.violations() == []


async def test_many_may_like_a_project_at_once(world: World) -> None:
    project = await world.open()
    user = new_ulid()
    answers = await asyncio.gather(*(world.do(LIKE, new_ulid() if n else user, id=project) for n in range(15)))
    assert all(answer["userErrors"] == [] for answer in answers)
    assert (await world.state(project))["favoriteCount"] == 15
    assert await world.violations() == []
