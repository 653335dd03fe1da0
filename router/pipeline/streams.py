"""Answers in several payloads over HTTP: server-sent events and multipart.

Event streams follow the "distinct connections" mode of GraphQL over SSE. Multipart subscriptions wrap each payload
(``{"payload": ...}``) and deferred answers do not, as their clients expect.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from router.executor.event_stream import write_event
from router.pipeline.asgi import RawHeaders, Receive, Send
from router.pipeline.media_types import EVENT_STREAM


@dataclass(frozen=True, slots=True)
class Framing:
    """How payloads become bytes."""

    content_type: bytes
    payload: Callable[[bytes], bytes]
    ping: bytes
    end: bytes


EVENTS = Framing(
    b"text/event-stream; charset=utf-8",
    lambda payload: write_event("next", payload),
    b":\n\n",
    write_event("complete", b""),
)

_PART = b"\r\n--%b\r\ncontent-type: application/json; charset=utf-8\r\n\r\n%b"

DEFERRED_PARTS = Framing(
    b'multipart/mixed; boundary="-"; deferSpec=20220824',
    lambda payload: _PART % (b"-", payload),
    b"",
    b"\r\n-----\r\n",
)

SUBSCRIPTION_PARTS = Framing(
    b'multipart/mixed; boundary="graphql"; subscriptionSpec=1.0',
    lambda payload: _PART % (b"graphql", b'{"payload":' + payload + b"}"),
    _PART % (b"graphql", b"{}"),
    b"\r\n--graphql--\r\n",
)


def framing(media_type: str, *, subscription: bool) -> Framing:
    """The framing for a media type that the client accepts."""
    if media_type == EVENT_STREAM:
        return EVENTS
    return SUBSCRIPTION_PARTS if subscription else DEFERRED_PARTS


async def send_stream(
    receive: Receive,
    send: Send,
    payloads: AsyncGenerator[bytes, None],
    frame: Framing,
    ping_seconds: float,
    headers: RawHeaders,
    draining: asyncio.Event | None = None,
) -> None:
    """Send payloads as they come, and pings between. When the client goes, the payloads' source is closed.

    ``draining``: when it is set, the stream is completed, and the client connects again, elsewhere.
    """
    start: RawHeaders = [(b"content-type", frame.content_type), (b"cache-control", b"no-cache"), *headers]
    await send({"type": "http.response.start", "status": 200, "headers": start})
    gone = asyncio.ensure_future(_over(receive, draining))
    try:
        while True:
            following = asyncio.ensure_future(anext(payloads, None))
            chunk = await _next_chunk(send, following, gone, frame.ping, ping_seconds)
            if chunk is None:
                break
            await _send_chunk(send, frame.payload(chunk))
        if not gone.done() or gone.result() is Over.HERE:
            await send({"type": "http.response.body", "body": frame.end})
    finally:
        gone.cancel()
        await payloads.aclose()


async def _next_chunk(
    send: Send, following: asyncio.Future[bytes | None], gone: asyncio.Future[Over], ping: bytes, seconds: float
) -> bytes | None:
    """The next payload; None at the end of the stream, or when the client has gone."""
    try:
        while True:
            waiting: set[asyncio.Future[Any]] = {following, gone}
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return None
            if following.done():
                return following.result()
            if ping:
                await _send_chunk(send, ping)
    finally:
        if not following.done():
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


class Over(Enum):
    """Who ends a stream before its end."""

    THERE = "the client has gone"
    HERE = "the server ends"


async def _over(receive: Receive, draining: asyncio.Event | None) -> Over:
    """Wait until a stream is over for another reason than its end."""
    waiting = [asyncio.ensure_future(_disconnect(receive))]
    if draining is not None:
        waiting.append(asyncio.ensure_future(_set(draining)))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return Over.THERE if waiting[0].done() else Over.HERE
    finally:
        for each in waiting:
            each.cancel()


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
