"""Traces: W3C Trace Context on every request, OpenTelemetry spans when somebody collects them.

The context is one string, the ``traceparent`` header. Without a tracer nothing is recorded and the string is only
handed on, so a trace id for errors and logs costs less than a microsecond.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

HEADER = "traceparent"
_HEX = frozenset("0123456789abcdef")
_current: ContextVar[str | None] = ContextVar("router_traceparent", default=None)


def current() -> str | None:
    """The ``traceparent`` of the request being served, for logs."""
    return _current.get()


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace id of a header's value, None without a well-formed one (W3C Trace Context, 3.2)."""
    parts = (traceparent or "").split("-")
    if len(parts) < 4 or (parts[0] == "00" and len(parts) > 4) or parts[0] == "ff":
        return None
    if [len(part) for part in parts[:4]] != [2, 32, 16, 2] or not all(_HEX.issuperset(part) for part in parts[:4]):
        return None
    return parts[1] if parts[1].strip("0") and parts[2].strip("0") else None


def new_traceparent() -> str:
    """A trace that begins here, and that nobody records."""
    return f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-00"


def ensure_trace(headers: dict[str, str]) -> str:
    """Put a ``traceparent`` where there is none or a malformed one; the trace id."""
    found = trace_id_of(headers.get(HEADER))
    if found is None:
        headers[HEADER] = new_traceparent()
        headers.pop("tracestate", None)
        found = headers[HEADER][3:35]
    return found


class Tracing:
    """Spans of the router. ``tracer`` None: nothing is recorded."""

    def __init__(self, tracer: Tracer | None) -> None:
        self.tracer = tracer

    @contextmanager
    def serving(self, headers: dict[str, str], name: str = "graphql") -> Iterator[Span | None]:
        """A request. ``headers`` get the ``traceparent`` that goes to subgraphs."""
        span: Span | None = None
        if self.tracer is None:
            ensure_trace(headers)
        else:
            parent = remote(headers.get(HEADER))
            span = self.tracer.start_span(name, parent, SpanKind.SERVER)
            headers[HEADER] = traceparent_of(span)
        token = _current.set(headers[HEADER])
        try:
            yield span
        except BaseException as error:
            _failed(span, error)
            raise
        finally:
            _current.reset(token)
            if span is not None:
                span.end()

    def fetching(self, subgraph: str, kind: str, headers: dict[str, str]) -> tuple[Span | None, dict[str, str]]:
        """A request to a subgraph: its span, to be ended, and the headers to send."""
        if self.tracer is None:
            return None, headers
        attributes = {"graphql.operation.type": kind, "server.address": subgraph}
        span = self.tracer.start_span(f"fetch {subgraph}", remote(headers.get(HEADER)), SpanKind.CLIENT, attributes)
        return span, {**headers, HEADER: traceparent_of(span)}

    @contextmanager
    def event(self, subgraph: str, headers: dict[str, str]) -> Iterator[dict[str, str]]:
        """One event of a subscription: the headers to fetch what it needs with."""
        if self.tracer is None:
            yield headers
            return
        span = self.tracer.start_span(f"event {subgraph}", remote(headers.get(HEADER)), SpanKind.CONSUMER)
        try:
            yield {**headers, HEADER: traceparent_of(span)}
        except BaseException as error:
            _failed(span, error)
            raise
        finally:
            span.end()


def remote(traceparent: str | None) -> Context:
    """The context to start a span in: a child of ``traceparent``, or a root. Never what OpenTelemetry has around."""
    if trace_id_of(traceparent) is None or traceparent is None:
        return Context()
    _, trace_id, span_id, flags = traceparent.split("-")[:4]
    parent = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


def traceparent_of(span: Span) -> str:
    """The header's value for children of ``span``."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def end(span: Span | None, *, failed: bool) -> None:
    """End a span that may not be there."""
    if span is not None:
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end()


def answered(span: Span | None, status: int) -> None:
    """The HTTP status that a request was answered with: a refusal is no failure of the server's."""
    if span is not None:
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))


def _failed(span: Span | None, error: BaseException) -> None:
    if span is not None:
        # Only the kind: messages of exceptions can hold what clients sent.
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
