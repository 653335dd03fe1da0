"""Backing a project and taking it back: what is refused, and what stays untouched when it is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from messaging.events.funding import PledgeCanceled, PledgeReserved
from messaging.events.users import UserChanged
from subgraphs.funding import models
from subgraphs.kit.ids import global_id, new_ulid
from tests.subgraphs.funding.conftest import Backer, World, address_of, codes, method_of

CANCEL = """
mutation($id: ID!, $reason: String) { pledgeCancel(id: $id, reason: $reason) {
  pledge { status canceledAt cancelableUntil } userErrors { code field }
} }"""
METHOD = """
mutation($id: ID!, $method: ID!) { pledgePaymentMethodUpdate(id: $id, paymentMethodId: $method) {
  pledge { status } userErrors { code field }
} }"""
SEE = "query($id: ID!) { pledge(id: $id) { id } }"


async def untouched(world: World, project: str) -> None:
    """Nothing pledged, no unit taken, no key kept, nothing told."""
    state = await world.state(project)
    assert (state["pledgedAmount"]["amount"], state["backerCount"]) == ("0", 0)
    assert await world.count(models.pledges) == 0
    assert await world.told(PledgeReserved) == []
    assert await world.violations() == []


async def test_a_pledge_counts_for_its_project_and_is_told(world: World) -> None:
    owner, backer = new_ulid(), await world.backer()
    project = await world.open(owner)
    reward = await world.reward(owner, project, totalQuantity=5, shippingRequired=True)
    made = await world.pledge(
        backer,
        project,
        rewardId=reward,
        quantity=2,
        additionalAmount="500",
        addressId=global_id("Address", backer.address),
    )
    assert made["pledge"]["total"] == {"amount": "60500", "currencyCode": "KRW"}
    assert made["pledge"]["project"] == {"pledgedAmount": {"amount": "60500"}, "backerCount": 1}
    state = await world.state(project)
    assert (state["progressPercent"], state["rewards"]) == (60, [{"remainingQuantity": 3}])
    (told,) = await world.told(PledgeReserved)
    assert (told.total, told.backer_id, told.payment_method_id) == (60500, backer.id, backer.method)
    assert told.shipping_address_id == backer.address
    assert await world.violations() == []


async def test_an_address_is_kept_only_for_what_is_sent(world: World) -> None:
    owner, backer = new_ulid(), await world.backer()
    project = await world.open(owner)
    await world.pledge(backer, project, additionalAmount="5", addressId=global_id("Address", backer.address))
    (told,) = await world.told(PledgeReserved)
    assert told.shipping_address_id is None


async def test_what_is_refused_says_why_and_changes_nothing(world: World) -> None:
    owner, backer, other = new_ulid(), await world.backer(), await world.backer()
    project, elsewhere = await world.open(owner), await world.open(owner)
    reward = await world.reward(owner, project, totalQuantity=2)
    sent = await world.reward(owner, project, shippingRequired=True)
    foreign = await world.reward(owner, elsewhere)
    keys = await world.count(models.idempotency)
    someone = global_id("PaymentMethod", other.method)
    refusals: list[tuple[dict[str, Any], str, str]] = [
        ({"projectId": "nonsense"}, "NOT_FOUND", "projectId"),
        ({"projectId": global_id("Project", "0" * 26)}, "NOT_FOUND", "projectId"),
        ({"projectId": global_id("Reward", "0" * 26)}, "NOT_FOUND", "projectId"),
        ({"rewardId": foreign}, "NOT_FOUND", "rewardId"),
        ({"rewardId": global_id("Reward", "0" * 26)}, "NOT_FOUND", "rewardId"),
        ({"rewardId": reward, "quantity": 3}, "REWARD_SOLD_OUT", "rewardId"),
        ({"rewardId": reward, "quantity": 0}, "INVALID", "quantity"),
        ({"rewardId": reward, "quantity": -1}, "INVALID", "quantity"),
        ({"rewardId": reward, "quantity": 101}, "INVALID", "quantity"),
        ({"additionalAmount": "-1"}, "INVALID", "additionalAmount"),
        ({"additionalAmount": "NaN"}, "INVALID", "additionalAmount"),
        ({"additionalAmount": "0.5"}, "INVALID", "additionalAmount"),
        ({"additionalAmount": "1E+30"}, "INVALID", "additionalAmount"),
        ({"additionalAmount": "1000000000001"}, "INVALID", "additionalAmount"),
        ({}, "AMOUNT_BELOW_MINIMUM", "additionalAmount"),
        ({"rewardId": reward, "paymentMethodId": None}, "REQUIRED", "paymentMethodId"),
        ({"rewardId": reward, "paymentMethodId": someone}, "NOT_FOUND", "paymentMethodId"),
        ({"rewardId": reward, "paymentMethodId": global_id("PaymentMethod", "0" * 26)}, "NOT_FOUND", "paymentMethodId"),
        ({"rewardId": sent}, "REQUIRED", "addressId"),
        ({"rewardId": sent, "addressId": global_id("Address", other.address)}, "NOT_FOUND", "addressId"),
    ]
    for change, code, field in refusals:
        refused = await world.pledge(backer, project, **change)
        assert refused["pledge"] is None
        assert [(each["code"], each["field"][-1]) for each in refused["userErrors"]] == [(code, field)], change
    assert await world.count(models.idempotency) == keys, "a refused command leaves no trace of its key"
    await untouched(world, project)


async def test_a_draft_that_nobody_may_know_of_takes_no_pledge(world: World) -> None:
    hidden = (await world.create(new_ulid()))["project"]["id"]
    assert codes(await world.pledge(await world.backer(), hidden, additionalAmount="5")) == ["NOT_FOUND"]


async def test_a_removed_method_a_deleted_address_and_an_unverified_backer_are_refused(world: World) -> None:
    owner, backer = new_ulid(), await world.backer()
    project = await world.open(owner)
    reward = await world.reward(owner, project, shippingRequired=True)
    given = {"rewardId": reward, "addressId": global_id("Address", backer.address)}
    await world.tell(address_of(backer, 2, deleted=True))
    assert codes(await world.pledge(backer, project, **given)) == ["NOT_FOUND"]
    await world.tell(method_of(backer, 2, "REMOVED"))
    assert codes(await world.pledge(backer, project, additionalAmount="5")) == ["NOT_FOUND"]
    await world.tell(UserChanged(user_id=backer.id, version=2, display_name="", email_verified=True, deleted=True))
    assert codes(await world.pledge(backer, project, additionalAmount="5")) == ["NOT_ALLOWED"]
    await untouched(world, project)


async def test_news_that_comes_late_sets_nothing_back(world: World) -> None:
    backer, project = await world.backer(), await world.open()
    await world.tell(method_of(backer, 3, "REMOVED"), method_of(backer, 2))
    await world.tell(method_of(backer, 2))
    assert codes(await world.pledge(backer, project, additionalAmount="5")) == ["NOT_FOUND"]


async def test_what_was_made_a_moment_ago_is_waited_for(world: World) -> None:
    """A method, an address and a user whose news is still on its way."""
    owner, backer = new_ulid(), Backer()
    project = await world.open(owner)
    reward = await world.reward(owner, project, shippingRequired=True)
    wish = asyncio.create_task(
        world.pledge(backer, project, rewardId=reward, addressId=global_id("Address", backer.address))
    )
    await asyncio.sleep(0.05)
    assert not wish.done()
    await world.tell(method_of(backer))
    await world.tell(address_of(backer))
    await world.tell(UserChanged(user_id=backer.id, version=1, display_name="B", email_verified=True))
    assert codes(await wish) == []


async def test_the_same_key_gives_the_same_pledge_and_other_input_a_conflict(world: World) -> None:
    backer, project, key = await world.backer(), await world.open(), new_ulid()
    first = await world.pledge(backer, project, key=key, additionalAmount="5")
    again = await world.pledge(backer, project, key=key, additionalAmount="5")
    assert again["pledge"]["id"] == first["pledge"]["id"]
    assert codes(await world.pledge(backer, project, key=key, additionalAmount="6")) == ["IDEMPOTENCY_CONFLICT"]
    assert (await world.state(project))["backerCount"] == 1
    assert len(await world.told(PledgeReserved)) == 1


async def test_the_same_key_answers_alike_when_the_project_has_closed(world: World) -> None:
    backer, project, key = await world.backer(), await world.open(), new_ulid()
    first = await world.pledge(backer, project, key=key, additionalAmount="5")
    world.clock.pass_by(days=11)
    again = await world.pledge(backer, project, key=key, additionalAmount="5")
    assert again["pledge"]["id"] == first["pledge"]["id"]


async def test_a_key_that_was_refused_can_be_used_again(world: World) -> None:
    owner, backer, key = new_ulid(), await world.backer(), new_ulid()
    project = await world.open(owner)
    assert codes(await world.pledge(backer, project, key=key)) == ["AMOUNT_BELOW_MINIMUM"]
    assert codes(await world.pledge(backer, project, key=key, additionalAmount="5")) == []


async def test_one_key_sent_many_times_at_once_is_one_pledge(world: World) -> None:
    backer, project, key = await world.backer(), await world.open(), new_ulid()
    made = await asyncio.gather(*(world.pledge(backer, project, key=key, additionalAmount="5") for _ in range(8)))
    assert len({each["pledge"]["id"] for each in made}) == 1
    assert await world.count(models.pledges) == 1
    assert await world.violations() == []


async def test_pledges_made_together_are_answered_apart(world: World) -> None:
    """Of concurrent wishes in shared transactions each gets its own answer, and the last units go once."""
    owner = new_ulid()
    project = await world.open(owner)
    reward = await world.reward(owner, project, totalQuantity=5)
    backers = [await world.backer() for _ in range(12)]
    wishes = [world.pledge(each, project, rewardId=reward) for each in backers]
    wishes.append(world.pledge(backers[0], project))
    made = await asyncio.gather(*wishes)
    answers = sorted(code for each in made for code in codes(each))
    assert answers == ["AMOUNT_BELOW_MINIMUM"] + ["REWARD_SOLD_OUT"] * 7
    state = await world.state(project)
    assert (state["backerCount"], state["rewards"]) == (5, [{"remainingQuantity": 0}])
    assert len(await world.told(PledgeReserved)) == 5
    assert await world.violations() == []


async def test_a_pledge_taken_back_frees_its_units_once(world: World) -> None:
    owner, backer = new_ulid(), await world.backer()
    project = await world.open(owner)
    reward = await world.reward(owner, project, totalQuantity=2)
    pledge = (await world.pledge(backer, project, rewardId=reward, quantity=2))["pledge"]["id"]
    assert codes(await world.do(CANCEL, new_ulid(), id=pledge)) == ["NOT_FOUND"]
    assert codes(await world.do(CANCEL, backer.id, id=pledge, reason="x" * 501)) == ["INVALID"]
    assert codes(await world.do(CANCEL, backer.id, id=pledge, reason="a\x00")) == ["INVALID"]
    for answer in await asyncio.gather(*(world.do(CANCEL, backer.id, id=pledge, reason="Sorry") for _ in range(3))):
        assert (answer["pledge"]["status"], answer["userErrors"]) == ("CANCELED", [])
    state = await world.state(project)
    assert (state["backerCount"], state["pledgedAmount"]["amount"]) == (0, "0")
    assert state["rewards"] == [{"remainingQuantity": 2}]
    (told,) = await world.told(PledgeCanceled)
    assert told.version == 2
    assert await world.violations() == []


async def test_pledging_and_taking_back_makes_no_project_popular(world: World) -> None:
    backer, project = await world.backer(), await world.open()
    pledge = (await world.pledge(backer, project, additionalAmount="5"))["pledge"]["id"]
    await world.do(CANCEL, backer.id, id=pledge)
    async with world.database.read() as connection:
        assert (await connection.execute(models.projects.select())).one().popularity == 0


async def test_after_the_deadline_nothing_is_pledged_or_taken_back(world: World) -> None:
    """Even before anybody has given the verdict."""
    backer, project = await world.backer(), await world.open()
    pledge = (await world.pledge(backer, project, additionalAmount="5"))["pledge"]
    assert pledge["cancelableUntil"] is not None
    world.clock.pass_by(days=10, minutes=1)
    assert codes(await world.do(CANCEL, backer.id, id=pledge["id"])) == ["PLEDGE_NOT_CANCELABLE"]
    assert codes(await world.pledge(backer, project, additionalAmount="5")) == ["PROJECT_NOT_OPEN"]


async def test_another_method_may_pay(world: World) -> None:
    backer, other, project = await world.backer(), await world.backer(), await world.open()
    pledge = (await world.pledge(backer, project, additionalAmount="5"))["pledge"]["id"]
    second = Backer(id=backer.id)
    await world.tell(method_of(second))
    given = {"id": pledge, "method": global_id("PaymentMethod", second.method)}
    assert codes(await world.do(METHOD, other.id, **given)) == ["NOT_FOUND"]
    foreign = global_id("PaymentMethod", other.method)
    assert codes(await world.do(METHOD, backer.id, id=pledge, method=foreign)) == ["NOT_FOUND"]
    for _ in range(2):
        assert codes(await world.do(METHOD, backer.id, **given)) == []
    told = await world.told(PledgeReserved)
    assert [(each.version, each.payment_method_id) for each in told] == [(1, backer.method), (2, second.method)]


async def test_a_cancelled_pledge_keeps_its_method(world: World) -> None:
    backer, project = await world.backer(), await world.open()
    pledge = (await world.pledge(backer, project, additionalAmount="5"))["pledge"]["id"]
    await world.do(CANCEL, backer.id, id=pledge)
    given = {"id": pledge, "method": global_id("PaymentMethod", backer.method)}
    assert codes(await world.do(METHOD, backer.id, **given)) == ["PLEDGE_NOT_CANCELABLE"]


@pytest.mark.parametrize("who", ["backer", "creator", "stranger", "admin"])
async def test_a_pledge_is_shown_to_those_it_concerns(world: World, who: str) -> None:
    owner, backer = new_ulid(), await world.backer()
    project = await world.open(owner)
    pledge = (await world.pledge(backer, project, additionalAmount="5"))["pledge"]["id"]
    user = {"backer": backer.id, "creator": owner}.get(who, new_ulid())
    answer = await world.ask(SEE, user, roles=["ADMIN"] if who == "admin" else [], id=pledge)
    assert (answer["data"]["pledge"] is not None) == (who != "stranger")


async def test_pledges_race_with_the_deadline_and_none_slips_in(world: World) -> None:
    """Verdict and pledges at the same moment: what counts in the verdict is what there is."""
    project = await world.open(closesAt=(world.clock() + timedelta(days=1)).isoformat(), goalAmount="50")
    backers = [await world.backer() for _ in range(10)]
    world.clock.pass_by(hours=23, minutes=59, seconds=59)

    async def late(backer: Backer) -> Any:
        return await world.pledge(backer, project, additionalAmount="5")

    wishes = [asyncio.create_task(late(each)) for each in backers]
    await asyncio.sleep(0)
    world.clock.pass_by(seconds=2)
    await world.sweep()
    made = [each for each in await asyncio.gather(*wishes) if each["pledge"]]
    state = await world.state(project)
    assert state["backerCount"] == len(made)
    assert state["status"] == ("COLLECTING" if len(made) == 10 else "FAILED")
    assert await world.violations() == []
