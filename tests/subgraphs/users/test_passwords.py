"""Changing and resetting passwords."""

from __future__ import annotations

from typing import Any

import pytest

from subgraphs.users.passwords import PasswordPool
from subgraphs.users.settings import Settings
from tests.subgraphs.users.conftest import PASSWORD, World
from tests.subgraphs.users.test_sessions import refresh, second_device

CHANGE = """mutation($current: String!, $new: String!) {
  passwordChange(currentPassword: $current, newPassword: $new) { user { id } userErrors { code field } } }"""
REQUEST = "mutation($email: String!) { passwordResetRequest(email: $email) { userErrors { code } } }"
RESET = """mutation($token: String!, $new: String!) { passwordReset(token: $token, newPassword: $new) {
  tokens { accessToken refreshToken user { id } session { id } } userErrors { code field } } }"""
NEW = "another battery staple"


async def reset(world: World, token: str, new: str = NEW) -> dict[str, Any]:
    payload: dict[str, Any] = (await world.ask(RESET, token=token, new=new))["data"]["passwordReset"]
    return payload


async def test_a_changed_password_ends_the_other_sessions(any_world: World) -> None:
    member = await any_world.member()
    other = await second_device(any_world, member)
    answer = await any_world.ask(CHANGE, member, current=PASSWORD, new=NEW)
    assert answer["data"]["passwordChange"] == {"user": {"id": member.global_id}, "userErrors": []}
    assert (await refresh(any_world, other.refresh_token))["tokens"] is None
    assert (await refresh(any_world, member.refresh_token))["tokens"] is not None
    assert (await any_world.log_in(member.email))["tokens"] is None
    assert (await any_world.log_in(member.email, NEW))["tokens"] is not None
    assert (await any_world.mails(member.email))[0]["kind"] == "PASSWORD_CHANGED"


@pytest.mark.parametrize(
    ("current", "new", "code", "field"),
    [
        ("wrong", NEW, "INVALID_CREDENTIALS", "currentPassword"),
        (PASSWORD, "short", "PASSWORD_TOO_WEAK", "newPassword"),
        (PASSWORD, "qwerty123", "PASSWORD_TOO_WEAK", "newPassword"),
        (PASSWORD, "buyer@example.com", "PASSWORD_TOO_WEAK", "newPassword"),
    ],
)
async def test_a_refused_change_changes_nothing(world: World, current: str, new: str, code: str, field: str) -> None:
    member = await world.member()
    answer = await world.ask(CHANGE, member, current=current, new=new)
    assert answer["data"]["passwordChange"]["userErrors"] == [{"code": code, "field": [field]}]
    assert (await world.log_in(member.email))["tokens"] is not None


async def test_a_reset_link_works_once_within_30_minutes_and_ends_every_session(any_world: World) -> None:
    member = await any_world.member()
    await any_world.ask(REQUEST, email=member.email)
    token = (await any_world.mails(member.email))[0]["token"]
    weak = await reset(any_world, token, "short")
    assert weak["userErrors"] == [{"code": "PASSWORD_TOO_WEAK", "field": ["newPassword"]}]
    done = await reset(any_world, token)
    assert done["tokens"]["user"]["id"] == member.global_id
    assert (await reset(any_world, token))["userErrors"][0]["code"] == "TOKEN_INVALID"
    assert (await refresh(any_world, member.refresh_token))["tokens"] is None
    assert (await refresh(any_world, done["tokens"]["refreshToken"]))["tokens"] is not None
    assert (await any_world.log_in(member.email, NEW))["tokens"] is not None


async def test_a_late_reset_and_an_older_link_are_refused(world: World) -> None:
    member = await world.member()
    await world.ask(REQUEST, email=member.email)
    older = (await world.mails(member.email))[0]["token"]
    await world.ask(REQUEST, email=member.email)
    newer = (await world.mails(member.email))[0]["token"]
    assert (await reset(world, older))["userErrors"][0]["code"] == "TOKEN_INVALID"
    world.clock.pass_(minutes=31)
    assert (await reset(world, newer))["userErrors"][0]["code"] == "TOKEN_EXPIRED"


async def test_a_verification_link_is_no_reset_link(world: World) -> None:
    await world.register("buyer@example.com")
    (letter,) = await world.mails("buyer@example.com")
    assert (await reset(world, letter["token"]))["userErrors"][0]["code"] == "TOKEN_INVALID"


async def test_who_resets_by_mail_has_shown_that_the_address_is_his(world: World) -> None:
    await world.register("buyer@example.com")
    await world.ask(REQUEST, email="buyer@example.com")
    token = (await world.mails("buyer@example.com"))[0]["token"]
    member = world.holder((await reset(world, token))["tokens"], "buyer@example.com")
    me = await world.ask("{ me { emailVerifiedAt } }", member)
    assert me["data"]["me"]["emailVerifiedAt"] is not None


async def test_a_hash_says_how_much_work_it_is() -> None:
    """The defaults are those that OWASP recommends for argon2id."""
    pool = PasswordPool(Settings())
    try:
        assert (await pool.hash("correct horse battery staple")).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    finally:
        pool.close()
