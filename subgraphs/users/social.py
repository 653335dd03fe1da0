"""Naver and Kakao as OAuth 2 providers: where to send people, and who they turn out to be.

Authorization code grant (RFC 6749 4.1) with PKCE (RFC 7636). Kakao is an OpenID provider, too: its ID token must carry
our nonce. Of the two only Kakao says whether it has verified an e-mail address; what Naver gives is a contact address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from subgraphs.users.settings import Settings

TIMEOUT_SECONDS = 5.0


class Refused(Exception):
    """The provider does not take the code: it was used, is old, or was never given."""


class Unreachable(Exception):
    """The provider does not answer, or answers nonsense."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One visit to a provider, from the redirect to the code."""

    redirect_uri: str
    state: str
    verifier: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who logged in at a provider. ``email_verified``: the provider vouches that the address is theirs."""

    subject: str
    email: str | None = None
    email_verified: bool = False
    name: str | None = None


class Provider(Protocol):
    def authorization_url(self, attempt: Attempt) -> str: ...

    async def person(self, code: str, attempt: Attempt) -> Person:
        """Redeem the code. Raises Refused or Unreachable."""
        ...


@dataclass(frozen=True, slots=True)
class OAuthProvider:
    """``scope`` with ``openid``: the provider's ID token is checked with the keys at ``jwks_url``."""

    client_id: str
    client_secret: str
    authorize_url: str
    token_url: str
    profile_url: str
    read_profile: Callable[[Mapping[str, Any]], Person]
    scope: str | None = None
    issuer: str | None = None
    jwks_url: str | None = None
    transport: httpx2.AsyncBaseTransport | None = None

    def authorization_url(self, attempt: Attempt) -> str:
        more = {"nonce": attempt.nonce} if self.issuer else {}
        url, _ = self._client(attempt).create_authorization_url(
            self.authorize_url, state=attempt.state, code_verifier=attempt.verifier, **more
        )
        return str(url)

    async def person(self, code: str, attempt: Attempt) -> Person:
        try:
            async with self._client(attempt) as client:
                # Naver wants the state once more.
                extra = urlencode({"state": attempt.state})
                token = await client.fetch_token(
                    self.token_url,
                    body=extra,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=attempt.verifier,
                )
                person = self.read_profile(await self._get(client, self.profile_url))
                if self.issuer and await self._vouched(client, token, attempt) != person.subject:
                    raise Refused("the ID token is another person's")
                return person
        except OAuthError as error:
            raise Refused(str(error.error)) from error
        except (httpx2.HTTPError, LookupError, TypeError, ValueError) as error:
            raise Unreachable(f"{self.token_url}: {type(error).__name__}") from error

    async def _get(self, client: AsyncOAuth2Client, url: str) -> Mapping[str, Any]:
        answer = await client.get(url)
        answer.raise_for_status()
        found: Mapping[str, Any] = answer.json()
        return found

    async def _vouched(self, client: AsyncOAuth2Client, token: Mapping[str, Any], attempt: Attempt) -> str:
        """The subject of the ID token (OpenID Connect Core 3.1.3.7)."""
        keys = KeySet.import_key_set(await self._get(client, str(self.jwks_url)))  # type: ignore[arg-type]
        rules = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": str(self.issuer)},
            aud={"essential": True, "value": self.client_id},
            nonce={"essential": True, "value": attempt.nonce},
            sub={"essential": True},
            exp={"essential": True},
        )
        try:
            claims = jwt.decode(str(token["id_token"]), keys, algorithms=["RS256"]).claims
            rules.validate(claims)
        except JoseError as error:
            raise Refused(f"the ID token: {error}") from error
        return str(claims["sub"])

    def _client(self, attempt: Attempt) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self.client_id,
            self.client_secret,
            token_endpoint_auth_method="client_secret_post",
            code_challenge_method="S256",
            scope=self.scope,
            redirect_uri=attempt.redirect_uri,
            timeout=TIMEOUT_SECONDS,
            transport=self.transport,
        )


def providers(settings: Settings, transport: httpx2.AsyncBaseTransport | None = None) -> dict[str, Provider]:
    """The providers that the settings name a client of, by SocialProvider."""
    found: dict[str, Provider] = {}
    if settings.naver_client_id and settings.naver_client_secret:
        found["NAVER"] = OAuthProvider(
            settings.naver_client_id,
            settings.naver_client_secret.get_secret_value(),
            f"{settings.naver_auth_url}/oauth2.0/authorize",
            f"{settings.naver_auth_url}/oauth2.0/token",
            f"{settings.naver_api_url}/v1/nid/me",
            _of_naver,
            transport=transport,
        )
    if settings.kakao_client_id and settings.kakao_client_secret:
        found["KAKAO"] = OAuthProvider(
            settings.kakao_client_id,
            settings.kakao_client_secret.get_secret_value(),
            f"{settings.kakao_auth_url}/oauth/authorize",
            f"{settings.kakao_auth_url}/oauth/token",
            f"{settings.kakao_api_url}/v2/user/me",
            _of_kakao,
            scope="openid account_email profile_nickname",
            issuer=settings.kakao_auth_url,
            jwks_url=f"{settings.kakao_auth_url}/.well-known/jwks.json",
            transport=transport,
        )
    return found


def _of_naver(profile: Mapping[str, Any]) -> Person:
    if profile["resultcode"] != "00":
        raise ValueError(profile["resultcode"])
    given = profile["response"]
    return Person(str(given["id"]), given.get("email"), False, given.get("name") or given.get("nickname"))


def _of_kakao(profile: Mapping[str, Any]) -> Person:
    account = profile.get("kakao_account") or {}
    verified = account.get("is_email_valid") is True and account.get("is_email_verified") is True
    name = account.get("name") or (account.get("profile") or {}).get("nickname")
    return Person(str(profile["id"]), account.get("email"), verified, name)
