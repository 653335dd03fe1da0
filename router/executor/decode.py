"""A subgraph's bytes to an answer. Whatever a server may send instead becomes one clean error."""

from __future__ import annotations

from typing import Any

import orjson

from router.errors import RequestErrorCode, SubgraphError
from router.executor.transport import SubgraphResponse

BUSY = (502, 503, 504)
"""Statuses of servers and proxies that could not answer just now."""


def decode_response(body: bytes | memoryview, status: int = 200, retry_after: float | None = None) -> SubgraphResponse:
    """The GraphQL response in an HTTP body (GraphQL specification, 7.1). Raises SubgraphError.

    The status decides only where the body is no GraphQL response: servers use 4xx and 5xx for both. ``retry_after``:
    in how many seconds the server wants to be asked again.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _refused(status, retry_after, "The subgraph did not answer with JSON.") from None
    if not isinstance(value, dict) or not ("data" in value or "errors" in value):
        raise _refused(status, retry_after, "The subgraph did not answer with a GraphQL response.")
    return response_of(value)


def response_of(value: dict[str, Any]) -> SubgraphResponse:
    """A GraphQL response that has been parsed. Raises SubgraphError where a member has the wrong type."""
    data, errors = value.get("data"), value.get("errors")
    if data is not None and not isinstance(data, dict):
        raise _malformed("The subgraph's data are not an object.")
    if errors is not None and not isinstance(errors, list):
        raise _malformed("The subgraph's errors are not a list.")
    extensions = value.get("extensions")
    return SubgraphResponse(data, errors or None, extensions if isinstance(extensions, dict) else None)


def _refused(status: int, retry_after: float | None, message: str) -> SubgraphError:
    if 200 <= status < 300:
        return _malformed(message)
    return SubgraphError(
        RequestErrorCode.SUBGRAPH_HTTP_ERROR,
        f"The subgraph answered with HTTP status {status}.",
        again=status in BUSY,
        retry_after=retry_after,
        refused=400 <= status < 500 and status != 429,
    )


def _malformed(message: str) -> SubgraphError:
    return SubgraphError(RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE, message)
