"""A circuit breaker: a subgraph that mostly fails is left alone for a while, then tried with a few calls.

A pure core: the clock is given with every call, in seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from math import ceil

SLICES = 10
"""The window slides in this many steps."""


class State(StrEnum):
    """What the breaker does with calls: lets them through, refuses them, lets a few through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Outcome(Enum):
    """How a call ended. ``ABANDONED``: the caller left, which says nothing about the subgraph."""

    SUCCESS = 0
    FAILURE = 1
    ABANDONED = 2


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """Opens when ``ratio`` of at least ``calls`` calls in ``window`` seconds failed; for ``open_for`` seconds.

    Then ``probes`` calls in a row must succeed to close it; one that fails opens it again.
    """

    ratio: float = 0.5
    calls: int = 20
    window: float = 10.0
    open_for: float = 5.0
    probes: int = 3


class Breaker:
    """The state of one subgraph. Every ``enter`` that gave a ticket needs one ``leave``."""

    def __init__(self, limits: BreakerLimits, changed: Callable[[State], None] | None = None) -> None:
        self._limits = limits
        self._changed = changed
        self._slice = limits.window / SLICES
        self._counts: list[list[int]] = []
        """Of each slice of time: its number, calls, failures."""
        self._opened = 0.0
        self._probing = 0
        self._passed = 0
        self._ticket = 0
        self.state = State.CLOSED

    def enter(self, now: float) -> int | None:
        """A ticket for a call; None if it must not be made now."""
        if self.state is State.CLOSED:
            return self._ticket
        if self.state is State.OPEN:
            if now < self._opened + self._limits.open_for:
                return None
            self._become(State.HALF_OPEN)
        if self._probing + self._passed >= self._limits.probes:
            return None
        self._probing += 1
        return self._ticket

    def leave(self, ticket: int, now: float, outcome: Outcome) -> None:
        """A call has ended. Calls of an earlier state are too old to tell anything."""
        if ticket != self._ticket:
            return
        if self.state is State.CLOSED:
            if outcome is not Outcome.ABANDONED:
                self._count(now, outcome is Outcome.FAILURE)
            return
        self._probing -= 1
        if outcome is Outcome.FAILURE:
            self._open(now)
        elif outcome is Outcome.SUCCESS:
            self._passed += 1
            if self._passed >= self._limits.probes:
                self._become(State.CLOSED)

    def wait(self, now: float) -> float:
        """Seconds until a call may be let through."""
        return max(self._opened + self._limits.open_for - now, 0.0) if self.state is State.OPEN else 0.0

    def _count(self, now: float, failed: bool) -> None:
        number = int(now / self._slice)
        counts = self._counts
        if not counts or counts[-1][0] != number:
            counts.append([number, 0, 0])
            while counts[0][0] <= number - SLICES:
                counts.pop(0)
        counts[-1][1] += 1
        if not failed:
            return
        counts[-1][2] += 1
        calls = sum(count[1] for count in counts)
        failures = sum(count[2] for count in counts)
        if calls >= self._limits.calls and failures >= ceil(calls * self._limits.ratio):
            self._open(now)

    def _open(self, now: float) -> None:
        self._opened = now
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        self._ticket += 1
        self._probing = self._passed = 0
        self._counts.clear()
        if self._changed is not None:
            self._changed(state)
