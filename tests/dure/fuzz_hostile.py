"""Values that break what is not careful, and what counts as broken."""

from __future__ import annotations

from typing import Any

import orjson

CALLERS_FAULT = frozenset({
    "BAD_REQUEST", "BAD_USER_INPUT", "COST_ESTIMATED_TOO_EXPENSIVE", "FORBIDDEN", "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED", "LIMIT_EXCEEDED", "UNAUTHENTICATED",
})  # fmt: skip
"""Codes that blame the request. Any other means that the shop or the router failed."""

UNFIT = ("cannot represent", "Cannot return null", "Expected ")
LARGE = 2**31 - 1
TEXTS = (
    "", " ", "a" * 256, "가" * 300, "x" * 5_000, "\x00", "a\x00b", "\u202e", "🛒", "\ufeff", "%", "_%\\", "'", "\n",
    "1 OR 1=1", "a@b.example", "\x00@b.example", "ａ@b.example", f"{'a' * 300}@b.example", "010-1234-5678", "\x1f", "İ",
    "+82 10 1234 5678", "06236", "1", "-1", "[]", "{}", "null", "https://store.example/x", "javascript:alert(1)", "ß",
    "http://[::1", "٣٤٥", "²", "KR", "88", "CJ", '"', '"a', "+", "+-a", "(", "a* -*", "@~<>", ":*", "a & | !",
    "\\", "trailing ",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "1", "-1", "0.1", "0.005", "1e-400", "1E+999999", "-1E+999999", "1e15", "1e16", "1e27", "1e28", "1e308",
    "NaN", "sNaN", "-NaN", "Infinity", "-Infinity", "1_000", " 1", "٣", "", "12000", "9" * 40, "0." + "9" * 40, "0x1",
)  # fmt: skip
DATES = (
    "0001-01-01", "9999-12-31", "2026-02-29", "2024-02-29", "2026-1-1", "20261121", "2026-W47-6", "10000-01-01",
    "0000-01-01", "", "x", "2026-11-21T00:00:00Z", "1900-01-01", "2199-12-31", "２026-11-21",
)  # fmt: skip
TIMES = (
    "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-14:00", "9999-12-31T23:59:59Z",
    "2026-11-21T12:00:00", "2026-11-21T12:00:00Z", "2026-11-21T12:00:00+09:00", "2026-11-21", "2026-06-30T23:59:60Z",
    "2026-11-21T24:00:00Z", "2026-11-21T12:00:00+23:59", "2026-11-21T12:00:00+24:00", "20261121T120000Z", "", "x",
    "2026-11-21T12:00:00.1234567890Z", "1969-12-31T23:59:59Z", "2099-01-01T00:00:00Z",
)  # fmt: skip


def server_error(status: int, media_type: Any, body: bytes) -> str | None:
    """Why an answer is the server's fault, None if it is not."""
    if status >= 500:
        return f"HTTP status {status}"
    if "json" not in str(media_type):
        return f"media type {media_type}"
    try:
        answer = orjson.loads(body)
    except ValueError:
        return "not JSON"
    if not isinstance(answer, dict) or not answer.keys() & {"data", "errors"}:
        return "no GraphQL answer"
    return next((f"error {error}" for error in answer.get("errors", ()) if not _callers_fault(error)), None)


def _callers_fault(error: Any) -> bool:
    if not error.get("message") or error.get("extensions", {}).get("code") not in CALLERS_FAULT:
        return False
    # What cannot be put into an answer is no fault of who asked, whatever the code says.
    return "path" not in error or not any(bad in error["message"] for bad in UNFIT)
