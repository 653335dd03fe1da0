"""Subscriptions to a subgraph over WebSocket, in the graphql-transport-ws protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from router.errors import RequestErrorCode, SubgraphError
from router.executor.decode import response_of
from router.executor.json_bytes import write_json
from router.executor.transport import SubgraphRequest, SubgraphResponse, Transport

PROTOCOL = Subprotocol("graphql-transport-ws")
ACK_TIMEOUT = 10.0
OPERATION_ID = "1"


class WebSocketTransport:
    """Queries and mutations go through ``http``; each subscription has a connection of its own."""

    def __init__(self, http: Transport, url: str, max_bytes: int) -> None:
        self._http = http
        self._url = "ws" + url.removeprefix("http") if url.startswith("http") else url
        self._max_bytes = max_bytes

    async def execute(self, request: SubgraphRequest) -> SubgraphResponse:
        """Run a query or a mutation. Raises SubgraphError."""
        return await self._http.execute(request)

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """Run a subscription. Raises SubgraphError."""
        try:
            async with connect(
                self._url,
                subprotocols=[PROTOCOL],
                additional_headers=request.headers,
                max_size=self._max_bytes,
                proxy=None,
            ) as socket:
                await self._init(socket, request.headers)
                payload: dict[str, Any] = {"query": request.query, "variables": request.variables or {}}
                await _send(socket, {"id": OPERATION_ID, "type": "subscribe", "payload": payload})
                async for message in _messages(socket):
                    if message.get("type") == "next":
                        result = message.get("payload")
                        yield response_of(result if isinstance(result, dict) else {})
                    elif message.get("type") == "error":
                        errors = message.get("payload")
                        yield SubgraphResponse(None, errors if isinstance(errors, list) else [{}])
                        return
                    elif message.get("type") == "complete":
                        return
        except TimeoutError:
            raise SubgraphError(RequestErrorCode.SUBGRAPH_TIMEOUT, "The subgraph did not answer in time.") from None
        except (OSError, WebSocketException):
            raise SubgraphError(RequestErrorCode.SUBGRAPH_UNREACHABLE, "The subgraph's stream broke off.") from None

    async def close(self) -> None:
        """Close the transport of queries and mutations; subscriptions end with their iterators."""
        await self._http.close()

    async def _init(self, socket: ClientConnection, headers: dict[str, str]) -> None:
        await _send(socket, {"type": "connection_init", "payload": {"headers": headers}})
        async with asyncio.timeout(ACK_TIMEOUT):
            async for message in _messages(socket):
                if message.get("type") == "connection_ack":
                    return
        raise _malformed()


async def _messages(socket: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    """The protocol's messages; pings are answered here."""
    async for frame in socket:
        try:
            message = orjson.loads(frame)
        except orjson.JSONDecodeError:
            raise _malformed() from None
        if not isinstance(message, dict):
            raise _malformed()
        if message.get("type") == "ping":
            await _send(socket, {"type": "pong"})
        else:
            yield message


async def _send(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(write_json(message).decode())


def _malformed() -> SubgraphError:
    message = "The subgraph does not speak the subscription protocol."
    return SubgraphError(RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE, message)
