"""Registering, confirming, changing and withdrawing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from messaging.events.funding import PledgeCanceled, PledgeReserved
from messaging.events.orders import OrderCanceled, OrderPlaced
from messaging.events.users import UserChanged
from subgraphs.kit.ids import new_ulid, parse_id
from subgraphs.users.models import mails, one_time_tokens, outbox, users
from tests.subgraphs.users.conftest import PASSWORD, VERIFY, World

ME = """{ me { id email name phone displayName emailVerifiedAt locale timeZone roles unreadNotificationCount
  sessions { id current } partner { id } notifications { edges { node { id } } }
  notificationPreferences { type channels } } }"""
DELETE = """mutation($password: String) {
  accountDelete(password: $password) { user { id displayName } userErrors { code field } } }"""
UPDATE = """mutation($name: String, $phone: String, $displayName: String) {
  accountUpdate(name: $name, phone: $phone, displayName: $displayName) {
    user { name phone displayName } userErrors { code field } } }"""


async def test_a_newcomer_registers_confirms_and_is_announced(any_world: World) -> None:
    made = await any_world.register("Buyer@Example.COM", phone="010-1234-5678")
    assert made["userErrors"] == []
    assert made["user"]["email"] == "buyer@example.com"
    (announced,) = await any_world.told(UserChanged)
    assert (announced.display_name, announced.email_verified, announced.version) == ("김*레", False, 1), (
        "no name was given to be called by"
    )

    (letter,) = await any_world.mails("buyer@example.com")
    answer = await any_world.ask(VERIFY, token=letter["token"])
    tokens = answer["data"]["accountEmailVerify"]["tokens"]
    member = any_world.holder(tokens, "buyer@example.com")
    me = (await any_world.ask(ME, member))["data"]["me"]
    assert me["phone"] == "+821012345678"
    assert me["emailVerifiedAt"] is not None
    assert me["roles"] == ["CREATOR", "CUSTOMER"]
    assert (me["locale"], me["timeZone"]) == ("ko-KR", "Asia/Seoul")
    assert [session["current"] for session in me["sessions"]] == [True]
    assert [each.version for each in await any_world.told(UserChanged)] == [1, 2]
    assert (await any_world.told(UserChanged))[1].email_verified
    assert await any_world.audit() == []


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"email": "nonsense"}, "INVALID", "email"),
        ({"email": "a@b"}, "INVALID", "email"),
        ({"email": "a\0b@example.com"}, "INVALID", "email"),
        ({"email": "x" * 300 + "@example.com"}, "INVALID", "email"),
        ({"password": "short"}, "PASSWORD_TOO_WEAK", "password"),
        ({"password": "x" * 257}, "PASSWORD_TOO_WEAK", "password"),
        ({"password": "Password1!"}, "PASSWORD_TOO_WEAK", "password"),
        ({"password": "비밀번호1234"}, "PASSWORD_TOO_WEAK", "password"),
        ({"password": "aaaaaaaaaaaa"}, "PASSWORD_TOO_WEAK", "password"),
        ({"name": ""}, "INVALID", "name"),
        ({"name": "x" * 101}, "INVALID", "name"),
        ({"name": "line\nbreak"}, "INVALID", "name"),
        ({"displayName": "x" * 51}, "INVALID", "displayName"),
        ({"phone": "12"}, "INVALID", "phone"),
        ({"agreedTermVersions": []}, "REQUIRED", "agreedTermVersions"),
        ({"agreedTermVersions": ["x" * 65]}, "INVALID", "agreedTermVersions"),
    ],
)
async def test_bad_input_is_refused_by_field_and_nothing_is_written(
    world: World, given: dict[str, Any], code: str, field: str
) -> None:
    email = given.pop("email", "buyer@example.com")
    made = await world.register(email, **given)
    assert made["user"] is None
    assert [(error["code"], error["field"]) for error in made["userErrors"]] == [(code, ["input", field])]
    for table in (users, mails, outbox, one_time_tokens):
        assert await world.rows(table) == []


async def test_all_reasons_are_told_at_once(world: World) -> None:
    made = await world.register("nonsense", name="", password="short")
    assert {error["field"][-1] for error in made["userErrors"]} == {"email", "name", "password"}
    assert {error["__typename"] for error in made["userErrors"]} == {"InputError"}


async def test_an_address_has_one_account_however_many_register_at_once(any_world: World) -> None:
    made = await asyncio.gather(*(any_world.register(email) for email in ["one@example.com", "ONE@example.com"] * 3))
    codes = [error["code"] for each in made for error in each["userErrors"]]
    assert codes == ["UNIQUE"] * 5
    assert len(await any_world.rows(users)) == 1
    assert len(await any_world.rows(mails)) == 1


async def test_a_verification_link_works_once_and_not_for_ever(world: World) -> None:
    await world.register("buyer@example.com")
    (letter,) = await world.mails("buyer@example.com")
    world.clock.pass_(days=2)
    late = await world.ask(VERIFY, token=letter["token"])
    assert late["data"]["accountEmailVerify"]["userErrors"][0]["code"] == "TOKEN_EXPIRED"
    world.clock.pass_(days=-2)
    answers = await asyncio.gather(*(world.ask(VERIFY, token=letter["token"]) for _ in range(4)))
    codes = [error["code"] for each in answers for error in each["data"]["accountEmailVerify"]["userErrors"]]
    assert codes == ["TOKEN_INVALID"] * 3
    forged = await world.ask(VERIFY, token="forged")
    assert forged["data"]["accountEmailVerify"]["userErrors"][0]["code"] == "TOKEN_INVALID"


async def test_no_token_is_kept_as_it_was_sent(world: World) -> None:
    await world.register("buyer@example.com")
    (letter,) = await world.mails("buyer@example.com")
    (kept,) = await world.column(select(one_time_tokens.c.token_hash))
    assert letter["token"]
    assert letter["token"] not in kept


@pytest.mark.parametrize("operation", ["accountEmailVerificationResend", "accountIdRecover", "passwordResetRequest"])
async def test_nobody_learns_whether_an_address_has_an_account(world: World, operation: str) -> None:
    await world.register("buyer@example.com")
    ask = f"mutation($email: String!) {{ {operation}(email: $email) {{ user {{ id }} userErrors {{ code }} }} }}"
    known = [await world.ask(ask, email="buyer@example.com") for _ in range(4)]
    unknown = [await world.ask(ask, email="nobody@example.com") for _ in range(4)]
    assert known == unknown
    assert known[0]["data"][operation] == {"user": None, "userErrors": []}
    assert known[3]["data"][operation]["userErrors"] == [{"code": "RATE_LIMITED"}]
    assert len(await world.mails("buyer@example.com")) == 4
    assert await world.mails("nobody@example.com") == []


async def test_a_forgotten_id_is_sent_masked(world: World) -> None:
    await world.register("buyer@example.com")
    await world.ask('mutation { accountIdRecover(email: "buyer@example.com") { userErrors { code } } }')
    body = (await world.mails("buyer@example.com"))[0]["body"]
    assert "bu***@example.com" in body
    assert "buyer@example.com" not in body


async def test_the_day_of_joining_is_that_of_the_members_zone(world: World) -> None:
    world.clock.at = datetime(2026, 11, 20, 16, tzinfo=UTC)
    await world.register("buyer@example.com")
    await world.ask('mutation { accountIdRecover(email: "buyer@example.com") { userErrors { code } } }')
    assert "가입일: 2026-11-21" in (await world.mails("buyer@example.com"))[0]["body"]


async def test_an_account_is_changed_and_announced(world: World) -> None:
    member = await world.member()
    answer = await world.ask(UPDATE, member, name="이두레", phone="", displayName="두레")
    assert answer["data"]["accountUpdate"]["user"] == {"name": "이두레", "phone": None, "displayName": "두레"}
    assert (await world.told(UserChanged))[-1].display_name == "두레"
    refused = await world.ask(UPDATE, member, name="이두레", phone="nonsense")
    assert refused["data"]["accountUpdate"]["userErrors"] == [{"code": "INVALID", "field": ["phone"]}]
    assert len(await world.told(UserChanged)) == 3


async def test_withdrawal_names_everything_in_its_way(world: World) -> None:
    member = await world.member()
    order, pledge = new_ulid(), new_ulid()
    placed = OrderPlaced(
        order_id=order, order_number="20261121-A", buyer_id=member.id, total=1, currency="KRW", lines=()
    )
    reserved = PledgeReserved(
        pledge_id=pledge, version=1, project_id=new_ulid(), backer_id=member.id, total=1, currency="KRW"
    )
    await world.tell(placed)
    await world.tell(reserved)
    refused = (await world.ask(DELETE, member, password=PASSWORD))["data"]["accountDelete"]
    assert [error["field"] for error in refused["userErrors"]] == [["order"], ["pledge"]]
    assert {error["code"] for error in refused["userErrors"]} == {"NOT_ALLOWED"}

    canceled = OrderCanceled(order_id=order, order_number="20261121-A", buyer_id=member.id, reason="test")
    await world.tell(canceled)
    await world.tell(PledgeCanceled(pledge_id=pledge, version=2, project_id=new_ulid(), backer_id=member.id))
    await world.tell(placed)  # late, under another id: what has ended stays ended
    done = (await world.ask(DELETE, member, password=PASSWORD))["data"]["accountDelete"]
    assert done["userErrors"] == []


async def test_withdrawal_erases_and_ends_everything(any_world: World) -> None:
    member = await any_world.member()
    wrong = (await any_world.ask(DELETE, member, password="wrong"))["data"]["accountDelete"]
    assert wrong["userErrors"] == [{"code": "INVALID_CREDENTIALS", "field": ["password"]}]
    done = (await any_world.ask(DELETE, member, password=PASSWORD))["data"]["accountDelete"]
    assert done == {"user": {"id": member.global_id, "displayName": "탈퇴한 회원"}, "userErrors": []}
    (row,) = await any_world.rows(users)
    assert [row.email, row.name, row.phone, row.password_hash] == [None] * 4
    assert await any_world.rows(mails) == []
    assert (await any_world.told(UserChanged))[-1].deleted
    assert (await any_world.ask(ME, member))["data"]["me"] is None
    assert (await any_world.log_in(member.email))["userErrors"][0]["code"] == "INVALID_CREDENTIALS"
    assert await any_world.audit() == []
    again = await any_world.register(member.email)
    assert again["userErrors"] == []
    assert parse_id(again["user"]["id"]) != ("User", member.id)
