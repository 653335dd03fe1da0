"""Calls that are cut off at their limit: like ``asyncio.timeout``, at a fraction of its cost.

There is one timer for all calls. It is set to the earliest limit, and when it rings it is set anew: nearly all calls
have ended by then, and have cost no more than being added to a set and taken out.
"""

from __future__ import annotations

import asyncio
import time
from math import inf
from types import TracebackType


class Cutoff:
    """Cuts calls off. Limits are on ``time.monotonic()``'s clock."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self._rings = inf
        self._timer: asyncio.TimerHandle | None = None

    def at(self, limit: float) -> Call:
        """A block, in a task, that is cancelled at ``limit`` and then raises TimeoutError."""
        return Call(self, limit)

    def add(self, call: Call) -> None:
        self._calls.add(call)
        if call.limit < self._rings:
            self._ring(call.limit)

    def discard(self, call: Call) -> None:
        self._calls.discard(call)

    def _ring(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = at
        self._timer = asyncio.get_running_loop().call_later(at - time.monotonic(), self._look)

    def _look(self) -> None:
        now = time.monotonic()
        for call in self._calls:
            if call.limit <= now:
                call.cut_off()
        self._timer, self._rings = None, inf
        following = min((call.limit for call in self._calls if not call.late), default=None)
        if following is not None:
            self._ring(following)


class Call:
    """One use of ``with``."""

    __slots__ = ("_cancelling", "_cutoff", "_task", "late", "limit")

    def __init__(self, cutoff: Cutoff, limit: float) -> None:
        self.limit = limit
        self.late = False
        self._cutoff = cutoff

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "there is nothing to cancel outside of a task"
        self._task = task
        self._cancelling = task.cancelling()
        self._cutoff.add(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._cutoff.discard(self)
        # Somebody else may have cancelled the task too: then it stays cancelled.
        if self.late and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def cut_off(self) -> None:
        """Cancel the task, once."""
        if not self.late:
            self.late = True
            self._task.cancel()
