"""Who is calling: access tokens verified by the issuer's published keys (RFC 7519, RFC 7517)."""

from __future__ import annotations

import asyncio
import logging
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet

from router.errors import RequestError, RequestErrorCode
from router.pipeline.lru import Lru
from router.settings import TokenSettings

KeySource = Callable[[], Awaitable[dict[str, Any]]]
"""Gives the issuer's JWKS. Whatever it raises means that the keys cannot be had now."""

REFRESH_PAUSE = 10.0
"""Unknown key ids make the keys be fetched at most this often (seconds)."""

RETRY_PAUSE = 1.0
"""After a failure to fetch keys, the next try waits this long (seconds)."""

FETCH_TIMEOUT = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller, as the token says. ``subject`` is None for an anonymous caller; ``expires`` is a Unix time."""

    subject: str | None = None
    session: str | None = None
    roles: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    expires: float = float("inf")


ANONYMOUS = Identity()


class KeysUnavailable(Exception):
    """The issuer's keys could not be had."""


def keys_from_url(url: str) -> KeySource:
    """Fetch the JWKS from where the issuer publishes it."""

    async def fetch() -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            response.raise_for_status()
            keys = await response.json(content_type=None)
        if not isinstance(keys, dict):
            raise KeysUnavailable("not a key set")
        return keys

    return fetch


class KeyCache:
    """The issuer's keys. Old ones stay in use while new ones cannot be had."""

    def __init__(self, source: KeySource, lifetime: float) -> None:
        self._source = source
        self._lifetime = lifetime
        self._keys: KeySet | None = None
        self._fetched = float("-inf")
        self._retry = float("-inf")
        self._lock = asyncio.Lock()

    async def keys(self, *, unknown_key: bool = False) -> KeySet:
        """The keys; ``unknown_key`` asks for newer ones. Raises KeysUnavailable if there never were any."""
        lifetime = REFRESH_PAUSE if unknown_key else self._lifetime
        if self._is_due(lifetime):
            async with self._lock:
                if self._is_due(lifetime):
                    await self._refresh()
        if self._keys is None:
            raise KeysUnavailable
        return self._keys

    def _is_due(self, lifetime: float) -> bool:
        now = time.monotonic()
        return now - self._fetched > lifetime and now > self._retry

    async def _refresh(self) -> None:
        try:
            keys = KeySet.import_key_set(await self._source())  # type: ignore[arg-type]
        except Exception:
            # Whatever the source raises: known keys go on serving, and the next try waits a while.
            logger.warning("the keys of the token issuer could not be fetched", exc_info=True)
            self._retry = time.monotonic() + RETRY_PAUSE
        else:
            self._keys = keys
            self._fetched = time.monotonic()


class TokenVerifier:
    """Verifies bearer tokens, and remembers those it has verified until they expire."""

    def __init__(self, settings: TokenSettings, source: KeySource | None = None) -> None:
        if source is None and settings.jwks_url is not None:
            source = keys_from_url(settings.jwks_url)
        self._settings = settings
        self._keys = KeyCache(source, settings.jwks_lifetime) if source is not None else None
        self._verified: Lru[str, Identity] = Lru(settings.cache_size)
        self._claims = jwt.JWTClaimsRegistry(leeway=int(settings.leeway), **_required(settings))

    async def identify(self, authorization: str | None) -> Identity:
        """The caller named by an ``Authorization`` header. Raises RequestError (401, or 503 without keys)."""
        if authorization is None:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _refused("The authorization header has no bearer token.")
        known = self._verified.get(token)
        if known is not None:
            if known.expires + self._settings.leeway > time.time():
                return known
            self._verified.drop(token)
        identity = await self._verify(token)
        self._verified.put(token, identity)
        return identity

    async def _verify(self, token: str) -> Identity:
        if self._keys is None:
            raise _refused("Access tokens are not accepted here.")
        try:
            try:
                claims = self._decode(token, await self._keys.keys())
            except (JoseError, ValueError):
                # Perhaps signed by a key that was published a moment ago.
                claims = self._decode(token, await self._keys.keys(unknown_key=True))
            self._claims.validate(claims)
            return _identity(claims, self._settings.policies_claim)
        except KeysUnavailable:
            message = "Access tokens cannot be verified at the moment."
            raise RequestError(RequestErrorCode.UNAUTHENTICATED, message, status=503, malformed=True) from None
        except (JoseError, ValueError, TypeError, KeyError):
            raise _refused("The access token is not valid.") from None

    def _decode(self, token: str, keys: KeySet) -> dict[str, Any]:
        with warnings.catch_warnings():
            # Issuers still write "EdDSA", which RFC 9864 has renamed: no reason to warn for every token.
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.decode(token, keys, algorithms=list(self._settings.algorithms)).claims


def _required(settings: TokenSettings) -> dict[str, Any]:
    required: dict[str, Any] = {"exp": {"essential": True}}
    if settings.issuer is not None:
        required["iss"] = {"essential": True, "value": settings.issuer}
    if settings.audience is not None:
        required["aud"] = {"essential": True, "value": settings.audience}
    return required


def _identity(claims: dict[str, Any], policies: str) -> Identity:
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise ValueError("no subject")
    session = claims.get("sid")
    return Identity(
        subject=subject,
        session=session if isinstance(session, str) else None,
        roles=tuple(sorted(_words(claims.get("roles")))),
        scopes=_words(claims.get("scope")) | _words(claims.get("scopes")),
        policies=_words(claims.get(policies)),
        expires=float(claims["exp"]),
    )


def _words(claim: Any) -> frozenset[str]:
    """A claim that is a list of words, or one string of them (RFC 8693, "scope")."""
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list):
        return frozenset(word for word in claim if isinstance(word, str))
    return frozenset()


def _refused(message: str) -> RequestError:
    return RequestError(RequestErrorCode.UNAUTHENTICATED, message, status=401, malformed=True)
