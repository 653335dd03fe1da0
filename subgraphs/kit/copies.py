"""Facts that another subgraph owns arrive by event, a moment after they came to be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import TypeVar

from subgraphs.kit.ids import is_fresh

T = TypeVar("T")

PATIENCE_SECONDS = 2.0
_PAUSES = (0.005, 0.01, 0.02, 0.03, 0.05)


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
