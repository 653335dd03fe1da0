"""Where a request comes from, as far as that can be believed.

The connection's own address is a fact. ``X-Forwarded-For`` is believed only from proxies of ours, and read from the
right: each of them adds the address that it saw, so what stands left of the first address that is not a proxy of ours
was written by whoever asks. ``Forwarded`` (RFC 7239) and ``X-Real-IP`` are never read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from router.pipeline.asgi import PEER
from router.pipeline.lru import Lru

FORWARDED_FOR = "x-forwarded-for"
KNOWN = 10_000
"""Addresses whose reading is remembered."""

Address = IPv4Address | IPv6Address


class Addresses:
    """Tells the address of whoever asks."""

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = tuple(trusted)
        self._read: Lru[tuple[str, str], str] = Lru(KNOWN)

    def of(self, headers: Mapping[str, str]) -> str | None:
        """The address, in its usual form; None where the connection has none (in-process calls)."""
        peer = headers.get(PEER)
        if peer is None:
            return None
        key = (peer, headers.get(FORWARDED_FOR, "") if self._trusted else "")
        found = self._read.get(key)
        if found is None:
            found = self._resolve(*key)
            self._read.put(key, found)
        return found

    def _resolve(self, peer: str, forwarded: str) -> str:
        nearest = parse(peer)
        if nearest is None:
            return peer
        for hop in reversed(forwarded.split(",")):
            further = parse(hop)
            if further is None or not self._is_ours(nearest):
                break
            nearest = further
        return str(nearest)

    def _is_ours(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def parse(text: str) -> Address | None:
    """An address as proxies write it: with or without a port; IPv4 in IPv6 is IPv4. None if it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
