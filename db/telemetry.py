"""What a process tells of its transactions and events: the trace they belong to, spans, meters.

A trace travels as one string, W3C's ``traceparent``. It costs one context variable; spans and meters exist where
the process installed them (``install``), and are skipped elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

HEADER = "traceparent"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something happens: a ``traceparent``, and better known ones by the subject they are about."""

    traceparent: str
    by_subject: Mapping[str, str] | None = None

    def of(self, subject: str) -> str:
        """The ``traceparent`` to keep with something about ``subject``."""
        return self.by_subject.get(subject, self.traceparent) if self.by_subject else self.traceparent


class Meters:
    """The instruments, in the process's registry. Labels are names from code: databases, queues, event types."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, meaning: str, *labels: str) -> Histogram:
            return Histogram(name, meaning, labels, buckets=BUCKETS, registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(name, meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry)

        self.transactions = histogram("db_client_operation_duration_seconds", "Transactions", "db_namespace", "outcome")
        self.pool = gauge("db_client_connection_count", "Connections of a pool in use", "db_namespace")
        self.published = counter(
            "messaging_client_published_messages", "Events that a broker took", "messaging_message_type"
        )
        self.refused = counter(
            "messaging_client_refused_messages", "Events that a broker did not take", "messaging_message_type"
        )
        self.handled = histogram(
            "messaging_process_duration_seconds",
            "Handling the events of a message, commit included",
            "messaging_destination_name",
            "messaging_message_type",
        )
        self.consumed = counter(
            "messaging_client_consumed_messages",
            "Events handled",
            "messaging_destination_name",
            "messaging_message_type",
        )
        self.failed = counter(
            "messaging_client_failed_messages",
            "Failed attempts to handle events",
            "messaging_destination_name",
            "messaging_message_type",
        )
        self.backlog = gauge("dure_outbox_events", "Events in the outbox that are not published", "subgraph")
        self.oldest = gauge("dure_outbox_oldest_age_seconds", "Age of the oldest of them", "subgraph")
        self.dead = gauge("dure_dead_letters", "Events that could not be handled", "subgraph")
        self.stuck = gauge("dure_sagas_stuck", "Orders that have been on their way for over a quarter of an hour")
        self.workers = gauge("dure_worker_up", "Whether a background loop runs", "worker")
        self.restarts = counter("dure_worker_restarts", "Background loops that ended by an error", "worker")
        self.lag = gauge("dure_event_loop_lag_seconds", "How late the event loop last was")


_meters: Meters | None = None
_tracer: Tracer | None = None
_cause: ContextVar[Cause | None] = ContextVar("cause", default=None)


def install(meters: Meters | None, tracer: Tracer | None) -> None:
    """For this process, from now on. None: nothing is counted, or recorded."""
    global _meters, _tracer
    _meters, _tracer = meters, tracer


def meters() -> Meters | None:
    """The process's instruments, if it has any."""
    return _meters


def cause() -> Cause | None:
    """Why the present work is done, where that is known."""
    return _cause.get()


@contextmanager
def span(
    name: str,
    traceparent: str | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, str | int] | None = None,
) -> Iterator[None]:
    """Work caused by ``traceparent``, or else by what caused the work around it. Without either: no span."""
    around = _cause.get()
    parent = traceparent or (around.traceparent if around else None)
    if parent is None or (_tracer is None and traceparent is None):
        yield
        return
    made = None if _tracer is None else _tracer.start_span(name, remote(parent), kind, attributes)
    kept = Cause(parent if made is None else traceparent_of(made), around.by_subject if around else None)
    token = _cause.set(kept)
    try:
        yield
    except BaseException as error:
        if made is not None:
            made.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        _cause.reset(token)
        if made is not None:
            made.end()


@contextmanager
def caused_by(
    name: str, events: Sequence[tuple[str, str | None]], kind: SpanKind, attributes: Mapping[str, str | int]
) -> Iterator[None]:
    """Work on several events (subject and ``traceparent`` of each) at once: a span in every trace.

    What is recorded inside about one of the subjects belongs to that event's trace, anything else to the first's.
    """
    known = [(subject, parent) for subject, parent in events if parent]
    if not known:
        token = _cause.set(None)
        try:
            yield
        finally:
            _cause.reset(token)
        return
    spans = _spans(name, known, kind, attributes)
    by_subject = {
        subject: traceparent_of(made) if made else parent for (subject, parent), made in zip(known, spans, strict=True)
    }
    token = _cause.set(Cause(by_subject[known[0][0]], by_subject if len(by_subject) > 1 else None))
    try:
        yield
    except BaseException as error:
        for made in filter(None, spans):
            made.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        _cause.reset(token)
        for made in filter(None, spans):
            made.end()


def _spans(
    name: str, known: Sequence[tuple[str, str]], kind: SpanKind, attributes: Mapping[str, str | int]
) -> list[Span | None]:
    if _tracer is None:
        return [None] * len(known)
    first = _context(known[0][1])
    links = [Link(first)] if first is not None and len(known) > 1 else []
    return [
        _tracer.start_span(name, remote(parent), kind, attributes, links=links if index else None)
        for index, (_, parent) in enumerate(known)
    ]


def _context(traceparent: str) -> SpanContext | None:
    try:
        _, trace_id, span_id, flags = traceparent.split("-")[:4]
        return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    except ValueError:
        return None


def remote(traceparent: str) -> Context:
    """The OpenTelemetry context for children of ``traceparent``; an empty one when it is malformed."""
    parent = _context(traceparent)
    return Context() if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), Context())


def traceparent_of(span: Span) -> str:
    """The string for children of ``span``."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def begin(pick: Callable[[Meters], Counter], *labels: str) -> None:
    """Show a counter before it first counts, so that a rate sees the first time too."""
    if _meters is not None:
        pick(_meters).labels(*labels)


def count(pick: Callable[[Meters], Counter], amount: int, *labels: str) -> None:
    """Add to a counter, where the process has instruments."""
    if _meters is not None and amount:
        pick(_meters).labels(*labels).inc(amount)
