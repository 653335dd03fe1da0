"""A project's life, from the draft to its opening, and what its creator may do when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from subgraphs.funding import models
from subgraphs.kit.ids import global_id, new_ulid
from tests.subgraphs.funding.conftest import CREATE, PROJECT, REVIEW, SUBMIT, World, codes

UPDATE = f"""
mutation($id: ID!, $version: Int!, $input: ProjectInput!) {{
  projectUpdate(id: $id, version: $version, input: $input) {{ {PROJECT} }}
}}"""
CANCEL = f"mutation($id: ID!, $reason: String!) {{ projectCancel(id: $id, reason: $reason) {{ {PROJECT} }} }}"
SEE = "query($id: ID, $slug: String) { project(id: $id, slug: $slug) { id status nextTransitions } }"


async def test_a_draft_is_its_creators_until_it_is_published(world: World) -> None:
    owner = new_ulid()
    project = (await world.create(owner))["project"]
    assert project["status"] == "DRAFT"
    assert await world.do(SEE, new_ulid(), id=project["id"]) is None
    assert await world.do(SEE, id=project["id"]) is None
    assert await world.do(SEE, slug=project["slug"]) is None
    assert (await world.do(SEE, owner, slug=project["slug"]))["id"] == project["id"]
    await world.do(SUBMIT, owner, id=project["id"])
    await world.do(REVIEW, new_ulid(), scopes=["projects:review"], id=project["id"], approve=True)
    assert (await world.do(SEE, slug=project["slug"]))["status"] == "OPEN"


async def test_the_same_key_makes_one_project_even_when_its_dates_have_passed(world: World) -> None:
    owner, key, draft = new_ulid(), new_ulid(), world.draft()
    first = await world.create(owner, key=key, **draft)
    world.clock.pass_by(days=30)
    again = await world.create(owner, key=key, **draft)
    assert again["project"]["id"] == first["project"]["id"]
    assert await world.count(models.projects) == 1


@pytest.mark.parametrize(
    "change", [{"summary": "Another"}, {"fundingModel": "KEEP_IT_ALL"}, {"title": "Other"}, {"goalAmount": "5"}]
)
async def test_a_key_with_other_input_is_a_conflict(world: World, change: dict[str, Any]) -> None:
    owner, key, draft = new_ulid(), new_ulid(), world.draft()
    await world.create(owner, key=key, **draft)
    assert codes(await world.create(owner, key=key, **{**draft, **change})) == ["IDEMPOTENCY_CONFLICT"]
    assert await world.count(models.projects) == 1


async def test_keys_are_each_users_own(world: World) -> None:
    key, draft = new_ulid(), world.draft()
    first, second = [await world.create(new_ulid(), key=key, **draft) for _ in range(2)]
    assert first["project"]["id"] != second["project"]["id"]


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"title": " "}, "INVALID", "title"),
    ({"title": "x" * 101}, "INVALID", "title"),
    ({"title": "a\x00b"}, "INVALID", "title"),
    ({"summary": "x" * 301}, "INVALID", "summary"),
    ({"story": "x" * 50_001}, "INVALID", "story"),
    ({"goalAmount": "0"}, "INVALID", "goalAmount"),
    ({"goalAmount": "-1"}, "INVALID", "goalAmount"),
    ({"goalAmount": "NaN"}, "INVALID", "goalAmount"),
    ({"goalAmount": "Infinity"}, "INVALID", "goalAmount"),
    ({"goalAmount": "0.5"}, "INVALID", "goalAmount"),
    ({"goalAmount": "1E+999999999"}, "INVALID", "goalAmount"),
    ({"goalAmount": "1000000000001"}, "INVALID", "goalAmount"),
    ({"goalAmount": "1.005", "currencyCode": "USD"}, "INVALID", "goalAmount"),
    ({"closesAt": "2099-01-01T00:00:00"}, "INVALID", "closesAt"),
    ({"closesAt": "2099-01-01T00:00:00Z"}, "INVALID", "closesAt"),
    ({"closesAt": "2020-01-01T00:00:00Z"}, "INVALID", "closesAt"),
    ({"opensAt": "2026-11-21T00:00:00"}, "INVALID", "opensAt"),
    ({"categoryId": "nonsense"}, "NOT_FOUND", "categoryId"),
    ({"categoryId": global_id("ProjectCategory", "0" * 26)}, "NOT_FOUND", "categoryId"),
    ({"categoryId": global_id("User", "0" * 26)}, "NOT_FOUND", "categoryId"),
]


async def test_bad_input_is_named_and_nothing_is_written(world: World) -> None:
    for change, code, field in BAD:
        refused = await world.create(new_ulid(), **change)
        assert refused["project"] is None
        assert [(each["code"], each["field"][-1]) for each in refused["userErrors"]] == [(code, field)], change
    assert codes(await world.create(new_ulid(), key="")) == ["INVALID"]
    assert codes(await world.create(new_ulid(), key="k" * 256)) == ["INVALID"]
    assert codes(await world.create(new_ulid(), key="a\x00b")) == ["INVALID"]
    assert await world.count(models.projects) == 0
    assert await world.count(models.idempotency) == 0


async def test_an_instant_outside_of_the_years_is_refused_before_anything_runs(world: World) -> None:
    for change in ({"closesAt": "9999-12-31T23:59:59-12:00"}, {"opensAt": "0001-01-01T00:00:00+12:00"}):
        answer = await world.ask(CREATE, new_ulid(), input=world.draft(**change), key=new_ulid())
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]
    assert await world.count(models.projects) == 0


async def test_several_problems_are_told_at_once(world: World) -> None:
    refused = await world.create(new_ulid(), title="", story="")
    assert [each["field"] for each in refused["userErrors"]] == [["input", "title"], ["input", "story"]]


async def test_the_longest_korean_texts_fit(world: World) -> None:
    """Three bytes a letter, in the database that counts bytes."""
    made = await world.create(new_ulid(), story="가" * 50_000, title="각" * 100, summary="간" * 300)
    assert made["userErrors"] == []


async def test_an_anonymous_caller_creates_nothing(world: World) -> None:
    answer = await world.ask(
        'mutation($input: ProjectInput!) { projectCreate(input: $input, idempotencyKey: "k") { project { id } } }',
        input=world.draft(),
    )
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert await world.count(models.projects) == 0


async def test_an_edit_from_an_older_version_is_refused(world: World) -> None:
    owner = new_ulid()
    project = (await world.create(owner))["project"]
    for title in ("Second", "Third"):
        edited = await world.do(UPDATE, owner, id=project["id"], version=1, input=world.draft(title=title))
        if title == "Second":
            assert (edited["project"]["title"], edited["project"]["version"]) == ("Second", 2)
        else:
            assert codes(edited) == ["VERSION_CONFLICT"]


async def test_goal_and_period_stand_once_submitted_and_words_do_not(world: World) -> None:
    owner, draft = new_ulid(), world.draft()
    project = await world.open(owner, **draft)
    version = (await world.state(project))["version"]
    later = (world.clock() + timedelta(days=20)).isoformat()
    for change in ({"goalAmount": "1"}, {"closesAt": later}, {"fundingModel": "KEEP_IT_ALL"}, {"currencyCode": "JPY"}):
        refused = await world.do(UPDATE, owner, id=project, version=version, input={**draft, **change})
        assert codes(refused) == ["PROJECT_LOCKED"], change
    edited = await world.do(UPDATE, owner, id=project, version=version, input={**draft, "title": "New words"})
    assert edited["project"]["title"] == "New words"


async def test_a_currency_cannot_change_under_the_prices_of_rewards(world: World) -> None:
    """30,000 won would become 300 dollars."""
    owner = new_ulid()
    project = (await world.create(owner))["project"]["id"]
    await world.reward(owner, project)
    refused = await world.do(UPDATE, owner, id=project, version=1, input=world.draft(currencyCode="USD"))
    assert codes(refused) == ["INVALID"]


async def test_another_users_project_does_not_exist_for_its_mutations(world: World) -> None:
    project = (await world.create(new_ulid()))["project"]["id"]
    stranger = new_ulid()
    assert codes(await world.do(UPDATE, stranger, id=project, version=1, input=world.draft())) == ["NOT_FOUND"]
    assert codes(await world.do(SUBMIT, stranger, id=project)) == ["NOT_FOUND"]
    assert codes(await world.do(CANCEL, stranger, id=project, reason="mine")) == ["NOT_FOUND"]
    assert codes(await world.do(SUBMIT, stranger, id=global_id("Project", new_ulid()))) == ["NOT_FOUND"]


async def test_only_reviewers_review(world: World) -> None:
    project = (await world.create(new_ulid()))["project"]["id"]
    answer = await world.ask(REVIEW, new_ulid(), id=project, approve=True)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_rejected_project_says_nothing_without_a_reason_and_may_come_again(world: World) -> None:
    owner, reviewer = new_ulid(), {"scopes": ["projects:review"]}
    project = (await world.create(owner))["project"]["id"]
    assert codes(await world.do(REVIEW, new_ulid(), **reviewer, id=project, approve=True)) == ["PROJECT_LOCKED"]
    await world.do(SUBMIT, owner, id=project)
    await world.do(SUBMIT, owner, id=project)
    for reason in (None, " "):
        assert codes(await world.do(REVIEW, new_ulid(), **reviewer, id=project, approve=False, reason=reason)) == [
            "REQUIRED"
        ]
    for reason in ("x" * 501, "a\x00b"):
        refused = await world.do(REVIEW, new_ulid(), **reviewer, id=project, approve=False, reason=reason)
        assert codes(refused) == ["INVALID"]
    rejected = await world.do(REVIEW, new_ulid(), **reviewer, id=project, approve=False, reason="Which lamp?")
    assert rejected["project"]["status"] == "REJECTED"
    assert (await world.do(SUBMIT, owner, id=project))["project"]["status"] == "IN_REVIEW"


async def test_what_is_published_is_not_reviewed_again(world: World) -> None:
    opens = world.clock() + timedelta(days=1)
    project = await world.open(opensAt=opens.isoformat())
    world.clock.pass_by(days=1, minutes=1)
    refused = await world.do(REVIEW, new_ulid(), scopes=["projects:review"], id=project, approve=True)
    assert codes(refused) == ["PROJECT_LOCKED"]


async def test_a_scheduled_project_opens_on_time(world: World) -> None:
    project = await world.open(opensAt=(world.clock() + timedelta(days=1)).isoformat())
    assert await world.sweep() == 0
    assert (await world.state(project))["status"] == "SCHEDULED"
    assert codes(await world.pledge(await world.backer(), project, additionalAmount="5")) == ["PROJECT_NOT_OPEN"]
    world.clock.pass_by(days=1, minutes=1)
    assert await world.sweep() == 1
    assert (await world.state(project))["status"] == "OPEN"


async def test_a_period_that_passed_while_waiting_is_noticed(world: World) -> None:
    owner = new_ulid()
    late = (await world.create(owner))["project"]["id"]
    waiting = (await world.create(owner))["project"]["id"]
    await world.do(SUBMIT, owner, id=waiting)
    world.clock.pass_by(days=11)
    assert codes(await world.do(SUBMIT, owner, id=late)) == ["INVALID"]
    refused = await world.do(REVIEW, new_ulid(), scopes=["projects:review"], id=waiting, approve=True)
    assert codes(refused) == ["INVALID"]


async def test_cancelling_again_is_nothing_and_what_has_closed_is_not_cancelled(world: World) -> None:
    owner = new_ulid()
    project = await world.open(owner)
    assert codes(await world.do(CANCEL, owner, id=project, reason="")) == ["INVALID"]
    first = await world.do(CANCEL, owner, id=project, reason="A flood")
    again = await world.do(CANCEL, owner, id=project, reason="A flood")
    assert first["project"]["status"] == again["project"]["status"] == "CANCELED"
    assert first["project"]["version"] == again["project"]["version"]
    failed = await world.open(owner)
    world.clock.pass_by(days=11)
    await world.sweep()
    assert codes(await world.do(CANCEL, owner, id=failed, reason="Why not")) == ["PROJECT_LOCKED"]


async def test_a_cancelled_draft_stays_hidden(world: World) -> None:
    owner = new_ulid()
    project = (await world.create(owner))["project"]["id"]
    await world.do(CANCEL, owner, id=project, reason="No")
    assert await world.do(SEE, new_ulid(), id=project) is None


async def test_a_slug_that_no_database_could_hold_names_nothing(world: World) -> None:
    assert await world.do(SEE, slug="\x00") is None
