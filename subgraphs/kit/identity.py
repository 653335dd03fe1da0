"""Who is asking: the claims that the router verified, in a header that only the router can have written."""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from subgraphs.kit.errors import AccessDenied

CLAIMS_HEADER = "router-claims"


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller. ``user_id`` and ``session_id`` are ULIDs, None for an anonymous caller."""

    user_id: str | None = None
    session_id: str | None = None
    roles: frozenset[str] = field(default_factory=frozenset)
    scopes: frozenset[str] = field(default_factory=frozenset)

    def require_user(self) -> str:
        """The caller's user id. Raises AccessDenied UNAUTHENTICATED when nobody is logged in."""
        if self.user_id is None:
            raise AccessDenied("UNAUTHENTICATED", "Log in first.")
        return self.user_id

    def require_scope(self, scope: str) -> None:
        """Raises AccessDenied unless the caller holds the scope. The router checked it; the owner checks again."""
        self.require_user()
        if scope not in self.scopes:
            raise AccessDenied("FORBIDDEN", f"This needs the scope {scope}.")


ANONYMOUS = Identity()


class ClaimsVerifier:
    """Reads the claims header: ``base64url(json) "." base64url(HMAC-SHA256(secret, base64url(json)))``."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._verified = lru_cache(maxsize=4096)(self._verify)

    def identity(self, header: str | None) -> Identity:
        """The caller. Raises AccessDenied when the header is missing, forged or out of date."""
        if not header:
            raise AccessDenied("FORBIDDEN", "This subgraph answers the router only.")
        identity, not_after = self._verified(header)
        if time.time() > not_after:
            raise AccessDenied("FORBIDDEN", "The router's claims have expired.")
        return identity

    def _verify(self, header: str) -> tuple[Identity, float]:
        body, _, signature = header.partition(".")
        expected = hmac.digest(self._secret, body.encode(), "sha256")
        if not hmac.compare_digest(_decode(signature), expected):
            raise AccessDenied("FORBIDDEN", "This subgraph answers the router only.")
        claims: dict[str, Any] = orjson.loads(_decode(body))
        identity = Identity(
            user_id=claims.get("sub"),
            session_id=claims.get("sid"),
            roles=frozenset(claims.get("roles") or ()),
            scopes=frozenset(claims.get("scopes") or ()),
        )
        return identity, float(claims["exp"])


def sign_claims(secret: str, claims: dict[str, Any]) -> str:
    """The header's value for these claims (tests, workers that ask their own subgraph)."""
    body = urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=")
    signature = urlsafe_b64encode(hmac.digest(secret.encode(), body, "sha256")).rstrip(b"=")
    return (body + b"." + signature).decode()


def _decode(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
