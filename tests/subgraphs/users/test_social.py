"""Log-in with Naver and Kakao, against providers that keep the rules and break them."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from pydantic import SecretStr

from messaging.events.users import UserChanged
from subgraphs.kit.ids import parse_id
from subgraphs.users import social as providers
from subgraphs.users.models import social_accounts, social_attempts, users
from subgraphs.users.service import social
from subgraphs.users.settings import Settings
from tests.subgraphs.users.conftest import Member, World, open_world
from tests.support.raw import dump

BACK = "https://shop.example/login/social"
BEGIN = "mutation($p: SocialProvider!, $r: String!) { socialAuthorizationUrl(provider: $p, redirectUri: $r) }"
FINISH = """mutation($p: SocialProvider!, $code: String!, $state: String!) {
  socialTokenCreate(provider: $p, code: $code, state: $state) {
    tokens { accessToken refreshToken user { id email name displayName emailVerifiedAt socialAccounts { provider } }
      session { id } }
    userErrors { code field } } }"""
RESEND = "mutation($e: String!) { accountEmailVerificationResend(email: $e) { userErrors { code } } }"
VERIFY = "mutation($t: String!) { accountEmailVerify(token: $t) { tokens { user { email } } userErrors { code } } }"
NAVER = {"id": "n-1", "email": "kim@naver.example", "name": "김네이버"}
KEY = RSAKey.generate_key(2048, {"kid": "k"})


@dataclass
class Fake:
    """Naver and Kakao at once: codes are single use and bound to redirect address and PKCE verifier."""

    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)
    naver: dict[str, Any] = field(default_factory=lambda: dict(NAVER))
    kakao: dict[str, Any] = field(default_factory=lambda: kakao("kim@kakao.example"))
    down: bool = False
    nonsense: bool = False
    claims: dict[str, Any] = field(default_factory=dict)

    def visit(self, url: str) -> tuple[str, str]:
        """A person follows the link and consents: code and state."""
        asked = dict(parse_qsl(urlsplit(url).query))
        code = f"code-{next(self.numbers)}"
        self.codes[code] = asked
        return code, asked["state"]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"")
        given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        path, headers = scope["path"], dict(scope["headers"])
        if self.down:
            raise httpx2.ConnectError("down")
        if path.endswith("/token"):
            status, answer = 200, self.token(given)
        elif path == "/.well-known/jwks.json":
            status, answer = 200, KeySet([KEY]).as_dict(private=False)
        elif headers.get(b"authorization") != b"Bearer let-me-in":
            status, answer = 401, {}
        else:
            profile = {"resultcode": "00", "response": self.naver} if path == "/v1/nid/me" else self.kakao
            status, answer = 200, profile
        if self.nonsense:
            answer = ["what?"]
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def token(self, given: dict[str, str]) -> dict[str, Any]:
        asked = self.codes.pop(given.get("code", ""), None)
        challenge = urlsafe_b64encode(sha256(given.get("code_verifier", "").encode()).digest()).decode().rstrip("=")
        right = asked and (challenge, given["redirect_uri"], given["client_secret"]) == (
            asked["code_challenge"],
            asked["redirect_uri"],
            "hush",
        )
        if not asked or not right or given["state"] != asked["state"]:
            return {"error": "invalid_grant", "error_description": "no such code"}
        now = int(time.time())
        claims = {
            "iss": "https://kauth.example",
            "aud": "client",
            "sub": str(self.kakao["id"]),
            "nonce": asked.get("nonce", ""),
            "exp": now + 60,
        } | self.claims
        signed = jwt.encode({"alg": "RS256", "kid": "k"}, claims, KEY)
        return {"access_token": "let-me-in", "token_type": "bearer", "expires_in": 3600, "id_token": signed}


def kakao(email: str | None, *, id: int = 7, verified: bool = True) -> dict[str, Any]:
    account: dict[str, Any] = {"profile": {"nickname": "카카오김"}}
    if email:
        account |= {"email": email, "is_email_valid": True, "is_email_verified": verified}
    return {"id": id, "kakao_account": account}


@dataclass
class Social:
    """Users with two providers."""

    world: World
    fake: Fake

    async def begin(self, provider: str, member: Member | None = None, back: str = BACK) -> dict[str, Any]:
        return await self.world.ask(BEGIN, member, p=provider, r=back)

    async def visit(self, provider: str, member: Member | None = None) -> tuple[str, str]:
        url = (await self.begin(provider, member))["data"]["socialAuthorizationUrl"]
        return self.fake.visit(url)

    async def finish(self, provider: str, code: str, state: str, member: Member | None = None) -> dict[str, Any]:
        answer = await self.world.ask(FINISH, member, p=provider, code=code, state=state)
        return answer["data"]["socialTokenCreate"] if answer.get("data") else answer

    async def log_in(self, provider: str, member: Member | None = None) -> dict[str, Any]:
        return await self.finish(provider, *await self.visit(provider, member), member)

    async def caller(self, tokens: dict[str, Any], email: str = "") -> Member:
        return self.world.holder(tokens, email)


async def with_providers(url: str) -> AsyncIterator[Social]:
    settings = Settings(
        public_url="https://shop.example",
        naver_client_id="client",
        naver_client_secret=SecretStr("hush"),
        kakao_client_id="client",
        kakao_client_secret=SecretStr("hush"),
        naver_auth_url="https://nid.example",
        kakao_auth_url="https://kauth.example",
        argon2_memory_kib=64,
        argon2_passes=1,
    )
    fake = Fake()
    made = providers.providers(settings, httpx2.ASGITransport(fake))
    async for world in open_world(url, settings, made):
        yield Social(world, fake)


@pytest.fixture
async def shop(sqlite_database_url: str) -> AsyncIterator[Social]:
    async for each in with_providers(sqlite_database_url):
        yield each


@pytest.fixture
async def any_shop(database_url: str) -> AsyncIterator[Social]:
    async for each in with_providers(database_url):
        yield each


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def test_a_newcomer_joins_by_kakao_and_comes_back_as_the_same_member(any_shop: Social) -> None:
    first = await any_shop.log_in("KAKAO")
    user = first["tokens"]["user"]
    assert (user["email"], user["name"], user["displayName"]) == ("kim@kakao.example", "카카오김", "카**김")
    assert user["emailVerifiedAt"] is not None
    assert user["socialAccounts"] == [{"provider": "KAKAO"}]
    again = await any_shop.log_in("KAKAO")
    assert again["tokens"]["user"]["id"] == user["id"]
    assert again["tokens"]["session"]["id"] != first["tokens"]["session"]["id"]
    (told,) = await any_shop.world.told(UserChanged)
    assert (told.display_name, told.email_verified) == ("카**김", True)
    stolen = await dump(any_shop.world.database)
    assert [text for text in ("kim@kakao.example", "카카오김", "KAKAO:7") if text in stolen] == []
    assert await any_shop.world.audit() == []


async def test_an_address_that_naver_only_tells_is_confirmed_by_letter(shop: Social) -> None:
    payload = await shop.log_in("NAVER")
    assert payload["tokens"]["user"]["emailVerifiedAt"] is None
    (letter,) = await shop.world.mails("kim@naver.example")
    verified = await shop.world.ask(VERIFY, t=letter["token"])
    assert verified["data"]["accountEmailVerify"]["tokens"]["user"]["email"] == "kim@naver.example"


async def test_without_an_address_a_member_gives_one_and_confirms_it(any_shop: Social) -> None:
    any_shop.fake.kakao = kakao(None)
    tokens = (await any_shop.log_in("KAKAO"))["tokens"]
    assert (tokens["user"]["email"], tokens["user"]["emailVerifiedAt"]) == (None, None)
    member = await any_shop.caller(tokens)
    await any_shop.world.register("taken@example.com")
    await any_shop.world.ask(RESEND, None, e="mine@example.com")
    assert await any_shop.world.mails("mine@example.com") == [], "a stranger's request gives nobody an address"
    await any_shop.world.ask(RESEND, member, e="mine@example.com")
    (letter,) = await any_shop.world.mails("mine@example.com")
    verified = (await any_shop.world.ask(VERIFY, t=letter["token"]))["data"]["accountEmailVerify"]
    assert verified["tokens"]["user"]["email"] == "mine@example.com"
    (row,) = [each for each in await any_shop.world.rows(users) if each.id == member.id]
    assert row.email_verified_at is not None
    assert await any_shop.world.audit() == []


async def test_an_address_taken_in_the_meantime_is_not_given_away(shop: Social) -> None:
    shop.fake.kakao = kakao(None)
    member = await shop.caller((await shop.log_in("KAKAO"))["tokens"])
    await shop.world.ask(RESEND, member, e="late@example.com")
    (letter,) = await shop.world.mails("late@example.com")
    await shop.world.register("late@example.com")
    assert codes((await shop.world.ask(VERIFY, t=letter["token"]))["data"]["accountEmailVerify"]) == ["TOKEN_INVALID"]


@pytest.mark.parametrize(("verified", "refusal"), [(True, ["UNIQUE"]), (False, [])])
async def test_nobody_gets_into_an_account_by_its_address_alone(
    shop: Social, verified: bool, refusal: list[str]
) -> None:
    owner = await shop.world.member("owner@example.com")
    shop.fake.kakao = kakao("owner@example.com", verified=verified)
    payload = await shop.log_in("KAKAO")
    assert codes(payload) == refusal
    if verified:
        assert payload["tokens"] is None
        assert await shop.world.rows(social_accounts) == []
    else:
        assert payload["tokens"]["user"]["id"] != owner.global_id
        assert payload["tokens"]["user"]["email"] is None, "and nothing tells that the address is a member's"


async def test_who_is_logged_in_links_and_logs_in_with_it(any_shop: Social) -> None:
    owner = await any_shop.world.member("owner@example.com")
    linked = await any_shop.log_in("NAVER", owner)
    assert linked["tokens"]["user"]["id"] == owner.global_id
    assert (await any_shop.log_in("NAVER"))["tokens"]["user"]["id"] == owner.global_id
    assert (await any_shop.log_in("NAVER", owner))["userErrors"] == [], "linking again is nothing"
    any_shop.fake.naver = {"id": "n-2"}
    assert codes(await any_shop.log_in("NAVER", owner)) == ["SOCIAL_ALREADY_LINKED"], "one of a provider"
    other = await any_shop.world.member("other@example.com")
    any_shop.fake.naver = {"id": "n-1"}
    assert codes(await any_shop.log_in("NAVER", other)) == ["SOCIAL_ALREADY_LINKED"], "it is another member's"
    assert len(await any_shop.world.rows(social_accounts)) == 1


async def test_a_link_that_another_began_cannot_be_finished(shop: Social) -> None:
    attacker = await shop.world.member("attacker@example.com")
    victim = await shop.world.member("victim@example.com")
    code, state = await shop.visit("NAVER", attacker)
    assert codes(await shop.finish("NAVER", code, state, victim)) == ["TOKEN_INVALID"]
    code, state = await shop.visit("NAVER", attacker)
    assert codes(await shop.finish("NAVER", code, state)) == ["TOKEN_INVALID"]
    assert await shop.world.rows(social_accounts) == []


async def test_a_state_works_once_even_at_one_moment(any_shop: Social) -> None:
    code, state = await any_shop.visit("KAKAO")
    answers = await asyncio.gather(*(any_shop.finish("KAKAO", code, state) for _ in range(4)))
    assert sorted(codes(each) for each in answers) == [[], *[["TOKEN_INVALID"]] * 3]
    assert await any_shop.world.rows(social_attempts) == []


async def test_what_did_not_begin_here_or_took_too_long_is_refused(shop: Social) -> None:
    code, state = await shop.visit("KAKAO")
    assert codes(await shop.finish("KAKAO", code, "made up")) == ["TOKEN_INVALID"]
    assert codes(await shop.finish("NAVER", code, state)) == ["TOKEN_INVALID"], "another provider's state"
    code, state = await shop.visit("KAKAO")
    shop.world.clock.pass_(minutes=11)
    assert codes(await shop.finish("KAKAO", code, state)) == ["TOKEN_EXPIRED"]
    await shop.visit("KAKAO")
    shop.world.clock.pass_(minutes=11)
    async with shop.world.database.transaction() as tx:
        await social.prune(tx, shop.world.clock())
    assert await shop.world.rows(social_attempts) == []


async def test_a_used_or_stolen_code_is_refused(shop: Social) -> None:
    code, state = await shop.visit("KAKAO")
    assert (await shop.finish("KAKAO", code, state))["userErrors"] == []
    _, another = await shop.visit("KAKAO")
    assert codes(await shop.finish("KAKAO", code, another)) == ["INVALID_CREDENTIALS"], "used"
    stolen, _ = await shop.visit("KAKAO")
    _, mine = await shop.visit("KAKAO")
    assert codes(await shop.finish("KAKAO", stolen, mine)) == ["INVALID_CREDENTIALS"], "of another visit: PKCE"


@pytest.mark.parametrize(
    "wrong",
    [{"nonce": "of another visit"}, {"aud": "another shop"}, {"iss": "https://evil.example"}, {"sub": "8"}, {"exp": 1}],
)
async def test_an_id_token_that_is_not_for_this_visit_is_refused(shop: Social, wrong: dict[str, Any]) -> None:
    shop.fake.claims = wrong
    assert codes(await shop.log_in("KAKAO")) == ["INVALID_CREDENTIALS"]
    assert await shop.world.rows(social_accounts) == []


@pytest.mark.parametrize("trouble", ["down", "nonsense"])
async def test_a_provider_in_trouble_is_said_and_nothing_is_changed(shop: Social, trouble: str) -> None:
    visit = await shop.visit("KAKAO")
    setattr(shop.fake, trouble, True)
    answer = await shop.finish("KAKAO", *visit)
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "SERVICE_UNAVAILABLE"
    assert "kauth" not in error["message"]
    assert await shop.world.rows(users) == []
    setattr(shop.fake, trouble, False)
    assert (await shop.log_in("KAKAO"))["userErrors"] == []


async def test_only_our_addresses_and_providers_that_are_set_up(shop: Social) -> None:
    for back in ("https://evil.example/login/social", f"{BACK}?next=evil", "http://shop.example/login/social"):
        (error,) = (await shop.begin("KAKAO", back=back))["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
    (error,) = (await shop.begin("GOOGLE"))["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert await shop.world.rows(social_attempts) == []


async def test_attempts_are_limited(shop: Social) -> None:
    for _ in range(30):
        assert "errors" not in await shop.begin("KAKAO")
    (error,) = (await shop.begin("KAKAO"))["errors"]
    assert "Too many attempts" in error["message"]


async def test_a_withdrawn_member_may_join_anew(shop: Social) -> None:
    tokens = (await shop.log_in("KAKAO"))["tokens"]
    member = await shop.caller(tokens)
    gone = await shop.world.ask("mutation { accountDelete { userErrors { code } } }", member)
    assert gone["data"]["accountDelete"]["userErrors"] == []
    assert await shop.world.rows(social_accounts) == []
    anew = (await shop.log_in("KAKAO"))["tokens"]["user"]
    assert anew["id"] != tokens["user"]["id"]
    assert parse_id(anew["id"])
    assert await shop.world.audit() == []
