"""How often a caller may ask: a token bucket for each API key, each person, each address.

The bucket is kept as one number, the time at which it will be full again (the generic cell rate algorithm), so taking
from it costs one look-up. Buckets are this process's own: with several routers, each allows the whole rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address

from router.errors import RequestError, RequestErrorCode
from router.pipeline.asgi import PEER
from router.pipeline.auth import Identity
from router.pipeline.clients import Client
from router.pipeline.lru import Lru
from router.settings import Rate, RateLimits

FORWARDED_FOR = "x-forwarded-for"
SITE_BITS = 64
"""Of an IPv6 address: one customer has all addresses that share them."""


def take(full_at: float, now: float, rate: Rate) -> tuple[float, float]:
    """Take one token from a bucket that is full at ``full_at``: when it is full then, and how long to wait first.

    With a wait, nothing has been taken. Times in seconds.
    """
    each = 1 / rate.per_second
    then = max(full_at, now) + each
    wait = then - now - rate.burst * each
    # Sums of fractions are a little off: a token that is missing by less than a microsecond is there.
    return (then, 0.0) if wait < 1e-6 else (full_at, wait)


class RateLimiter:
    """The buckets of all callers; those not used for longest are forgotten when there are too many."""

    def __init__(self, settings: RateLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._full_at: Lru[str, float] = Lru(settings.callers)
        self._sites: Lru[str, str] = Lru(settings.callers)

    def admit(self, client: Client, identity: Identity, headers: Mapping[str, str]) -> None:
        """Count a request of a known caller. Raises RequestError (429) when it came too early."""
        if not self._settings.enabled:
            return
        if client.rate is not None:
            self._take(f"client:{client.name}", client.rate)
        elif identity.subject is not None:
            self._take(f"user:{identity.subject}", self._settings.signed_in)
        else:
            self.admit_stranger(headers)

    def admit_stranger(self, headers: Mapping[str, str]) -> None:
        """Count a request of whom nothing but the address is known; without one, all are admitted."""
        address = self._address(headers) if self._settings.enabled else None
        if address is not None:
            self._take(f"address:{address}", self._settings.anonymous)

    def _take(self, key: str, rate: Rate) -> None:
        full_at, wait = take(self._full_at.get(key) or 0.0, self._clock(), rate)
        if wait > 0:
            message = f"Too many requests. Try again in {wait:.1f} seconds."
            raise RequestError(
                RequestErrorCode.RATE_LIMITED,
                message,
                status=429,
                malformed=True,
                extensions={"retryAfterMs": math.ceil(wait * 1000)},
                retry_after=math.ceil(wait),
            )
        self._full_at.put(key, full_at)

    def _address(self, headers: Mapping[str, str]) -> str | None:
        """The address that asks. What clients write into the header stands left of what our own proxies add."""
        address = headers.get(PEER)
        if self._settings.proxies and FORWARDED_FOR in headers:
            hops = headers[FORWARDED_FOR].split(",")
            address = hops[-min(self._settings.proxies, len(hops))].strip()
        if address is None:
            return None
        site = self._sites.get(address)
        if site is None:
            site = _site(address)
            self._sites.put(address, site)
        return site


def _site(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{int(parsed) >> (128 - SITE_BITS):x}/{SITE_BITS}"
    return str(parsed)
