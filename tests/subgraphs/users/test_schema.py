"""What the graph shows to whom, entities in batches, and tables as the models say."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, update

from db.migrate import downgrade
from messaging.events.users import PartnerChanged, UserChanged
from messaging.memory import MemoryBroker
from messaging.relay import Relay
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.users import app
from subgraphs.users.models import Base, notifications, outbox, partner_members, partners, users
from subgraphs.users.service import announce_partners, announce_users
from tests.subgraphs.users.conftest import Member, World
from tests.support.statements import statements_of

ENTITIES = """query($r: [_Any!]!) { _entities(representations: $r) { __typename
  ... on User { displayName email name phone emailVerifiedAt partner { id } }
  ... on Session { current } ... on Partner { slug title: name } ... on PartnerApplication { status }
  ... on Notification { heading: title } } }"""
USERS = """query($search: String, $first: Int, $after: String) {
  users(search: $search, first: $first, after: $after) {
    totalCount edges { cursor node { email roles sessions { current } } } pageInfo { hasNextPage } } }"""


async def entities(world: World, member: Member | None, *given: dict[str, Any]) -> list[Any]:
    answer = await world.ask(ENTITIES, member, r=list(given))
    assert "errors" not in answer, answer
    found: list[Any] = answer["data"]["_entities"]
    return found


def user(id: str) -> dict[str, Any]:
    return {"__typename": "User", "id": global_id("User", id)}


async def test_others_see_the_display_name_and_nothing_personal(world: World) -> None:
    member, stranger = await world.member(), await world.member("stranger@example.com")
    for viewer in (None, stranger):
        (seen,) = await entities(world, viewer, user(member.id))
        assert seen.pop("displayName") == "김*레"
        assert set(seen.values()) == {"User", None}
    (own,) = await entities(world, member, user(member.id))
    assert own["email"] == member.email
    admin = await world.admin()
    (seen,) = await entities(world, admin, user(member.id))
    assert seen["email"] == member.email


@pytest.mark.parametrize(
    "field", ["roles", "sessions { id }", "unreadNotificationCount", "notificationPreferences { type }"]
)
async def test_lists_of_others_are_refused(world: World, field: str) -> None:
    member, stranger = await world.member(), await world.member("stranger@example.com")
    query = f"query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on User {{ {field} }} }} }}"
    answer = await world.ask(query, stranger, r=[user(member.id)])
    assert answer["data"]["_entities"] == [None]
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "errors" not in await world.ask(query, member, r=[user(member.id)])


async def test_a_bad_representation_is_null_and_the_others_are_not(world: World) -> None:
    member = await world.member()
    found = await entities(
        world,
        member,
        user(member.id),
        user(new_ulid()),
        {"__typename": "User", "id": "nonsense"},
        {"__typename": "User", "id": global_id("Order", member.id)},
        {"__typename": "User"},
        {"__typename": "Session", "id": global_id("Session", member.session_id)},
        {"__typename": "Partner", "slug": "nobody"},
        {"__typename": "PartnerApplication", "id": global_id("PartnerApplication", new_ulid())},
        {"__typename": "Notification", "id": global_id("Notification", new_ulid())},
    )
    assert [each and each["__typename"] for each in found] == ["User", *[None] * 4, "Session", *[None] * 3]


async def test_another_users_session_and_notification_read_as_null(world: World) -> None:
    member, stranger = await world.member(), await world.member("stranger@example.com")
    id = new_ulid()
    row = {
        "id": id,
        "event_id": "e",
        "recipient_id": member.id,
        "type": "DELIVERED",
        "title": "t",
        "body": "b",
        "in_inbox": True,
        "created_at": world.clock(),
    }
    await world.run(insert(notifications).values(row))
    asked = (
        {"__typename": "Session", "id": global_id("Session", member.session_id)},
        {"__typename": "Notification", "id": global_id("Notification", id)},
    )
    assert await entities(world, stranger, *asked) == [None, None]
    assert all(await entities(world, member, *asked))


async def test_sellers_are_found_by_id_and_by_slug(world: World) -> None:
    member = await world.member()
    ids = [new_ulid() for _ in range(2)]
    await world.run(insert(partners).values([seller(world, id) for id in ids]))
    await world.run(insert(partner_members).values(user_id=member.id, partner_id=ids[0]))
    by_id = {"__typename": "Partner", "id": global_id("Partner", ids[0])}
    by_slug = {"__typename": "Partner", "slug": f"seller-{ids[1].lower()}"}
    found = await entities(world, None, by_id, by_slug, by_id)
    assert [each["slug"][-26:].upper() for each in found] == [ids[0], ids[1], ids[0]]


def seller(world: World, id: str) -> dict[str, Any]:
    return {
        "id": id,
        "version": 3,
        "slug": f"seller-{id.lower()}",
        "name": "Seller",
        "status": "ACTIVE",
        "business_number": id[-10:],
        "created_at": world.clock(),
    }


async def test_users_are_listed_for_those_who_may(world: World) -> None:
    for name in ("one", "two", "100%"):
        await world.register(f"{name.replace('%', '')}@example.com", displayName=name)
    denied = await world.ask(USERS, await world.member())
    assert denied["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    admin = await world.admin()
    page = (await world.ask(USERS, admin, first=2))["data"]["users"]
    assert page["totalCount"] == 5
    assert len(page["edges"]) == 2
    found = (await world.ask(USERS, admin, search="TWO"))["data"]["users"]
    assert [edge["node"]["email"] for edge in found["edges"]] == ["two@example.com"]
    assert (await world.ask(USERS, admin, search="%"))["data"]["users"]["totalCount"] == 1
    for first in (-1, 101):
        refused = await world.ask(USERS, admin, first=first)
        assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_list_costs_the_same_statements_however_long(world: World) -> None:
    async def cost() -> int:
        with statements_of(world.database) as statements:
            answer = await world.ask(USERS, admin, first=100)
        assert len(answer["data"]["users"]["edges"]) > 1
        return len(statements)

    admin = await world.admin()
    await world.register("one@example.com")
    few = await cost()
    for number in range(8):
        await world.register(f"more{number}@example.com")
    assert await cost() == few == 4


async def test_a_withdrawn_user_is_nobody(world: World) -> None:
    member = await world.member()
    await world.run(update(users).values(email=None, email_index=None, deleted_at=world.clock()))
    assert (await world.ask("{ me { id } }", member))["data"] == {"me": None}


async def test_rows_that_others_wrote_are_announced(any_world: World) -> None:
    member, id = await any_world.member(), new_ulid()
    await any_world.run(insert(partners).values([seller(any_world, id)]))
    await any_world.run(insert(partner_members).values(user_id=member.id, partner_id=id))

    async def work(tx: Any) -> None:
        await announce_users(tx, [member.id, new_ulid()])
        await announce_partners(tx, [id])

    await any_world.database.run(work)
    (told,) = await any_world.told(PartnerChanged)
    assert (told.version, told.member_ids, told.status) == (3, (member.id,), "ACTIVE")
    assert (await any_world.told(UserChanged))[-1].user_id == member.id


async def test_what_is_told_leaves_by_the_relay(world: World) -> None:
    broker = MemoryBroker(unrouted=[UserChanged.type])
    await world.register("buyer@example.com")
    assert await Relay(world.database, outbox, broker).drain() == 1


async def test_the_migrations_make_what_the_models_say_and_can_be_undone(any_world: World, database_url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with any_world.database.transaction() as connection:
        assert await connection.run_sync(differences) == []
    await any_world.database.close()
    await downgrade(database_url, app.MIGRATIONS, "base")
