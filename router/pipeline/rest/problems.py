"""Problem documents (RFC 9457): the one form of every refusal over REST."""

from __future__ import annotations

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"

STATUS_OF_CODE = {
    "BAD_REQUEST": 400,
    "BAD_USER_INPUT": 400,
    "LIMIT_EXCEEDED": 400,
    "COST_ESTIMATED_TOO_EXPENSIVE": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "RATE_LIMITED": 429,
    "SUBGRAPH_HTTP_ERROR": 502,
    "SUBGRAPH_MALFORMED_RESPONSE": 502,
    "INVALID_SUBGRAPH_VALUE": 502,
    "SUBGRAPH_ERROR": 502,
    "SUBGRAPH_UNREACHABLE": 503,
    "SUBGRAPH_UNAVAILABLE": 503,
    "SUBGRAPH_OVERLOADED": 503,
    "SERVICE_UNAVAILABLE": 503,
    "OVERLOADED": 503,
    "SUBGRAPH_TIMEOUT": 504,
    "REQUEST_TIMEOUT": 504,
}
"""The HTTP status of top-level errors; what is not here is a fault of ours."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "For programs."},
        "traceId": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "Every reason, with its place in the request where it has one.",
            "items": {
                "type": "object",
                "properties": {
                    "detail": {"type": "string"},
                    "code": {"type": "string"},
                    "in": {"type": "string", "enum": ["path", "query", "header", "body"]},
                    "name": {"type": "string", "description": "Of the parameter."},
                    "pointer": {"type": "string", "description": "Into the body (RFC 6901)."},
                    "field": {"type": ["array", "null"], "items": {"type": "string"}},
                },
                "required": ["detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code"],
}


class Problem(Exception):
    """A request that is answered with a problem document."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[dict[str, Any]] = (),
        allow: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """``retry_after``: seconds."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.allow = allow
        self.retry_after = retry_after

    def document(self, trace_id: str | None) -> dict[str, Any]:
        """The document."""
        made: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if trace_id is not None:
            made["traceId"] = trace_id
        if self.errors:
            made["errors"] = self.errors
        return made


def of_errors(errors: Sequence[dict[str, Any]], status: int) -> Problem:
    """The problem that a GraphQL answer's errors tell; ``status`` is the answer's own, for codes unknown here."""
    first = errors[0]
    extensions = first.get("extensions") or {}
    code = str(extensions.get("code", "INTERNAL_SERVER_ERROR"))
    told = STATUS_OF_CODE.get(code, status if status >= 400 else 500)
    reasons = [{"detail": one["message"]} for one in errors] if len(errors) > 1 else []
    problem = Problem(told, code, first["message"], reasons)
    if isinstance(wait := extensions.get("retryAfterMs"), int | float):
        problem.retry_after = max(1, math.ceil(wait / 1000))
    return problem
