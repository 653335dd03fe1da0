"""The few words of ASGI that the router speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from router.errors import RequestError, RequestErrorCode

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

PEER = ":peer"
"""Beside a request's headers: the address it came from. No header can have this name."""


class Disconnected(Exception):
    """The client has gone."""


def read_headers(scope: Scope, max_count: int, max_bytes: int) -> dict[str, str]:
    """Headers by lower-case name, repeated ones joined. Raises RequestError (431) for too many."""
    raw: RawHeaders = scope["headers"]
    if len(raw) > max_count or sum(len(name) + len(value) for name, value in raw) > max_bytes:
        message = "The request's headers are too large."
        raise RequestError(RequestErrorCode.LIMIT_EXCEEDED, message, status=431, malformed=True)
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    peer = scope.get("client")
    headers.pop(PEER, None)
    if peer is not None:
        headers[PEER] = peer[0]
    return headers


async def read_body(receive: Receive, declared: str | None, max_bytes: int) -> bytes:
    """The request body. Raises RequestError (413) as soon as it is known to be too large, and Disconnected."""
    # Longer numbers than twenty digits are no lengths, and Python refuses to read the longest.
    if declared is not None and declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body += message.get("body", b"")
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


async def send_whole(send: Send, status: int, content_type: bytes, body: bytes, headers: RawHeaders) -> None:
    """A whole response."""
    length = str(len(body)).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type), (b"content-length", length), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _too_large(max_bytes: int) -> RequestError:
    message = f"The request's body has more than {max_bytes} bytes."
    return RequestError(RequestErrorCode.LIMIT_EXCEEDED, message, status=413, malformed=True)
