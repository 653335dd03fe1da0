"""The log: lines on standard error, with their trace, and without what belongs to people.

Masking is the last line of defence, not the first: code does not log people's data. What gets into a line all the
same, in the text of an exception for example, is masked by its name or by its look.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from router.telemetry import tracing

MASK = "***"

SECRET_NAMES = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|authori[sz]ation|cookie|api[_-]?key|card|cvc|e?mail|phone|recipient"
    r"|address(_?line)?|birth|(^|_)(real|full|holder|user|customer|person)_?name$",
    re.IGNORECASE,
)

_LOOKS = (
    re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),  # e-mail addresses
    re.compile(r"\b(?:Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE),
    re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"),  # JSON Web Tokens
    re.compile(r"(?<!\d)(?:\d[ -]?){13,19}(?!\d)(?<![ -])"),  # card numbers
    re.compile(r"(?<![\d-])(?:\+82[ -]?|0)1[016789][ -]?\d{3,4}[ -]?\d{4}(?!\d)"),  # Korean mobile phones
    re.compile(r"(?i)(?<=[\"'])(password|token|secret|phone|email|recipient)([\"']\s*:\s*[\"'])[^\"']*"),
)

Event = MutableMapping[str, Any]


def masked(text: str) -> str:
    """The text without addresses, tokens, card and phone numbers."""
    for look in _LOOKS[:-1]:
        text = look.sub(MASK, text)
    return _LOOKS[-1].sub(rf"\1\2{MASK}", text)


def clean(value: Any, name: str = "") -> Any:
    """A value fit for the log: masked by the name it goes under, or by its look, at any depth."""
    if name and SECRET_NAMES.search(name):
        return MASK
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: clean(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else masked(str(value))


def mask(_logger: Any, _method: str, event: Event) -> Event:
    """The processor that all lines go through, when exceptions are text already."""
    return {name: clean(value, name) for name, value in event.items()}


def add_trace(_logger: Any, _method: str, event: Event) -> Event:
    """The trace that a line belongs to, if it has one."""
    trace_id = tracing.trace_id_of(tracing.current())
    if trace_id is not None:
        event.setdefault("trace_id", trace_id)
    return event


def configure(level: str, form: str, stream: TextIO | None = None, *more: Any) -> None:
    """Log to standard error, structlog's lines and the standard library's alike. ``more``: further processors."""
    out = stream or sys.stderr
    console = form == "console" or (form == "auto" and out.isatty())
    shared: list[Any] = [
        *more,
        add_trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, mask, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
