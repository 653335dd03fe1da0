"""Registering cards and what they may be used for."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.events.funding import PledgeCanceled, PledgeReserved
from messaging.events.payments import PaymentMethodChanged
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.payments.models import customers, idempotency, methods
from tests.subgraphs.payments.conftest import GOOD_CARD, REGISTER, SETUP, World, request

UPDATE = """
mutation($id: ID!, $authKey: String, $default: Boolean) {
  paymentMethodUpdate(id: $id, authKey: $authKey, setAsDefault: $default) {
    paymentMethod { id maskedNumber isDefault status } userErrors { code field }
  }
}"""
DELETE = """
mutation($id: ID!) {
  paymentMethodDelete(id: $id) { paymentMethod { id status isDefault } userErrors { code field } }
}"""
MINE = """
query($r: [_Any!]!) { _entities(representations: $r) { ... on User {
  paymentMethods { id isDefault status } defaultPaymentMethod { id }
} } }"""


async def mine(world: World, user: str, whose: str | None = None) -> dict[str, Any]:
    answer = await world.ask(MINE, user, r=[{"__typename": "User", "id": global_id("User", whose or user)}])
    entity: dict[str, Any] = answer["data"]["_entities"][0]
    return entity


async def auth_key(world: World, user: str, number: str = GOOD_CARD) -> str:
    started = await world.do(SETUP, user, url="https://shop.example/cards")
    auth = await world.at_provider("billing-auth", customerKey=started["customerKey"], cardNumber=number)
    key: str = auth["authKey"]
    return key


async def test_the_first_card_is_the_default_until_another_is_made_so(world: World, buyer: str) -> None:
    first, second = await world.card(buyer), await world.card(buyer)
    shown = await mine(world, buyer)
    assert [method["isDefault"] for method in shown["paymentMethods"]] == [True, False]
    payload = await world.do(UPDATE, buyer, id=global_id("PaymentMethod", second), default=True)
    assert payload["paymentMethod"]["isDefault"]
    assert (await mine(world, buyer))["defaultPaymentMethod"] == {"id": global_id("PaymentMethod", second)}
    third = await world.card(buyer, default=True)
    assert (await mine(world, buyer))["defaultPaymentMethod"] == {"id": global_id("PaymentMethod", third)}
    newest = {each.payment_method_id: each for each in await world.told(PaymentMethodChanged)}
    assert {id: each.is_default for id, each in newest.items()} == {first: False, second: False, third: True}
    assert [each.version for each in await world.told(PaymentMethodChanged, second)] == [1, 2, 3]


async def test_the_customer_key_is_made_once_and_never_derived(world: World, buyer: str) -> None:
    keys = {(await world.do(SETUP, buyer, url="https://shop.example/cards"))["customerKey"] for _ in range(3)}
    assert len(keys) == 1
    assert buyer not in next(iter(keys))
    assert len(await world.rows(customers)) == 1


async def test_no_billing_key_is_readable_in_the_database(world: World, buyer: str) -> None:
    await world.card(buyer)
    (row,) = await world.rows(methods)
    stored = world.simulator.store._db.execute("SELECT billing_key FROM billing").fetchone()["billing_key"]
    assert stored not in str(row)
    assert GOOD_CARD not in str(row)


async def test_a_repeated_registration_gives_the_same_method(world: World, buyer: str) -> None:
    key = await auth_key(world, buyer)
    first = await world.do(REGISTER, buyer, authKey=key, key="k1")
    again = await world.do(REGISTER, buyer, authKey=key, key="k1")
    assert first == again
    assert len(await world.rows(methods)) == 1
    other = await world.do(REGISTER, buyer, authKey=key, key="k1", default=True)
    assert other["userErrors"][0]["code"] == "IDEMPOTENCY_CONFLICT"
    spent = await world.do(REGISTER, buyer, authKey=key, key="k2")
    assert spent["userErrors"][0]["code"] == "INVALID"


@pytest.mark.parametrize(
    ("auth", "key", "field"),
    [("unknown", "k", "authKey"), ("", "k", "authKey"), ("x" * 301, "k", "authKey"), ("unknown", "", "idempotencyKey")],
)
async def test_a_registration_that_cannot_be_leaves_nothing(
    world: World, buyer: str, auth: str, key: str, field: str
) -> None:
    payload = await world.do(REGISTER, buyer, authKey=auth, key=key)
    assert payload["paymentMethod"] is None
    assert (payload["userErrors"][0]["code"], payload["userErrors"][0]["field"]) == ("INVALID", [field])
    assert await world.rows(methods) == []
    assert await world.rows(idempotency) == []


async def test_anothers_authorization_cannot_be_registered(world: World, buyer: str) -> None:
    stolen = await auth_key(world, new_ulid())
    payload = await world.do(REGISTER, buyer, authKey=stolen, key="k")
    assert payload["userErrors"][0]["code"] == "INVALID"


async def test_while_the_provider_is_away_nothing_is_registered(world: World, buyer: str) -> None:
    key = await auth_key(world, buyer)
    await world.fault("timeout_before", "/v1/billing/authorizations")
    payload = await world.do(REGISTER, buyer, authKey=key, key="k")
    assert payload["userErrors"][0]["code"] == "PROVIDER_UNAVAILABLE"
    again = await world.do(REGISTER, buyer, authKey=key, key="k")
    assert again["userErrors"] == []


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "https://", "//host", "https://x/" + "a" * 2048])
async def test_a_return_url_is_a_web_address(world: World, buyer: str, url: str) -> None:
    payload = await world.do(SETUP, buyer, url=url)
    assert (payload["customerKey"], payload["userErrors"][0]["code"]) == (None, "INVALID")


async def test_a_deleted_card_is_gone_and_forgotten(world: World, buyer: str) -> None:
    card = await world.card(buyer)
    payload = await world.do(DELETE, buyer, id=global_id("PaymentMethod", card))
    assert payload["paymentMethod"]["status"] == "REVOKED"
    assert await mine(world, buyer) == {"paymentMethods": [], "defaultPaymentMethod": None}
    assert (await world.rows(methods))[0]["billing_key_sealed"] is None
    assert (await world.told(PaymentMethodChanged, card))[-1].status == "REVOKED"


async def test_a_card_that_something_unfinished_uses_stays(world: World, buyer: str) -> None:
    card = await world.card(buyer)
    pledge = PledgeReserved(
        pledge_id=new_ulid(),
        version=1,
        project_id=new_ulid(),
        backer_id=buyer,
        total=30_000,
        currency="KRW",
        payment_method_id=card,
    )
    await world.tell(pledge)
    refused = await world.do(DELETE, buyer, id=global_id("PaymentMethod", card))
    assert refused["userErrors"][0]["code"] == "PAYMENT_METHOD_IN_USE"
    await world.tell(
        PledgeCanceled(pledge_id=pledge.pledge_id, version=2, project_id=pledge.project_id, backer_id=buyer)
    )
    await world.tell(pledge)  # late: it must not bring the pledge back
    await world.tell(request(buyer, card))
    assert (await world.do(DELETE, buyer, id=global_id("PaymentMethod", card)))["userErrors"][0]["code"] == (
        "PAYMENT_METHOD_IN_USE"
    )
    await world.work()
    assert (await world.do(DELETE, buyer, id=global_id("PaymentMethod", card)))["userErrors"] == []


async def test_a_cards_number_can_be_replaced(world: World, buyer: str) -> None:
    card = await world.card(buyer)
    key = await auth_key(world, buyer, "5555444433332222")
    payload = await world.do(UPDATE, buyer, id=global_id("PaymentMethod", card), authKey=key)
    assert payload["paymentMethod"]["maskedNumber"].endswith("2222")
    assert payload["paymentMethod"]["isDefault"]


@pytest.mark.parametrize("operation", [UPDATE, DELETE])
async def test_anothers_card_cannot_be_touched(world: World, buyer: str, operation: str) -> None:
    card = await world.card(new_ulid())
    before = await world.rows(methods)
    payload = await world.do(operation, buyer, id=global_id("PaymentMethod", card))
    assert (payload["paymentMethod"], payload["userErrors"][0]["code"]) == (None, "NOT_FOUND")
    wrong_type = await world.do(operation, buyer, id=global_id("User", card))
    assert wrong_type["userErrors"][0]["code"] == "NOT_FOUND"
    assert await world.rows(methods) == before


async def test_nobody_else_sees_a_users_methods(world: World, buyer: str) -> None:
    await world.card(buyer)
    assert await mine(world, new_ulid(), whose=buyer) == {"paymentMethods": None, "defaultPaymentMethod": None}


async def test_a_pledge_shows_its_card_to_its_backer_only(world: World, buyer: str) -> None:
    card = await world.card(buyer)
    pledge = PledgeReserved(
        pledge_id=new_ulid(),
        version=1,
        project_id=new_ulid(),
        backer_id=buyer,
        total=1,
        currency="KRW",
        payment_method_id=card,
    )
    await world.tell(pledge)
    fields = "... on Pledge { payments { id } paymentMethod { id } }"
    query = f"query($r: [_Any!]!) {{ _entities(representations: $r) {{ {fields} }} }}"
    given = [{"__typename": "Pledge", "id": global_id("Pledge", pledge.pledge_id)}]
    answer = await world.ask(query, buyer, r=given)
    assert answer["data"]["_entities"] == [{"payments": [], "paymentMethod": {"id": global_id("PaymentMethod", card)}}]
    answer = await world.ask(query, new_ulid(), r=given)
    assert answer["data"]["_entities"] == [{"payments": None, "paymentMethod": None}]


async def test_an_anonymous_caller_is_refused(world: World) -> None:
    answer = await world.ask(SETUP, None, url="https://shop.example/")
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
