"""Whether a request is let in. More than the process can do is refused at once, so that the rest is done in time.

How many requests may run is learned from the event loop: while it is on time the limit grows, while it is late the
limit shrinks (additive increase, multiplicative decrease). Waiting for slow subgraphs does not make the loop late; that
is what the bulkheads are for.
"""

from __future__ import annotations

import asyncio

from router.errors import RequestError, RequestErrorCode

SAMPLE = 0.05
"""Seconds between two looks at the loop."""

SHRINK = 0.9
GROW = 8

COME_AGAIN = 1
"""Seconds after which somebody who was refused may try again."""


class AdaptiveLimit:
    """How many at once. A pure core: ``observed`` is told the loop's delay, in seconds."""

    def __init__(self, most: int, least: int, lag: float) -> None:
        self._most = most
        self._least = min(least, most)
        self._lag = lag
        self.value = most

    def observed(self, lag: float, running: int) -> None:
        """The loop was late by ``lag`` while so many requests ran."""
        if lag > self._lag:
            self.value = max(int(self.value * SHRINK), self._least)
        elif running * 2 >= self.value:
            self.value = min(self.value + GROW, self._most)


class Admission:
    """Counts requests in and out: ``with admission:`` is a place, or RequestError (503) where there is none.

    It looks at the loop only while there are requests.
    """

    def __init__(self, most: int, least: int, lag: float) -> None:
        self.limit = AdaptiveLimit(most, least, lag)
        self.running = 0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        if self.running >= self.limit.value:
            raise RequestError(
                RequestErrorCode.OVERLOADED,
                "Too many requests just now.",
                status=503,
                malformed=True,
                extensions={"retryAfterMs": COME_AGAIN * 1000},
                retry_after=COME_AGAIN,
            )
        self.running += 1
        if self._timer is None:
            self._look_later(asyncio.get_running_loop())

    def __exit__(self, *_: object) -> None:
        self.running -= 1

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + SAMPLE
        self._timer = loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.limit.observed(loop.time() - due, self.running)
        self._timer = None
        if self.running:
            self._look_later(loop)
