"""Addresses: whose they are, and what may not be one."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.events.delivery import AddressChanged
from messaging.events.orders import DeliveryRequested, OrderLineFacts
from subgraphs.kit.ids import global_id, local_id, new_ulid
from tests.subgraphs.delivery.conftest import World

CREATE = """
mutation($input: AddressInput!) {
  addressCreate(input: $input) { address { id phone isDefault remoteArea } userErrors { code field } }
}"""
DELETE = "mutation($id: ID!) { addressDelete(id: $id) { userErrors { code } } }"
UPDATE = """
mutation($id: ID!, $input: AddressInput!) {
  addressUpdate(id: $id, input: $input) { address { line1 } userErrors { code } }
}"""
MINE = """
query($id: ID!) { _entities(representations: [{__typename: "User", id: $id}]) {
  ... on User { addresses { id line1 } defaultAddress { id } }
} }"""


def home(**changes: Any) -> dict[str, Any]:
    return {
        "recipient": "김하나",
        "phone": "010-1234-5678",
        "postalCode": "06236",
        "line1": "서울 강남구 테헤란로 1",
    } | changes


async def create(world: World, user: str, **changes: Any) -> dict[str, Any]:
    answer = await world.ask(CREATE, user, input=home(**changes))
    payload: dict[str, Any] = answer["data"]["addressCreate"]
    return payload


async def test_the_first_address_is_the_default_until_another_is_chosen(world: World) -> None:
    user = new_ulid()
    first = (await create(world, user))["address"]
    second = (await create(world, user, setAsDefault=True))["address"]
    assert first["isDefault"]
    assert first["phone"] == "+821012345678"
    answer = await world.ask(MINE, user, id=global_id("User", user))
    (mine,) = answer["data"]["_entities"]
    assert [each["id"] for each in mine["addresses"]] == [first["id"], second["id"]]
    assert mine["defaultAddress"] == {"id": second["id"]}


async def test_another_user_sees_and_changes_nothing(world: World) -> None:
    owner, other = new_ulid(), new_ulid()
    address = (await create(world, owner))["address"]
    (seen,) = (await world.ask(MINE, other, id=global_id("User", owner)))["data"]["_entities"]
    assert seen == {"addresses": None, "defaultAddress": None}
    answer = await world.ask("query($id: ID!) { address(id: $id) { line1 } }", other, id=address["id"])
    assert answer["data"] == {"address": None}
    changed = await world.ask(UPDATE, other, id=address["id"], input=home(line1="mine now"))
    assert changed["data"]["addressUpdate"]["userErrors"] == [{"code": "NOT_FOUND"}]
    deleted = await world.ask(DELETE, other, id=address["id"])
    assert deleted["data"]["addressDelete"]["userErrors"] == [{"code": "NOT_FOUND"}]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"postalCode": "123"}, "INVALID_POSTAL_CODE", "postalCode"),
        ({"phone": "12"}, "INVALID", "phone"),
        ({"recipient": "  "}, "REQUIRED", "recipient"),
        ({"line1": "x" * 201}, "INVALID", "line1"),
        ({"deliveryNote": "a\x00b"}, "INVALID", "deliveryNote"),
    ],
)
async def test_what_is_no_address_is_refused_and_not_kept(
    world: World, changes: dict[str, Any], code: str, field: str
) -> None:
    payload = await create(world, new_ulid(), **changes)
    assert payload == {"address": None, "userErrors": [{"code": code, "field": ["input", field]}]}
    assert await world.told(AddressChanged) == []


async def test_all_that_is_wrong_is_told_at_once(world: World) -> None:
    payload = await create(world, new_ulid(), postalCode="", recipient="")
    assert {error["code"] for error in payload["userErrors"]} == {"INVALID_POSTAL_CODE", "REQUIRED"}


async def test_there_is_a_limit_to_addresses(world: World) -> None:
    user = new_ulid()
    for _ in range(20):
        await create(world, user)
    payload = await create(world, user)
    assert payload["userErrors"] == [{"code": "ADDRESS_LIMIT_REACHED", "field": None}]


async def test_an_address_that_a_parcel_is_going_to_stays(world: World) -> None:
    user = new_ulid()
    address = (await create(world, user))["address"]
    address_id = local_id("Address", address["id"])
    line = OrderLineFacts(order_line_id=new_ulid(), variant_id=new_ulid(), quantity=1, total=1)
    await world.tell(DeliveryRequested(order_id=new_ulid(), buyer_id=user, address_id=address_id, lines=(line,)))
    answer = await world.ask(DELETE, user, id=address["id"])
    assert answer["data"]["addressDelete"]["userErrors"] == [{"code": "ADDRESS_IN_USE"}]


async def test_a_deleted_address_is_forgotten_and_told(world: World) -> None:
    user = new_ulid()
    address = (await create(world, user))["address"]
    heir = (await create(world, user))["address"]
    await world.ask(DELETE, user, id=address["id"])
    (mine,) = (await world.ask(MINE, user, id=global_id("User", user)))["data"]["_entities"]
    assert mine["defaultAddress"] == {"id": heir["id"]}
    last = (await world.told(AddressChanged))[-1]
    assert (last.deleted, last.recipient, last.version) == (True, "", 2)


async def test_an_anonymous_caller_has_no_addresses(world: World) -> None:
    answer = await world.ask(CREATE, None, input=home())
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert await world.told(AddressChanged) == []
