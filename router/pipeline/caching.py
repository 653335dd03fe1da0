"""The entity cache of a router: the store that the settings name, and each request's use of it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import orjson

from router.executor.entity_cache.memory_store import MemoryStore
from router.executor.entity_cache.redis_store import RedisStore
from router.executor.entity_cache.session import Cache, CacheSession
from router.executor.entity_cache.store import Store
from router.pipeline.auth import ANONYMOUS, Identity
from router.pipeline.claims import ClaimsSigner
from router.pipeline.invalidation import Invalidation
from router.settings import CacheSettings, Settings
from router.telemetry import Telemetry
from router.telemetry.tracing import HEADER


def open_cache(settings: CacheSettings, telemetry: Telemetry | None = None) -> Cache | None:
    """The cache; None where it is off."""
    return Cache(open_store(settings), telemetry) if settings.enabled else None


def open_store(settings: CacheSettings) -> Store:
    """Redis where a URL is given, else this process's memory. Whoever purges opens the same one."""
    if settings.redis_url is None:
        return MemoryStore(settings.memory_bytes, settings.hold, settings.purges_remembered)
    return RedisStore(
        settings.redis_url,
        hold=settings.hold,
        remembered=settings.purges_remembered,
        timeout=settings.timeout,
        prefix=settings.prefix,
    )


def invalidation(cache: Cache | None, settings: CacheSettings) -> Invalidation | None:
    """The operators' way to purge; None without a cache or a secret."""
    if cache is None or settings.invalidation_secret is None:
        return None
    return Invalidation(cache.store, settings.invalidation_secret)


class Sessions:
    """Makes each request's session."""

    def __init__(self, cache: Cache, settings: Settings, claims: ClaimsSigner | None) -> None:
        self._cache = cache
        self._claims = claims
        self._claims_header = settings.claims_header
        # The trace is new with every request; the claims are in the key by what they say, not by their signature.
        own = (HEADER, "tracestate", settings.claims_header)
        self._ignored = frozenset(name.lower() for name in (*settings.cache.ignore_headers, *own))

    def open(self, identity: Identity, forwarded: Mapping[str, str]) -> CacheSession:
        """The session of a caller whose headers ``forwarded`` go to the subgraphs."""
        nobody = dict(forwarded)
        if self._claims is not None:
            nobody[self._claims_header] = self._claims.header(ANONYMOUS)
        vary = sorted((name, value) for name, value in forwarded.items() if name.lower() not in self._ignored)
        return CacheSession(self._cache, nobody, _caller(identity), orjson.dumps(vary))


def _caller(identity: Identity) -> bytes | None:
    if identity.subject is None:
        return None
    who = [
        identity.subject,
        identity.session,
        sorted(identity.roles),
        sorted(identity.scopes),
        sorted(identity.policies),
    ]
    return blake2b(orjson.dumps(who), digest_size=20).digest()
