"""GraphQL over HTTP to one subgraph: JSON for operations, server-sent events for subscriptions."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from router.errors import RequestErrorCode, SubgraphError
from router.executor.decode import decode_response
from router.executor.event_stream import EventTooLarge, read_events
from router.executor.http_client import HttpAnswer, HttpClient
from router.executor.json_bytes import write_json
from router.executor.resilience.retry import retry_after
from router.executor.transport import SubgraphRequest, SubgraphResponse

DEADLINE_HEADER = "router-timeout-ms"
"""Milliseconds until nobody waits for the answer any more. Not a point in time: clocks of two machines differ."""

ACCEPT_JSON = "application/graphql-response+json, application/json;q=0.9"


class HttpTransport:
    """A subgraph at a URL. The client may serve several transports; it is closed with the last of them."""

    def __init__(
        self, url: str, client: HttpClient, *, max_bytes: int = 16 * 1024 * 1024, trusted: bool = False
    ) -> None:
        self._url = url
        self._client = client
        self._max_bytes = max_bytes
        self.trusted = trusted

    async def execute(self, request: SubgraphRequest) -> SubgraphResponse:
        """Run a query or a mutation. Raises SubgraphError."""
        answer = await self._post(request)
        response = decode_response(answer.body, answer.status, retry_after(answer.retry_after))
        response.cache_control = answer.cache_control
        return response

    async def execute_raw(self, request: SubgraphRequest) -> bytes | memoryview:
        """Run a query and give the body as it came. Raises SubgraphError unless the status is a success."""
        answer = await self._post(request)
        if not 200 <= answer.status < 300:
            decode_response(answer.body, answer.status, retry_after(answer.retry_after))
        return answer.body

    async def subscribe(self, request: SubgraphRequest) -> AsyncGenerator[SubgraphResponse, None]:
        """Run a subscription in the "distinct connections" mode of the GraphQL over SSE protocol."""
        headers = {**request.headers, "content-type": "application/json", "accept": "text/event-stream"}
        try:
            # Closed by us, not by the garbage collector: the subgraph must learn at once that nobody listens.
            async with (
                aclosing(self._client.stream(self._url, _body(request), headers)) as chunks,
                aclosing(read_events(chunks, self._max_bytes)) as events,
            ):
                async for event in events:
                    if event.name == "complete":
                        return
                    if event.name == "next":
                        yield decode_response(event.data.encode())
        except EventTooLarge:
            message = "The subgraph's event is too large."
            raise SubgraphError(RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE, message) from None

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def _post(self, request: SubgraphRequest) -> HttpAnswer:
        headers = {**request.headers, "content-type": "application/json", "accept": ACCEPT_JSON}
        timeout: float | None = None
        if request.deadline is not None:
            left = max(request.deadline - time.monotonic(), 0.001)
            headers[DEADLINE_HEADER] = str(round(left * 1000) or 1)
            # What is sent of a mutation goes on to its end: its connection is not closed before its time.
            timeout = left if request.kind == "query" else None
        return await self._client.post(self._url, _body(request), headers, self._max_bytes, timeout)


def _body(request: SubgraphRequest) -> bytes:
    message: dict[str, object] = {"query": request.query}
    if request.variables:
        message["variables"] = request.variables
    if request.operation_name is not None:
        message["operationName"] = request.operation_name
    return write_json(message)
