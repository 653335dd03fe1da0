"""A project's backers are told what becomes of it: once each, in the transaction of what happened, and nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from messaging.events.funding import BackerTold
from subgraphs.kit.ids import new_ulid
from tests.subgraphs.funding.conftest import Backer, World, reward_input
from tests.subgraphs.funding.test_projects import CANCEL, UPDATE
from tests.subgraphs.funding.test_rewards import UPDATE as REWARD_UPDATE

TAKE_BACK = "mutation($id: ID!) { pledgeCancel(id: $id) { userErrors { code } } }"


@dataclass(frozen=True)
class Backed:
    """An open project, what it was written with, and somebody with two pledges. Another took hers back."""

    owner: str
    draft: dict[str, Any]
    id: str
    backer: Backer


@pytest.fixture
async def project(world: World) -> Backed:
    owner, draft = new_ulid(), world.draft()
    project = await world.open(owner, **draft)
    faithful, other = await world.backer(), await world.backer()
    for _ in range(2):
        assert (await world.pledge(faithful, project, additionalAmount="1000"))["userErrors"] == []
    taken = await world.pledge(other, project, additionalAmount="1000")
    await world.do(TAKE_BACK, other.id, id=taken["pledge"]["id"])
    return Backed(owner, draft, project, faithful)


async def change(world: World, project: Backed, **changes: Any) -> None:
    version = (await world.state(project.id))["version"]
    answer = await world.do(UPDATE, project.owner, id=project.id, version=version, input=project.draft | changes)
    assert answer["userErrors"] == []


async def test_what_has_changed_is_told_once_a_backer(world: World, project: Backed) -> None:
    await change(world, project, story="A lamp like the sun.", summary="Brighter")
    (told,) = await world.told(BackerTold)
    assert (told.backer_id, told.news, told.title) == (project.backer.id, "UPDATED", "달빛 조명")
    assert sorted(told.changed) == ["story", "summary"]


async def test_what_changes_nothing_is_not_told(world: World, project: Backed) -> None:
    await change(world, project)
    assert await world.told(BackerTold) == []


async def test_a_changed_reward_is_told(world: World, project: Backed) -> None:
    reward = await world.reward(project.owner, project.id)
    for _ in range(2):  # the second changes nothing
        done = await world.do(REWARD_UPDATE, project.owner, id=reward, input=reward_input(title="Two lamps"))
        assert done["userErrors"] == []
    (told,) = await world.told(BackerTold)
    assert (told.backer_id, told.changed) == (project.backer.id, ("rewards",))


@pytest.mark.parametrize(("end", "news", "reason"), [("cancel", "CANCELED", "A flood"), ("deadline", "FAILED", None)])
async def test_an_end_in_vain_is_told_with_its_reason(
    world: World, project: Backed, end: str, news: str, reason: str | None
) -> None:
    for _ in range(2):  # again is nothing
        if end == "cancel":
            await world.do(CANCEL, project.owner, id=project.id, reason=reason)
        else:
            world.clock.pass_by(days=11)
            await world.sweep()
    (told,) = await world.told(BackerTold)
    assert (told.backer_id, told.news, told.reason) == (project.backer.id, news, reason)


async def test_a_refused_change_tells_nothing(world: World, project: Backed) -> None:
    answer = await world.do(UPDATE, project.owner, id=project.id, version=999, input=project.draft | {"title": "x"})
    assert answer["userErrors"]
    assert await world.told(BackerTold) == []
