"""Where traces go: OTLP over HTTP, in batches, from a thread of its own."""

from __future__ import annotations

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased


def provider(service: str, ratio: float, processor: SpanProcessor) -> TracerProvider:
    """Records ``ratio`` of the traces that begin here, and of others those that their callers record."""
    made = TracerProvider(ParentBased(TraceIdRatioBased(ratio)), Resource.create({"service.name": service}))
    made.add_span_processor(processor)
    return made


def exporting(service: str, ratio: float, endpoint: str | None) -> TracerProvider | None:
    """Sends spans to an OTLP collector's URL; None without one. ``shutdown`` sends what is left."""
    if endpoint is None:
        return None
    # Loading them takes a while, and most processes send no traces.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return provider(service, ratio, BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5)))
