"""Where answers are kept, and the guard that keeps old ones out: two stores do it, memory and Redis.

The guard. Every purge takes the next number of one clock and writes it down for its tag. A look-up tells the clock as
it stands (``Stamp``), *before* anything is fetched; what is then fetched is stored under that stamp. An entry counts
only if none of its tags was purged after its stamp. So whoever reads slowly stores something that nobody will take,
and purging needs neither locks nor lists of keys.

A read replica may be behind the purge. Two things help: for ``hold`` seconds after a purge nothing that carries its
tag counts, unless the subgraph told the entity's version; a told version counts if it is at least the purged one.

The clock and all purges live and die together: a store that forgets them (a flush, too many of them) begins a later
clock, and no entry of before counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stamp:
    """``clock``: purges so far, in the store's own counting. ``at``: the store's time, in milliseconds."""

    clock: int
    at: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up gives: the entries that count, in the order of the keys, and the stamp for those to come."""

    stamp: Stamp
    entries: list[bytes | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer to be kept for ``seconds``. ``versions``: of the tags that are entities, where they were told."""

    key: bytes
    data: bytes
    tags: tuple[str, ...]
    seconds: float
    versions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Purge:
    """What has changed: a tag, and where it is an entity that is known to have a version, which one it has now."""

    tag: str
    version: int | None = None


class StoreDown(Exception):
    """The store cannot be reached now."""


class Store(Protocol):
    """Raises StoreDown where it is somewhere else and cannot be reached in time."""

    async def look_up(self, keys: Sequence[bytes]) -> Found:
        """The entries under these keys that still count."""
        ...

    async def keep(self, stamp: Stamp, entries: Sequence[Entry]) -> None:
        """Store what was fetched after the look-up that gave ``stamp``."""
        ...

    async def purge(self, purges: Sequence[Purge]) -> None:
        """From now on, nothing that was fetched before counts for these tags."""
        ...

    async def close(self) -> None:
        """Give back what the store holds."""
        ...


def entity_tag(type_name: str, id_: str) -> str:
    """The tag of an entity: ``Product:01J...``."""
    return f"{type_name}:{id_}"


def entity_changed(type_name: str, id_: str, version: int | None = None) -> list[Purge]:
    """The purges for an entity that has changed: by its name, and of what holds it without saying so."""
    return [Purge(entity_tag(type_name, id_), version), Purge(unnamed_tag(type_name))]


def type_tag(type_name: str) -> str:
    """The tag of everything that holds an entity of this type."""
    return f"type:{type_name}"


def subgraph_tag(subgraph: str) -> str:
    """The tag of everything that a subgraph answered."""
    return f"subgraph:{subgraph}"


def unnamed_tag(type_name: str) -> str:
    """The tag of what holds entities of this type without saying which: purging any of them purges it."""
    return f"unnamed:{type_name}"
