"""What the deadline brings: one verdict, and the release of what was promised in vain."""

from __future__ import annotations

import pytest

from messaging.events.funding import PledgeCanceled
from subgraphs.kit.ids import new_ulid
from tests.subgraphs.funding.conftest import World

PLEDGE = "query($id: ID!) { pledge(id: $id) { status cancelableUntil } }"
CANCEL = 'mutation($id: ID!) { projectCancel(id: $id, reason: "A flood") { project { status } userErrors { code } } }'


async def closed(world: World, amounts: list[int], **terms: str) -> str:
    project = await world.open(**terms)
    for amount in amounts:
        assert (await world.pledge(await world.backer(), project, additionalAmount=str(amount)))["pledge"]
    world.clock.pass_by(days=11)
    await world.sweep()
    return project


@pytest.mark.parametrize(
    ("amounts", "model", "status"),
    [
        ([60, 40], "ALL_OR_NOTHING", "COLLECTING"),
        ([60, 41], "ALL_OR_NOTHING", "COLLECTING"),
        ([60, 39], "ALL_OR_NOTHING", "FAILED"),
        ([], "ALL_OR_NOTHING", "FAILED"),
        ([1], "KEEP_IT_ALL", "COLLECTING"),
        ([], "KEEP_IT_ALL", "FAILED"),
    ],
)
async def test_the_verdict(world: World, amounts: list[int], model: str, status: str) -> None:
    project = await closed(world, amounts, goalAmount="100", fundingModel=model)
    state = await world.state(project)
    assert state["status"] == status
    assert state["pledgedAmount"]["amount"] == str(sum(amounts)), "what it came to is still said"
    assert len(await world.told(PledgeCanceled)) == (len(amounts) if status == "FAILED" else 0)
    assert await world.violations() == []


async def test_before_the_deadline_nothing_is_decided(world: World) -> None:
    project = await world.open()
    world.clock.pass_by(days=9, hours=23)
    assert await world.sweep() == 0
    assert (await world.state(project))["status"] == "OPEN"


async def test_a_verdict_is_given_once(world: World) -> None:
    project = await closed(world, [5])
    before = await world.state(project)
    assert await world.sweep() == 0
    assert await world.state(project) == before
    assert len(await world.told(PledgeCanceled)) == 1


@pytest.mark.parametrize("end", ["deadline", "cancel"])
async def test_an_end_in_vain_releases_pledges_and_units(world: World, end: str) -> None:
    owner, backer = new_ulid(), await world.backer()
    project = await world.open(owner)
    reward = await world.reward(owner, project, totalQuantity=5)
    pledges = [
        (await world.pledge(backer, project, rewardId=reward, quantity=quantity))["pledge"]["id"] for quantity in (1, 2)
    ]
    if end == "cancel":
        await world.do(CANCEL, owner, id=project)
    else:
        world.clock.pass_by(days=11)
        await world.sweep()
    for pledge in pledges:
        assert await world.do(PLEDGE, backer.id, id=pledge) == {"status": "RELEASED", "cancelableUntil": None}
    assert (await world.state(project))["rewards"] == [{"remainingQuantity": 5}]
    assert sorted(each.version for each in await world.told(PledgeCanceled)) == [2, 2]
    assert await world.violations() == []
