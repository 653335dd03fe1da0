"""Trace contexts, measurements and the mask of the log."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from router.telemetry import Telemetry, logs
from router.telemetry.export import provider
from router.telemetry.tracing import Tracing, ensure_trace, trace_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-00f067aa0ba902b7",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        PARENT + "-more",
    ],
)
def test_a_malformed_context_is_replaced(header: str) -> None:
    headers = {"traceparent": header, "tracestate": "a=b"}
    assert trace_id_of(header) is None
    assert ensure_trace(headers) == trace_id_of(headers["traceparent"])
    assert "tracestate" not in headers


def test_a_context_is_kept() -> None:
    headers = {"traceparent": PARENT}
    assert ensure_trace(headers) == TRACE
    assert headers == {"traceparent": PARENT}


def test_fetches_hang_below_their_request_and_nothing_is_recorded_without_a_tracer() -> None:
    memory = InMemorySpanExporter()
    tracing = Tracing(provider("test", 1.0, SimpleSpanProcessor(memory)).get_tracer("test"))
    headers = {"traceparent": PARENT}
    with tracing.serving(headers):
        span, sent = tracing.fetching("orders", "query", headers)
        assert span is not None
        span.end()
    fetch, request = memory.get_finished_spans()
    assert fetch.parent is not None
    assert request.context is not None
    assert fetch.parent.span_id == request.context.span_id
    assert trace_id_of(sent["traceparent"]) == TRACE
    quiet = {"traceparent": PARENT}
    with Tracing(None).serving(quiet):
        assert Tracing(None).fetching("orders", "query", quiet) == (None, quiet)
    assert quiet == {"traceparent": PARENT}


def test_what_the_caller_does_not_record_is_not_recorded() -> None:
    memory = InMemorySpanExporter()
    tracing = Tracing(provider("test", 1.0, SimpleSpanProcessor(memory)).get_tracer("test"))
    with tracing.serving({"traceparent": PARENT[:-2] + "00"}):
        pass
    assert memory.get_finished_spans() == ()


def test_operation_names_are_labels_only_if_they_were_announced() -> None:
    telemetry = Telemetry()
    telemetry.know(["Known"])
    for name in ("Known", "Chosen by a client", None):
        telemetry.operation(name, "query", 0.01)
    text = telemetry.exposition().decode()
    assert 'graphql_operation_name="Known"' in text
    assert 'graphql_operation_name="other",graphql_operation_type="query"} 2.0' in text
    assert "Chosen" not in text


def test_the_log_is_masked_and_only_what_must_be() -> None:
    root = logging.getLogger()
    before, level, kept = root.handlers[:], root.level, structlog.get_config()
    out = io.StringIO()
    try:
        logs.configure("info", "json", out)
        personal = "kim@people.example 010-1234-5678 4330123412341234 Bearer abc.def eyJhbGciOi.eyJzdWIi.c2ln"
        try:
            raise ValueError(personal)
        except ValueError:
            logging.getLogger("test").exception("it failed for %s", "kim@people.example")
        structlog.get_logger("test").info(
            "said", password="hunter2", inner={"Authorization": "x1"}, operation="Op", n=3
        )
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.configure(**kept)
    for word in (*personal.split(), "hunter2", "x1"):
        assert word == "Bearer" or word not in out.getvalue()
    last = json.loads(out.getvalue().splitlines()[-1])
    assert (last["operation"], last["n"], last["event"]) == ("Op", 3, "said")
