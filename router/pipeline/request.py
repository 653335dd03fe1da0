"""A GraphQL request as it comes over HTTP or a socket (GraphQL over HTTP, "Request")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson

from router.errors import RequestError, RequestErrorCode


@dataclass(slots=True)
class GraphQLRequest:
    """``query`` is None where the document is named in another way (``document_id``, ``extensions``).

    ``trusted``: the operator chose the text, not the client, so it runs where only persisted operations do.
    """

    query: str | None
    operation_name: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)
    document_id: str | None = None
    trusted: bool = False


def from_body(body: bytes) -> GraphQLRequest:
    """A request from a JSON body. Raises RequestError."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _malformed("The body is not JSON.") from None
    if isinstance(value, list):
        raise _malformed("Batches of operations are not accepted.")
    return from_object(value)


def from_object(value: Any) -> GraphQLRequest:
    """A request from parsed JSON. Raises RequestError for members of the wrong type."""
    if not isinstance(value, dict):
        raise _malformed("The request is not a JSON object.")
    request = GraphQLRequest(
        query=_member(value, "query", str, "a string"),
        operation_name=_member(value, "operationName", str, "a string") or None,
        variables=_member(value, "variables", dict, "an object") or {},
        extensions=_member(value, "extensions", dict, "an object") or {},
        document_id=_member(value, "documentId", str, "a string"),
    )
    if request.query is None and request.document_id is None and "persistedQuery" not in request.extensions:
        raise _malformed('The request has no "query".')
    return request


def from_query_string(query_string: bytes) -> GraphQLRequest:
    """A request from a URL's parameters; ``variables`` and ``extensions`` are JSON in them. Raises RequestError."""
    try:
        parameters = parse_qs(query_string.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise _malformed("The URL's parameters cannot be read.") from None
    value: dict[str, Any] = {}
    for name in ("query", "operationName", "documentId", "variables", "extensions"):
        found = parameters.get(name, [])
        if len(found) > 1:
            raise _malformed(f'The parameter "{name}" is given more than once.')
        if not found:
            continue
        value[name] = found[0]
        if name in ("variables", "extensions"):
            value[name] = _json_parameter(name, found[0])
    return from_object(value)


def _json_parameter(name: str, text: str) -> Any:
    if not text:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _malformed(f'The parameter "{name}" is not JSON.') from None


def _member(value: dict[str, Any], name: str, type_: type, what: str) -> Any:
    member = value.get(name)
    if member is not None and not isinstance(member, type_):
        raise _malformed(f'"{name}" must be {what}.')
    return member


def _malformed(message: str) -> RequestError:
    return RequestError(RequestErrorCode.BAD_REQUEST, message, malformed=True)
