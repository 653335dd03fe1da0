"""The state of one execution: the data gathered so far and what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from router.executor.completion import Error
from router.executor.entity_cache.compiled import KeptFetch
from router.executor.entity_cache.session import CacheSession
from router.executor.failures import MAX_ERRORS
from router.executor.paths import Object, View
from router.executor.transport import Transport
from router.telemetry import Telemetry

Step = Callable[["Run"], Awaitable[None]]
"""A compiled piece of a plan."""


@dataclass(slots=True)
class ExecutionContext:
    """What a request brings along. ``headers`` go to every subgraph, names in lower case.

    ``timeout`` bounds the fetches of an answer, or of one event of a subscription, in seconds from its beginning;
    ``deferred_timeout`` those of its deferred parts, also from its beginning.
    ``report`` makes the answer's ``extensions`` from the requests that were sent; it is for development.
    """

    headers: dict[str, str] = field(default_factory=dict)
    trace_id: str | None = None
    error_details: bool = False
    max_representations: int = 1000
    report: Callable[[list[Sent]], dict[str, Any]] | None = None
    telemetry: Telemetry | None = None
    timeout: float | None = None
    deferred_timeout: float | None = None
    cache: CacheSession | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """One request that went to a subgraph."""

    fetch: int
    subgraph: str
    milliseconds: float
    representations: int


@dataclass(slots=True)
class Run:
    """One execution of a plan, or of one event of a subscription."""

    data: Object
    views: tuple[View, ...]
    variables: Mapping[str, Any]
    transports: Mapping[str, Transport]
    context: ExecutionContext
    errors: list[Error] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    done: dict[int, asyncio.Event] = field(default_factory=dict)
    """By fetch: set when its answer has been merged. Only fetches that a deferred part waits for are here."""
    kept: Mapping[int, KeptFetch] = field(default_factory=dict)
    """By fetch: what of it may come from the cache."""
    deadline: float | None = None
    """When its fetches are no longer waited for, on ``time.monotonic()``'s clock."""

    def add_error(self, error: Error) -> None:
        """Report an error, up to the limit of one answer."""
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(error)

    def aside(self, deadline: float | None) -> Run:
        """The same data, with errors and a deadline of its own: for a deferred part."""
        return replace(self, errors=[], deadline=deadline)
