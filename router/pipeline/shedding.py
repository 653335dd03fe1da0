"""Whether a request is let in. More than the process can do is refused at once, so that the rest is done in time.

How many requests may run is learned from the event loop: while it has time to spare the limit grows, while it has none
the limit shrinks (more requests at once would only make each of them dearer), and while it is late it shrinks the more
the later it is. And while it is late at this very moment nobody is let in beyond the floor: a
crowd that comes all at once would be inside before anything was learned. Waiting for slow subgraphs does not make the
loop late; that is what the bulkheads are for.
"""

from __future__ import annotations

import asyncio
import time

from router.errors import RequestError, RequestErrorCode

SAMPLE = 0.05
"""Seconds between two looks at the loop."""

SHRINK = 0.9
GROW = 8
"""The limit grows by so many, or by an eighth."""

COME_AGAIN = 1
"""Seconds after which somebody who was refused may try again."""


class AdaptiveLimit:
    """How many at once. A pure core: ``observed`` is told the loop's delay, in seconds, and how busy its thread is."""

    def __init__(self, most: int, least: int, lag: float, busy: float = 1.0) -> None:
        self._most = most
        self._busy = busy
        self.least = min(least, most)
        self.lag = lag
        self.value = most

    def observed(self, lag: float, running: int, busy: float = 0.0) -> None:
        """The loop was late by ``lag`` while so many requests ran, and worked for a share ``busy`` of the time."""
        if lag > self.lag or busy > self._busy:
            # What was allowed and not used has nothing to do with it.
            used = min(self.value, running)
            self.value = max(int(used * min(SHRINK, self.lag / max(lag, self.lag))), self.least)
        elif running * 2 >= self.value:
            self.value = min(self.value + max(GROW, self.value // 8), self._most)


class Admission:
    """Counts requests in and out: ``with admission:`` is a place, or RequestError (503) where there is none.

    It looks at the loop only while there are requests.
    """

    def __init__(self, most: int, least: int, lag: float, busy: float = 1.0) -> None:
        self.limit = AdaptiveLimit(most, least, lag, busy)
        self.running = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._worked = 0.0

    def __enter__(self) -> None:
        if self.running >= self.limit.value or (self.running >= self.limit.least and self._is_late()):
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
            self._look_later()

    def __exit__(self, *_: object) -> None:
        self.running -= 1

    def _is_late(self) -> bool:
        return self._timer is not None and time.monotonic() - self._due > self.limit.lag

    def _look_later(self) -> None:
        self._due, self._worked = time.monotonic() + SAMPLE, time.thread_time()
        self._timer = asyncio.get_running_loop().call_later(SAMPLE, self._look)

    def _look(self) -> None:
        lag = time.monotonic() - self._due
        self.limit.observed(lag, self.running, (time.thread_time() - self._worked) / (SAMPLE + lag))
        self._timer = None
        if self.running:
            self._look_later()
