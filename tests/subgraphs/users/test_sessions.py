"""Log-in, refresh, log-out, and what stops those who guess."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from joserfc import jwt
from sqlalchemy import select, update

from subgraphs.kit.errors import Unavailable
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.users.models import refresh_tokens, sessions, throttles, users
from subgraphs.users.passwords import PasswordPool
from subgraphs.users.settings import Settings
from tests.subgraphs.users.conftest import LOG_IN, PASSWORD, Member, World

REFRESH = """mutation($token: String!) { tokenRefresh(refreshToken: $token) {
  tokens { accessToken refreshToken user { id } session { id current } } userErrors { code field } } }"""
SESSIONS = "{ me { sessions { id current deviceName ipAddress } } }"
REVOKE = "mutation($id: ID) { sessionRevoke(id: $id) { user { id } userErrors { code } } }"
REVOKE_ALL = """mutation($keep: Boolean) {
  sessionsRevokeAll(exceptCurrent: $keep) { user { id } userErrors { code } } }"""


async def refresh(world: World, token: str) -> dict[str, Any]:
    payload: dict[str, Any] = (await world.ask(REFRESH, token=token))["data"]["tokenRefresh"]
    return payload


async def second_device(world: World, member: Member) -> Member:
    return world.holder((await world.log_in(member.email))["tokens"], member.email)


async def test_an_access_token_says_who_where_and_what(world: World) -> None:
    member = await world.member()
    claims = jwt.decode(member.access_token, await world.keys(), algorithms=["EdDSA"]).claims
    assert claims["sub"] == member.id
    assert claims["sid"] == member.session_id
    assert (claims["iss"], claims["aud"]) == ("dure-users", "dure")
    assert claims["exp"] - claims["iat"] == 600
    assert claims["roles"] == ["CREATOR", "CUSTOMER"]
    assert claims["scopes"] == ["project:owner"]


async def test_wrong_address_and_wrong_password_look_the_same(world: World) -> None:
    await world.register("buyer@example.com")
    wrong = await world.log_in("buyer@example.com", "not the password")
    unknown = await world.log_in("nobody@example.com", PASSWORD)
    assert wrong == unknown == {"tokens": None, "userErrors": [{"code": "INVALID_CREDENTIALS", "field": None}]}
    assert (await world.log_in("not an address", PASSWORD)) == wrong
    assert await world.rows(sessions) == []


async def test_an_unknown_address_costs_a_hash_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.register("buyer@example.com")
    hashed: list[str] = []
    verify = world.deps.passwords._hasher.__class__.verify

    def counting(self: Any, hash: str, password: str) -> bool:
        hashed.append(hash)
        return bool(verify(self, hash, password))

    monkeypatch.setattr(world.deps.passwords._hasher.__class__, "verify", counting)
    await world.log_in("buyer@example.com", "wrong")
    await world.log_in("nobody@example.com", "wrong")
    assert len(hashed) == 2


async def test_guessing_is_stopped_for_the_network_and_address_only(any_world: World) -> None:
    await any_world.register("buyer@example.com")
    codes = [(await any_world.log_in("buyer@example.com", "wrong"))["userErrors"][0]["code"] for _ in range(7)]
    assert codes == ["INVALID_CREDENTIALS"] * 5 + ["RATE_LIMITED"] * 2
    # Even the right password is not looked at now; elsewhere it is.
    assert (await any_world.log_in("buyer@example.com"))["userErrors"][0]["code"] == "RATE_LIMITED"
    assert (await any_world.log_in("buyer@example.com", ip="198.51.100.1"))["tokens"]
    any_world.clock.pass_(seconds=2)
    assert (await any_world.log_in("buyer@example.com"))["tokens"]
    assert await any_world.rows(throttles) == []


async def test_pauses_double(world: World) -> None:
    for _ in range(5):
        await world.log_in("nobody@example.com", "wrong")
    for pause in (1, 2, 4, 8):
        world.clock.pass_(seconds=pause - 0.1)
        assert (await world.log_in("nobody@example.com", "wrong"))["userErrors"][0]["code"] == "RATE_LIMITED"
        world.clock.pass_(seconds=0.2)
        assert (await world.log_in("nobody@example.com", "wrong"))["userErrors"][0]["code"] == "INVALID_CREDENTIALS"


async def test_guesses_at_the_same_moment_all_count(server_world: World) -> None:
    await server_world.register("buyer@example.com")
    answers = await asyncio.gather(*(server_world.log_in("buyer@example.com", "wrong") for _ in range(12)))
    codes = [each["userErrors"][0]["code"] for each in answers]
    assert codes.count("INVALID_CREDENTIALS") == 5
    assert codes.count("RATE_LIMITED") == 7


async def test_a_forged_first_hop_does_not_make_a_new_network(world: World) -> None:
    for number in range(5):
        await world.ask(LOG_IN, email="nobody@example.com", password="wrong", ip=f"10.0.0.{number}, 203.0.113.7")
    answer = await world.ask(LOG_IN, email="nobody@example.com", password="wrong", ip="10.9.9.9, 203.0.113.7")
    assert answer["data"]["tokenCreate"]["userErrors"][0]["code"] == "RATE_LIMITED"


async def test_refreshing_uses_a_token_up_and_its_second_use_ends_the_session(any_world: World) -> None:
    member = await any_world.member()
    first = await refresh(any_world, member.refresh_token)
    assert first["tokens"]["session"] == {"id": global_id("Session", member.session_id), "current": True}
    second = await refresh(any_world, first["tokens"]["refreshToken"])
    assert second["tokens"]["refreshToken"] not in (member.refresh_token, first["tokens"]["refreshToken"])
    assert await any_world.audit() == []

    stolen = await refresh(any_world, first["tokens"]["refreshToken"])
    assert stolen["userErrors"][0]["code"] == "TOKEN_INVALID"
    thiefs_or_owners = await refresh(any_world, second["tokens"]["refreshToken"])
    assert thiefs_or_owners["userErrors"][0]["code"] == "TOKEN_INVALID"
    (row,) = await any_world.rows(sessions)
    assert row.revoked_at is not None


async def test_of_two_refreshes_at_once_one_wins(server_world: World) -> None:
    member = await server_world.member()
    answers = await asyncio.gather(*(refresh(server_world, member.refresh_token) for _ in range(6)))
    assert sum(each["tokens"] is not None for each in answers) == 1


async def test_refresh_tokens_and_sessions_expire(world: World) -> None:
    member = await world.member()
    token = member.refresh_token
    for _ in range(2):
        world.clock.pass_(days=13)
        token = (await refresh(world, token))["tokens"]["refreshToken"]
    world.clock.pass_(days=5)
    assert (await refresh(world, token))["userErrors"][0]["code"] == "TOKEN_EXPIRED"
    other = await second_device(world, member)
    world.clock.pass_(days=15)
    assert (await refresh(world, other.refresh_token))["userErrors"][0]["code"] == "TOKEN_EXPIRED"
    assert (await refresh(world, "forged"))["userErrors"][0]["code"] == "TOKEN_INVALID"


async def test_no_refresh_token_is_kept_as_it_was_sent(world: World) -> None:
    member = await world.member()
    assert member.refresh_token not in str(await world.rows(refresh_tokens))


async def test_one_device_is_logged_out_and_the_others_are_not(world: World) -> None:
    member = await world.member()
    other = await second_device(world, member)
    shown = (await world.ask(SESSIONS, member))["data"]["me"]["sessions"]
    assert [each["current"] for each in shown] == [False, True]
    assert shown[0]["deviceName"] == "test"
    assert {each["ipAddress"] for each in shown} == {"203.0.113.7"}

    for _ in range(2):  # the second time it is nothing
        answer = await world.ask(REVOKE, member, id=global_id("Session", other.session_id))
        assert answer["data"]["sessionRevoke"] == {"user": {"id": member.global_id}, "userErrors": []}
    assert (await refresh(world, other.refresh_token))["userErrors"][0]["code"] == "TOKEN_INVALID"
    ended = await world.ask(SESSIONS, other)
    assert ended["data"]["me"] is None
    assert ended["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert len((await world.ask(SESSIONS, member))["data"]["me"]["sessions"]) == 1


async def test_another_users_session_is_not_found(world: World) -> None:
    member, stranger = await world.member(), await world.member("stranger@example.com")
    for id in (global_id("Session", stranger.session_id), global_id("Session", new_ulid()), member.global_id, "x"):
        answer = await world.ask(REVOKE, member, id=id)
        assert answer["data"]["sessionRevoke"]["userErrors"] == [{"code": "NOT_FOUND"}]
    assert all(row.revoked_at is None for row in await world.rows(sessions))


@pytest.mark.parametrize("keep", [True, False])
async def test_all_devices_are_logged_out(world: World, keep: bool) -> None:
    member = await world.member()
    others = [await second_device(world, member) for _ in range(2)]
    await world.ask(REVOKE_ALL, member, keep=keep)
    for each in others:
        assert (await refresh(world, each.refresh_token))["tokens"] is None
    assert ((await refresh(world, member.refresh_token))["tokens"] is not None) == keep


async def test_an_ended_session_changes_nothing_though_its_access_token_still_lives(world: World) -> None:
    member = await world.member()
    await world.ask(REVOKE, member)
    answer = await world.ask('mutation { accountUpdate(name: "x") { userErrors { code } } }', member)
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    (row,) = await world.rows(users)
    assert row.name == "김두레"


async def test_an_old_hash_is_renewed_at_log_in(world: World) -> None:
    from argon2 import PasswordHasher

    await world.register("buyer@example.com")
    outdated = PasswordHasher(time_cost=2, memory_cost=128, parallelism=1).hash(PASSWORD)
    await world.run(update(users).values(password_hash=outdated))
    assert (await world.log_in("buyer@example.com"))["tokens"]
    (hash,) = await world.column(select(users.c.password_hash))
    assert hash != outdated
    assert "m=64,t=1,p=1" in hash


async def test_hashes_beyond_the_queue_are_refused_and_the_room_comes_back() -> None:
    pool = PasswordPool(Settings(argon2_memory_kib=64, argon2_passes=1, hash_threads=1, hash_queue=2))
    outcomes = await asyncio.gather(*(pool.hash("x") for _ in range(5)), return_exceptions=True)
    assert [isinstance(each, Unavailable) for each in outcomes] == [False, False, False, True, True]
    assert await pool.verify(await pool.hash("x"), "x")
    assert not await pool.verify("not a hash", "x")
    pool.close()
