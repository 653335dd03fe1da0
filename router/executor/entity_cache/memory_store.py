"""The store of the all-in-one process: bounded by bytes, the least recently used go first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from router.executor.entity_cache.store import Entry, Found, Purge, Stamp

OVERHEAD = 400
"""Bytes that an entry takes besides its data, about."""


@dataclass(frozen=True, slots=True)
class _Kept:
    entry: Entry
    stamp: Stamp
    until: float


@dataclass(frozen=True, slots=True)
class _Purged:
    """The last purge of a tag that told no version, and the highest that told one."""

    blind: Stamp | None = None
    told: Stamp | None = None
    version: int = 0

    def spares(self, stamp: Stamp, version: int | None) -> bool:
        """Whether what was fetched then, at that version if one is known, still counts."""
        if self.blind is not None and not _after(stamp, self.blind):
            return False
        if self.told is None:
            return True
        return version >= self.version if version is not None else _after(stamp, self.told)


class MemoryStore:
    """See ``Store``. Nothing here waits, so nothing comes between."""

    def __init__(
        self, max_bytes: int, hold: float = 0.0, remembered: int = 100_000, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes = max_bytes
        self._hold = int(hold * 1000)
        self._remembered = remembered
        self._now = now
        self._entries: OrderedDict[bytes, _Kept] = OrderedDict()
        self._bytes = 0
        self._clock = 0
        self._floor = 0
        self._purged: dict[str, _Purged] = {}

    async def look_up(self, keys: Sequence[bytes]) -> Found:
        """See Store."""
        now = self._now()
        return Found(Stamp(self._clock, int(now * 1000)), [self._get(key, now) for key in keys])

    async def keep(self, stamp: Stamp, entries: Sequence[Entry]) -> None:
        """See Store."""
        now = self._now()
        for entry in entries:
            self._drop(entry.key)
            self._entries[entry.key] = _Kept(entry, stamp, now + entry.seconds)
            self._bytes += _size(entry)
        while self._bytes > self._max_bytes and self._entries:
            self._drop(next(iter(self._entries)))

    async def purge(self, purges: Sequence[Purge]) -> None:
        """See Store."""
        self._clock += 1
        stamp = Stamp(self._clock, int(self._now() * 1000) + self._hold)
        for purge in purges:
            known = self._purged.get(purge.tag, _Purged())
            if purge.version is None:
                self._purged[purge.tag] = replace(known, blind=stamp)
            else:
                self._purged[purge.tag] = replace(known, told=stamp, version=max(known.version, purge.version))
        if len(self._purged) > self._remembered:
            self._purged.clear()
            self._clock += 1
            self._floor = self._clock

    async def close(self) -> None:
        """See Store."""
        self._entries.clear()
        self._bytes = 0

    def _get(self, key: bytes, now: float) -> bytes | None:
        kept = self._entries.get(key)
        if kept is None:
            return None
        if kept.until <= now or not self._counts(kept):
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return kept.entry.data

    def _counts(self, kept: _Kept) -> bool:
        if kept.stamp.clock < self._floor:
            return False
        found = ((tag, self._purged.get(tag)) for tag in kept.entry.tags)
        versions = kept.entry.versions
        return all(purged is None or purged.spares(kept.stamp, versions.get(tag)) for tag, purged in found)

    def _drop(self, key: bytes) -> None:
        kept = self._entries.pop(key, None)
        if kept is not None:
            self._bytes -= _size(kept.entry)


def _after(stamp: Stamp, purge: Stamp) -> bool:
    return stamp.clock >= purge.clock and stamp.at >= purge.at


def _size(entry: Entry) -> int:
    return len(entry.data) + OVERHEAD
