"""Facts that another subgraph owns arrive by event, a moment after they came to be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import upsert
from subgraphs.kit.ids import is_fresh


class Fact(Protocol):
    """A payload that says which thing it is about and which version of it."""

    @property
    def subject_id(self) -> str: ...

    @property
    def version(self) -> int: ...


T = TypeVar("T")
F = TypeVar("F", bound=Fact)

PATIENCE_SECONDS = 2.0
_PAUSES = (0.005, 0.01, 0.02, 0.03, 0.05)


def newest(facts: Iterable[F]) -> list[F]:
    """Of the facts about one thing the newest only, in the order of the things: one transaction may hear several."""
    best: dict[str, F] = {}
    for fact in facts:
        known = best.get(fact.subject_id)
        if known is None or fact.version > known.version:
            best[fact.subject_id] = fact
    return [best[key] for key in sorted(best)]


async def keep(tx: AsyncConnection, table: Table, facts: Iterable[F], row_of: Callable[[F], Mapping[str, Any]]) -> None:
    """Put the newest facts into a table of copies, over older ones only: a late event never sets a copy back."""
    await upsert(tx, table, [row_of(fact) for fact in newest(facts)], newer_by="version")


async def when_complete(
    look: Callable[[], Awaitable[T]], missing: Callable[[T], Iterable[str]], *, patience: float = PATIENCE_SECONDS
) -> T:
    """What ``look`` finds; looked up again while something is missing whose id was made moments ago.

    A buyer who adds an address and orders at once must not be told that the address does not exist only because its
    event is still on the way. An id that is not fresh is missing for good: it costs no waiting.
    """
    deadline = time.monotonic() + patience
    turn = 0
    while True:
        found = await look()
        now = datetime.now(UTC)
        if not any(is_fresh(ulid, now) for ulid in missing(found)) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_PAUSES[min(turn, len(_PAUSES) - 1)])
        turn += 1
