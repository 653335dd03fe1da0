"""What the router tells its operators: metrics, traces, logs. Nothing here knows what a graph is."""

from __future__ import annotations

from router.telemetry.metrics import Telemetry

__all__ = ["Telemetry"]
