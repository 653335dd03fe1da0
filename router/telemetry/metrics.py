"""Metrics of the router, by OpenTelemetry's names. Labels are bounded: no client's text becomes one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from router.errors import RequestErrorCode
from router.telemetry.tracing import Tracing
from router.telemetry.usage import OTHER, Usage

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


STATES = ("closed", "open", "half_open")


class Telemetry:
    """One application's metrics, in a registry of their own (or one that it shares), and its traces."""

    def __init__(self, registry: CollectorRegistry | None = None, tracer: Tracer | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self.tracing = Tracing(tracer)
        self.usage = Usage(self.registry)
        self.access_log_ratio = 0.0
        """The share of operations that get a line in the log."""
        self._names: frozenset[str] = frozenset()
        self._subgraphs: set[str] = set()
        self._requests = self._histogram(
            "http_server_request_duration_seconds", "Time to answer an HTTP request", "http_response_status_code"
        )
        self._operations = self._histogram(
            "graphql_server_operation_duration_seconds",
            "Time to answer an operation; of a stream, until it begins",
            "graphql_operation_name",
            "graphql_operation_type",
        )
        self._fetches = self._histogram(
            "router_subgraph_request_duration_seconds", "Time a subgraph took to answer", "subgraph"
        )
        self._planning = self._histogram("router_planning_duration_seconds", "Time to plan one operation")
        self._failures = self._counter(
            "router_subgraph_failures", "Requests to a subgraph that gave no usable answer", "subgraph"
        )
        self._errors = self._counter("router_errors", "Errors that the router put into answers", "code")
        self._lookups = self._counter("router_cache_lookups", "Looks into a cache", "cache", "outcome")
        self._entities = self._counter(
            "router_entity_cache_lookups", "Entities and root answers looked up", "subgraph", "type", "outcome"
        )
        self._entity_failures = self._counter(
            "router_entity_cache_failures", "Uses that the cache's store did not serve"
        )
        self._shared_failures = self._counter(
            "router_shared_store_failures", "Uses of the Redis that routers share which it did not serve", "use"
        )
        self._sizes = self._gauge("router_cache_entries", "Entries of a cache", "cache")
        self._breakers = self._gauge(
            "router_subgraph_breaker_state", "1 for the state a breaker is in", "subgraph", "state"
        )
        self._reloads = self._counter("router_reloads", "New supergraphs and settings", "outcome")
        self._settled = self._gauge("router_last_reload_accepted", "0 while something new is refused, else 1")
        self._settled.set(1)
        self._broken = self._gauge("router_persisted_operations_broken", "Published operations that cannot be run")
        self.sockets = self._gauge("router_websockets", "Open WebSockets")
        self._begin_at_zero()
        self._by_status: dict[int, Histogram] = {}
        self._by_subgraph: dict[str, Histogram] = {}
        self._by_operation: dict[tuple[str, str], Histogram] = {}
        self._by_lookup: dict[tuple[str, bool], Counter] = {}
        self._by_entity: dict[tuple[str, str, bool], Counter] = {}

    def logs_access(self) -> bool:
        """Whether this operation is one of those that get a line in the log."""
        return self.access_log_ratio > 0 and random.random() < self.access_log_ratio

    def know(self, names: Iterable[str]) -> None:
        """The operation names that may be labels from now on: those of persisted operations."""
        self._names = frozenset(names)

    def request(self, status: int, seconds: float) -> None:
        """A request was answered."""
        child = self._by_status.get(status)
        if child is None:
            child = self._by_status[status] = self._requests.labels(str(status))
        child.observe(seconds)

    def operation(self, name: str | None, kind: str, seconds: float) -> None:
        """An operation was answered. A name that nobody announced counts as another."""
        key = (name if name in self._names and name else OTHER, kind)
        child = self._by_operation.get(key)
        if child is None:
            child = self._by_operation[key] = self._operations.labels(*key)
        child.observe(seconds)

    def fetch(self, subgraph: str, seconds: float, *, failed: bool) -> None:
        """A subgraph was asked. ``subgraph`` is a name from the supergraph."""
        child = self._by_subgraph.get(subgraph)
        if child is None:
            child = self._by_subgraph[subgraph] = self._fetches.labels(subgraph)
        child.observe(seconds)
        if failed:
            self._failures.labels(subgraph).inc()

    def breaker(self, subgraph: str, state: str) -> None:
        """The breaker of a subgraph is in this state now: ``closed``, ``open`` or ``half_open``."""
        for each in STATES:
            self._breakers.labels(subgraph, each).set(each == state)

    def breakers(self, states: Mapping[str, str]) -> None:
        """These are the subgraphs from now on, and the states of their breakers; of others nothing is shown."""
        for gone in self._subgraphs - states.keys():
            for state in STATES:
                self._breakers.remove(gone, state)
        self._subgraphs = set(states)
        for subgraph, state in states.items():
            self._failures.labels(subgraph)
            self.breaker(subgraph, state)

    def planned(self, seconds: float) -> None:
        """An operation was planned, or could not be."""
        self._planning.observe(seconds)

    def error(self, code: str) -> None:
        """The router put an error of its own into an answer."""
        self._errors.labels(code).inc()

    def lookup(self, cache: str, *, hit: bool) -> None:
        """A cache was asked."""
        child = self._by_lookup.get((cache, hit))
        if child is None:
            child = self._by_lookup[cache, hit] = self._lookups.labels(cache, "hit" if hit else "miss")
        child.inc()

    def cached(self, subgraph: str, type_name: str, *, hit: bool, number: int) -> None:
        """Entities, or a root answer, of a subgraph were looked up in the entity cache. Both names are the schema's."""
        key = (subgraph, type_name, hit)
        child = self._by_entity.get(key)
        if child is None:
            child = self._by_entity[key] = self._entities.labels(subgraph, type_name, "hit" if hit else "miss")
        child.inc(number)

    def cache_down(self) -> None:
        """The entity cache's store did not serve; the subgraphs do."""
        self._entity_failures.inc()

    def shared_failed(self, use: str) -> None:
        """The store that routers share did not serve; each is on its own for a while."""
        self._shared_failures.labels(use).inc()

    def cache_size(self, cache: str, entries: Callable[[], int]) -> None:
        """A cache's size is asked for whenever metrics are read."""
        self._sizes.labels(cache).set_function(entries)

    def reloaded(self, *, accepted: bool) -> None:
        """There was a new supergraph, or there were new settings."""
        self._reloads.labels("accepted" if accepted else "refused").inc()
        self._settled.set(accepted)

    def settled(self) -> None:
        """What was refused is not wanted any more."""
        self._settled.set(1)

    def broken(self, count: int) -> None:
        """So many published operations cannot be run."""
        self._broken.set(count)

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format, for an internal port."""
        return generate_latest(self.registry)

    def _begin_at_zero(self) -> None:
        """What can be counted is shown before it first happens: a rate sees the first one too."""
        for use in ("rate_limits", "persisted"):
            self._shared_failures.labels(use)
        self._requests.labels("500")
        for outcome in ("accepted", "refused"):
            self._reloads.labels(outcome)
        for code in RequestErrorCode:
            self._errors.labels(code.value)

    def _histogram(self, name: str, meaning: str, *labels: str) -> Histogram:
        return Histogram(name, meaning, labels, buckets=BUCKETS, registry=self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry)
