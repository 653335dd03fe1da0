"""One operation as its operators see it: a measurement, a line in the log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from router.telemetry.metrics import Telemetry

log = structlog.get_logger("router.access")


@dataclass(slots=True)
class Seen:
    """What is known of an operation so far. ``name`` is the client's text: for logs, never for labels."""

    name: str | None
    kind: str = "unknown"
    code: str | None = None

    def refused(self, code: str) -> None:
        """The request was refused, with this code."""
        self.code = code


@contextmanager
def observed(telemetry: Telemetry | None, name: str | None, trace_id: str) -> Iterator[Seen]:
    """Measure and log what happens inside: answering one operation (of a stream, until it begins)."""
    seen = Seen(name)
    started = time.perf_counter()
    try:
        yield seen
    except BaseException as error:
        seen.code = type(error).__name__
        raise
    finally:
        elapsed = time.perf_counter() - started
        if telemetry is not None:
            telemetry.operation(seen.name, seen.kind, elapsed)
            if seen.code is not None:
                telemetry.error(seen.code)
            if telemetry.logs_access():
                log.info(
                    "operation",
                    operation=seen.name,
                    kind=seen.kind,
                    status=seen.code or "answered",
                    seconds=round(elapsed, 6),
                    trace_id=trace_id,
                )
