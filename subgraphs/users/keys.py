"""The keys that sign access tokens, kept in the database so that every process signs with the same and knows all.

A new key is published (JWKS) a while before it signs, and an old one a while after, so that verifiers which cache the
key set never meet a token of a key they do not know.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from joserfc import jwt
from joserfc.jwk import OKPKey
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from subgraphs.kit.ids import new_ulid
from subgraphs.users.models import AnyRow, signing_keys
from subgraphs.users.settings import Settings

# RFC 9864 renames EdDSA with this curve to Ed25519; verifiers in the field still know it as EdDSA.
warnings.filterwarnings("ignore", message="EdDSA is deprecated")

ALGORITHM = "EdDSA"
RELOAD_SECONDS = 60.0

JwksSource = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Loaded:
    rows: Sequence[AnyRow]
    keys: dict[str, OKPKey]
    at: float


class SigningKeys:
    """Signs claims and publishes the key set."""

    def __init__(self, database: Database, settings: Settings, now: Callable[[], datetime]) -> None:
        self._database = database
        self._settings = settings
        self._now = now
        self._loaded: _Loaded | None = None

    async def sign(self, claims: dict[str, Any]) -> str:
        """A JWT of the claims, issuer and audience added."""
        loaded = await self._load()
        now = self._now()
        kid = max((row for row in loaded.rows if row.signs_from <= now), key=lambda row: (row.signs_from, row.kid)).kid
        full = {"iss": self._settings.issuer, "aud": self._settings.audience, **claims}
        header = {"alg": ALGORITHM, "kid": kid, "typ": "JWT"}
        return jwt.encode(header, full, loaded.keys[kid], algorithms=[ALGORITHM])

    async def jwks(self) -> dict[str, Any]:
        """The public keys as a JSON Web Key Set (RFC 7517)."""
        loaded = await self._load()
        public = [loaded.keys[row.kid].as_dict(private=False) for row in loaded.rows]
        return {"keys": [{**key, "use": "sig", "alg": ALGORITHM} for key in public]}

    async def rotate(self) -> None:
        """Make the first key, the next one when the newest is old, and delete those that nobody needs any more."""
        await self._database.run(self._rotate)
        self._loaded = None

    async def _rotate(self, tx: AsyncConnection) -> None:
        now, settings = self._now(), self._settings
        rows = (await tx.execute(select(signing_keys).order_by(signing_keys.c.signs_from.desc()))).all()
        if not rows:
            await tx.execute(insert(signing_keys), [_new_key(now)])
        elif rows[0].signs_from + settings.key_life <= now:
            await tx.execute(insert(signing_keys), [_new_key(now + settings.key_lead)])
        done = now - settings.key_lead - settings.access_token_life
        outdated = [old.kid for newer, old in pairwise(rows) if newer.signs_from < done]
        if outdated:
            await tx.execute(delete(signing_keys).where(signing_keys.c.kid.in_(outdated)))

    async def _load(self) -> _Loaded:
        if self._loaded is None or time.monotonic() - self._loaded.at > RELOAD_SECONDS:
            rows = await self._rows()
            if not rows:
                await self.rotate()
                rows = await self._rows()
            keys = {row.kid: OKPKey.import_key(row.private_key, {"kid": row.kid}) for row in rows}
            self._loaded = _Loaded(rows, keys, time.monotonic())
        return self._loaded

    async def _rows(self) -> Sequence[AnyRow]:
        async with self._database.read() as connection:
            return (await connection.execute(select(signing_keys).order_by(signing_keys.c.kid))).all()


def _new_key(signs_from: datetime) -> dict[str, Any]:
    pem = OKPKey.generate_key("Ed25519").as_pem(private=True)
    return {"kid": new_ulid(), "private_key": pem.decode(), "signs_from": signs_from}
