"""When a failed request to a subgraph is sent again: rarely, later, and never so often that it makes things worse.

Libraries for retries bound attempts and waits of one call. What protects a subgraph in trouble is a budget over all
calls, and what protects the client is the fetch's own deadline; with both there is nothing left for a library to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """At most ``attempts`` retries of a request, of all requests at most the share ``budget``; waits in seconds."""

    attempts: int = 2
    budget: float = 0.1
    shortest: float = 0.05
    longest: float = 0.5


BURST = 10.0
"""Retries that may be saved up: so many can follow one another before requests must earn them again."""


class RetryBudget:
    """A token bucket: each request puts a share of a token in, each retry takes one out."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._tokens = BURST if share else 0.0

    def earn(self) -> None:
        """A request was made."""
        tokens = self._tokens + self._share
        self._tokens = tokens if tokens < BURST else BURST

    def spend(self) -> bool:
        """Take a token for a retry, if there is one."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def pause(limits: RetryLimits, retry: int, draw: Callable[[], float], asked: float | None) -> float:
    """Seconds before retry number ``retry`` (from 0): jitter over a span that doubles, or longer if the subgraph asked.

    ``draw`` gives a number from 0 to 1.
    """
    span = min(limits.shortest * 2.0 ** (retry + 1), limits.longest) - limits.shortest
    drawn = limits.shortest + draw() * max(span, 0.0)
    return max(drawn, asked or 0.0)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a ``Retry-After`` header (RFC 9110, 10.2.3), a number or a date; None without a well-formed one."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0)
