"""Metrics of the router, by OpenTelemetry's names. Labels are bounded: no operation names, no client's text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


class Telemetry:
    """One application's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "http_server_request_duration_seconds",
            "Time to answer an HTTP request",
            ["http_response_status_code"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._fetches = Histogram(
            "router_subgraph_request_duration_seconds",
            "Time a subgraph took to answer",
            ["subgraph"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._failures = Counter(
            "router_subgraph_failures",
            "Requests to a subgraph that gave no usable answer",
            ["subgraph"],
            registry=self._registry,
        )
        self._by_status: dict[int, Histogram] = {}
        self._by_subgraph: dict[str, Histogram] = {}

    def request(self, status: int, seconds: float) -> None:
        """A request was answered."""
        child = self._by_status.get(status)
        if child is None:
            child = self._by_status[status] = self._requests.labels(str(status))
        child.observe(seconds)

    def fetch(self, subgraph: str, seconds: float, *, failed: bool) -> None:
        """A subgraph was asked. ``subgraph`` is a name from the supergraph."""
        child = self._by_subgraph.get(subgraph)
        if child is None:
            child = self._by_subgraph[subgraph] = self._fetches.labels(subgraph)
        child.observe(seconds)
        if failed:
            self._failures.labels(subgraph).inc()

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format, for an internal port."""
        return generate_latest(self._registry)
