"""Errors as clients see them: code, service, trace id and a path in the client's own names."""

from __future__ import annotations

from typing import Any

from router.errors import RequestErrorCode, SubgraphError
from router.executor.completion import Error

MAX_ERRORS = 1000
"""Errors of one answer; a subgraph that reports one for each of many items would drown the rest."""

PUBLIC_EXTENSIONS = ("retryAfterMs",)


def failed_fetch(error: SubgraphError, service: str, path: list[str | int], trace_id: str | None) -> Error:
    """The error for all fields of a fetch that gave nothing."""
    extensions: dict[str, Any] = {"code": error.code.value, "service": service}
    if error.retry_after is not None:
        extensions["retryAfterMs"] = round(error.retry_after * 1000)
    return _error(error.message, path, extensions, trace_id)


def subgraph_error(
    raw: Any, service: str, path: list[str | int], trace_id: str | None, *, details: bool = False
) -> Error:
    """An error that a subgraph reported; of its extensions only those meant for clients, unless ``details``."""
    source = raw if isinstance(raw, dict) else {}
    message = source.get("message")
    given = source.get("extensions")
    given = given if isinstance(given, dict) else {}
    extensions = dict(given) if details else {name: given[name] for name in PUBLIC_EXTENSIONS if name in given}
    code = given.get("code")
    extensions["code"] = code if isinstance(code, str) else RequestErrorCode.SUBGRAPH_ERROR.value
    extensions["service"] = service
    return _error(message if isinstance(message, str) else "Unspecified error.", path, extensions, trace_id)


def error_path(raw: Any) -> list[str | int]:
    """The path of a subgraph's error, empty where it has none or a malformed one."""
    path = raw.get("path") if isinstance(raw, dict) else None
    if isinstance(path, list) and all(type(step) in (str, int) for step in path):
        return path
    return []


def _error(message: str, path: list[str | int], extensions: dict[str, Any], trace_id: str | None) -> Error:
    if trace_id is not None:
        extensions["traceId"] = trace_id
    error: Error = {"message": message}
    if path:
        error["path"] = path
    error["extensions"] = extensions
    return error
