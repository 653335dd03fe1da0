"""Each invariant is broken on purpose and reported."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from subgraphs.funding.models import pledges, projects, rewards
from subgraphs.kit.ids import new_ulid
from tests.subgraphs.funding.conftest import World

BREAKS: dict[str, tuple[str, Any]] = {
    "raised amount": ("funding.sums", update(projects).values(pledged_amount=1)),
    "backer count": ("funding.sums", update(projects).values(backer_count=7)),
    "a pledge's total": ("funding.sums", update(pledges).values(total=1)),
    "claimed units": ("funding.units", update(rewards).values(claimed=1)),
    "a pledge's units": ("funding.units", update(pledges).values(quantity=3)),
    "favourites": ("funding.favorites", update(projects).values(favorite_count=3)),
    "failed with live pledges": ("funding.settled_one_way", update(projects).values(status="FAILED")),
    "cancelled with live pledges": ("funding.settled_one_way", update(projects).values(status="CANCELED")),
    "open with released pledges": ("funding.settled_one_way", update(pledges).values(status="RELEASED")),
}


@pytest.mark.parametrize("broken", BREAKS)
async def test_a_broken_invariant_is_reported(world: World, broken: str) -> None:
    owner = new_ulid()
    project = await world.open(owner)
    reward = await world.reward(owner, project, totalQuantity=5)
    await world.pledge(await world.backer(), project, rewardId=reward, quantity=2)
    assert await world.violations() == []
    invariant, statement = BREAKS[broken]
    async with world.database.transaction() as tx:
        await tx.execute(statement)
    assert invariant in await world.violations()
