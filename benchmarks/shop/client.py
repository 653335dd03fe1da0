"""A client as light as can be: one kept-alive connection, one request at a time, JSON in the answer."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import orjson


class BadAnswer(Exception):
    """Not HTTP 200 with JSON, or no answer."""


class Client(asyncio.Protocol):
    """``await client.post(body, token)``."""

    def __init__(self, port: int, path: str = "/graphql") -> None:
        self._head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
            "accept: application/json\r\n"
        ).encode()
        self._answer: asyncio.Future[bytes] | None = None
        self._received = b""

    @classmethod
    async def connect(cls, port: int) -> Self:
        _, client = await asyncio.get_running_loop().create_connection(lambda: cls(port), "127.0.0.1", port)
        return client

    async def post(self, body: bytes, token: str | None = None) -> Any:
        """The decoded answer. Raises BadAnswer."""
        who = f"authorization: Bearer {token}\r\n".encode() if token else b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(b"%scontent-length: %d\r\n%s\r\n%s" % (self._head, len(body), who, body))
        return orjson.loads(await self._answer)

    @property
    def closed(self) -> bool:
        """The server closes connections that are idle for some seconds."""
        return bool(self._transport.is_closing())

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        at = head.find(b"content-length:")
        line_end = head.find(b"\r\n", at)
        length = int(head[at + 15 : line_end if line_end > 0 else None]) if at >= 0 else -1
        if length >= 0 and len(self._received) < end + 4 + length:
            return
        body, self._received = self._received[end + 4 :], b""
        if self._answer is None or self._answer.done():
            return
        if length < 0 or head[9:12] != b"200":
            self._answer.set_exception(BadAnswer(f"{head[:12].decode()}: {body[:300].decode(errors='replace')}"))
        else:
            self._answer.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BadAnswer(f"the connection was closed: {exc}"))
