"""Rewards: what a creator offers, and what stands once somebody wants it."""

from __future__ import annotations

from typing import Any

from subgraphs.funding import models
from subgraphs.kit.ids import global_id, new_ulid
from tests.subgraphs.funding.conftest import REWARD, World, codes, reward_input

UPDATE = """
mutation($id: ID!, $input: RewardInput!) { rewardUpdate(id: $id, input: $input) {
  reward { title remainingQuantity minimumAmount { amount } } userErrors { code field }
} }"""
DELETE = "mutation($id: ID!) { rewardDelete(id: $id) { reward { id } userErrors { code } } }"
CANCEL = "mutation($id: ID!) { pledgeCancel(id: $id) { userErrors { code } } }"

BAD: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, "title"),
    ({"title": "x" * 101}, "title"),
    ({"description": "x" * 2001}, "description"),
    ({"description": "\x00"}, "description"),
    ({"minimumAmount": "0"}, "minimumAmount"),
    ({"minimumAmount": "-5"}, "minimumAmount"),
    ({"minimumAmount": "NaN"}, "minimumAmount"),
    ({"minimumAmount": "1E+99"}, "minimumAmount"),
    ({"totalQuantity": 0}, "totalQuantity"),
    ({"totalQuantity": -1}, "totalQuantity"),
    ({"totalQuantity": 1_000_001}, "totalQuantity"),
]


async def test_bad_input_is_named_and_nothing_is_written(world: World) -> None:
    owner = new_ulid()
    project = (await world.create(owner))["project"]["id"]
    for change, field in BAD:
        refused = await world.do(REWARD, owner, project=project, input=reward_input(**change))
        assert [(each["code"], each["field"][-1]) for each in refused["userErrors"]] == [("INVALID", field)], change
    assert await world.count(models.rewards) == 0


async def test_a_stranger_has_no_say(world: World) -> None:
    owner, stranger = new_ulid(), new_ulid()
    project = await world.open(owner)
    reward = await world.reward(owner, project)
    assert codes(await world.do(REWARD, stranger, project=project, input=reward_input())) == ["NOT_FOUND"]
    assert codes(await world.do(UPDATE, stranger, id=reward, input=reward_input())) == ["NOT_FOUND"]
    assert codes(await world.do(DELETE, stranger, id=reward)) == ["NOT_FOUND"]
    assert codes(await world.do(DELETE, owner, id=global_id("Reward", new_ulid()))) == ["NOT_FOUND"]


async def test_price_and_promised_units_stand_once_pledged_for(world: World) -> None:
    owner, backer = new_ulid(), await world.backer()
    project = await world.open(owner)
    reward = await world.reward(owner, project, totalQuantity=5)
    pledge = (await world.pledge(backer, project, rewardId=reward, quantity=3))["pledge"]["id"]
    for change in ({"minimumAmount": "1"}, {"totalQuantity": 2}, {"shippingRequired": True}):
        refused = await world.do(UPDATE, owner, id=reward, input=reward_input(**{"totalQuantity": 5, **change}))
        assert codes(refused) == ["REWARD_HAS_PLEDGES"], change
    fewer = await world.do(UPDATE, owner, id=reward, input=reward_input(totalQuantity=3))
    assert fewer["reward"]["remainingQuantity"] == 0
    more = await world.do(UPDATE, owner, id=reward, input=reward_input())
    assert more["reward"]["remainingQuantity"] is None
    assert codes(await world.do(DELETE, owner, id=reward)) == ["REWARD_HAS_PLEDGES"]
    await world.do(CANCEL, backer.id, id=pledge)
    assert codes(await world.do(UPDATE, owner, id=reward, input=reward_input(minimumAmount="1"))) == []
    assert codes(await world.do(DELETE, owner, id=reward)) == ["REWARD_HAS_PLEDGES"], "the taken back names it still"


async def test_what_nobody_wants_can_go(world: World) -> None:
    owner = new_ulid()
    project = await world.open(owner)
    reward = await world.reward(owner, project)
    assert codes(await world.do(DELETE, owner, id=reward)) == []
    assert (await world.state(project))["rewards"] == []


async def test_a_closed_project_keeps_its_rewards_as_they_are(world: World) -> None:
    owner = new_ulid()
    project = await world.open(owner)
    reward = await world.reward(owner, project)
    world.clock.pass_by(days=11)
    await world.sweep()
    assert codes(await world.do(REWARD, owner, project=project, input=reward_input())) == ["PROJECT_LOCKED"]
    assert codes(await world.do(UPDATE, owner, id=reward, input=reward_input())) == ["PROJECT_LOCKED"]
    assert codes(await world.do(DELETE, owner, id=reward)) == ["PROJECT_LOCKED"]


async def test_a_project_has_fifty_rewards_at_most(world: World) -> None:
    owner = new_ulid()
    project = await world.open(owner)
    for _ in range(50):
        await world.reward(owner, project)
    assert codes(await world.do(REWARD, owner, project=project, input=reward_input())) == ["INVALID"]
