"""The header that tells subgraphs who is calling, in a way that only the router can have written.

``base64url(json) "." base64url(HMAC-SHA256(secret, base64url(json)))`` with ``sub sid roles scopes iat exp``.
"""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64encode

import orjson

from router.pipeline.auth import Identity
from router.pipeline.lru import Lru

REUSE = 10.0
"""One header serves an identity this long (seconds), so that subgraphs can remember what they have verified."""


class ClaimsSigner:
    """Signs claims; each header is good for ``lifetime`` seconds, and never longer than the caller's token."""

    def __init__(self, secret: str, lifetime: float, size: int = 10_000) -> None:
        self._secret = secret.encode()
        self._lifetime = lifetime
        self._made: Lru[Identity, tuple[float, str]] = Lru(size)

    def header(self, identity: Identity) -> str:
        """The header's value for a caller, anonymous ones too."""
        now = time.time()
        made = self._made.get(identity)
        if made is not None and now - made[0] < min(REUSE, self._lifetime / 2) and now < identity.expires:
            return made[1]
        value = self._sign(identity, now)
        self._made.put(identity, (now, value))
        return value

    def _sign(self, identity: Identity, now: float) -> str:
        claims = {
            "sub": identity.subject,
            "sid": identity.session,
            "roles": identity.roles,
            "scopes": sorted(identity.scopes),
            "iat": int(now),
            "exp": int(min(now + self._lifetime, identity.expires)),
        }
        body = urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=")
        signature = urlsafe_b64encode(hmac.digest(self._secret, body, "sha256")).rstrip(b"=")
        return (body + b"." + signature).decode()
