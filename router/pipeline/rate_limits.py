"""How often a caller may ask: a token bucket for each API key, each person, each address."""

from __future__ import annotations

import math
from collections.abc import Mapping
from ipaddress import IPv6Address

from router.errors import RequestError, RequestErrorCode
from router.pipeline.addresses import Addresses, parse
from router.pipeline.auth import Identity
from router.pipeline.buckets import Buckets
from router.pipeline.clients import Client
from router.settings import Rate, RateLimits

SITE_BITS = 64
"""Of an IPv6 address: one customer has all addresses that share them."""


class RateLimiter:
    """Holds callers to their rates."""

    def __init__(self, settings: RateLimits, buckets: Buckets, addresses: Addresses) -> None:
        self._settings = settings
        self._buckets = buckets
        self._addresses = addresses

    async def admit(self, client: Client, identity: Identity, headers: Mapping[str, str]) -> None:
        """Count a request of a known caller. Raises RequestError (429) when it came too early."""
        if not self._settings.enabled:
            return
        if client.rate is not None:
            await self._take(f"client:{client.name}", client.rate)
        elif identity.subject is not None:
            await self._take(f"user:{identity.subject}", self._settings.signed_in)
        else:
            await self.admit_stranger(headers)

    async def admit_stranger(self, headers: Mapping[str, str]) -> None:
        """Count a request of whom nothing but the address is known; without one, all are admitted."""
        address = self._addresses.of(headers) if self._settings.enabled else None
        if address is not None:
            await self._take(f"address:{site(address)}", self._settings.anonymous)

    async def _take(self, key: str, rate: Rate) -> None:
        wait = await self._buckets.take(key, rate)
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


def site(address: str) -> str:
    """What of an address tells one customer from another."""
    parsed = parse(address) if ":" in address else None
    if isinstance(parsed, IPv6Address):
        return f"{int(parsed) >> (128 - SITE_BITS):x}/{SITE_BITS}"
    return address
