"""Who uses what: published operations by client, and what of the graph is deprecated.

It answers "may this go?". Labels are names of settings, manifests and the schema: no client's text becomes one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter

OTHER = "other"
"""Stands for all operations that nobody has published."""


@dataclass(slots=True)
class Uses:
    """How often, and when last (Unix time)."""

    count: int = 0
    last: float = 0.0

    def add(self) -> None:
        self.count += 1
        self.last = time.time()

    def report(self) -> dict[str, Any]:
        last = datetime.fromtimestamp(self.last, UTC).isoformat(timespec="seconds") if self.count else None
        return {"count": self.count, "last": last}


class Usage:
    """Counts since the process began; the metrics are for what lives longer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._since = time.time()
        self._operations: dict[tuple[str, str], tuple[Uses, Any]] = {}
        self._deprecated: dict[tuple[str, str, str], tuple[Uses, Any]] = {}
        self._operation_counter = Counter(
            "router_operation_uses", "Operations that were run", ("client", "operation"), registry=registry
        )
        self._deprecated_counter = Counter(
            "router_deprecated_uses",
            "Operations that were run with a deprecated field, argument, input field or enum value",
            ("coordinate", "client", "operation"),
            registry=registry,
        )

    def used(self, client: str, operation: str | None, deprecated: Iterable[str]) -> None:
        """An operation was run: by its name, if it is published. ``deprecated`` are schema coordinates."""
        name = operation or OTHER
        found = self._operations.get((client, name))
        if found is None:
            found = self._operations[client, name] = Uses(), self._operation_counter.labels(client, name)
        found[0].add()
        found[1].inc()
        for coordinate in deprecated:
            self._used(coordinate, client, name)

    def report(self, published: Mapping[str, Iterable[str]]) -> dict[str, Any]:
        """Everything, the unused ones of the ``published`` operations (by client) too."""
        unused = {(client, name): Uses() for client, names in published.items() for name in names}
        counted = unused | {key: uses for key, (uses, _) in self._operations.items()}
        return {
            "since": datetime.fromtimestamp(self._since, UTC).isoformat(timespec="seconds"),
            "operations": [
                {"client": client, "operation": name, **uses.report()}
                for (client, name), uses in sorted(counted.items())
            ],
            "deprecated": [
                {"coordinate": coordinate, "client": client, "operation": name, **uses.report()}
                for (coordinate, client, name), (uses, _) in sorted(self._deprecated.items(), key=lambda one: one[0])
            ],
        }

    def _used(self, coordinate: str, client: str, name: str) -> None:
        key = (coordinate, client, name)
        found = self._deprecated.get(key)
        if found is None:
            found = self._deprecated[key] = Uses(), self._deprecated_counter.labels(*key)
        found[0].add()
        found[1].inc()


def lines(report: Mapping[str, Any]) -> list[str]:
    """A report for people to read."""
    made = [f"since {report['since']}", "", f"{'uses':>9}  {'last':25}  {'client':16}  operation"]
    made += [
        f"{one['count']:9}  {one['last'] or 'never':25}  {one['client']:16}  {one['operation']}"
        for one in report["operations"]
    ]
    if report["deprecated"]:
        made += ["", f"{'uses':>9}  {'last':25}  {'client':16}  deprecated, in operation"]
        made += [
            f"{one['count']:9}  {one['last']:25}  {one['client']:16}  {one['coordinate']}, in {one['operation']}"
            for one in report["deprecated"]
        ]
    return made
