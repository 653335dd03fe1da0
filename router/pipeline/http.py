"""GraphQL over HTTP, as a raw ASGI endpoint."""

from __future__ import annotations

import asyncio
import logging
import time

from router.errors import RequestError, RequestErrorCode
from router.executor.resilience.cutoff import Cutoff
from router.pipeline.asgi import Disconnected, RawHeaders, Receive, Scope, Send, read_body, read_headers, send_whole
from router.pipeline.departure import unless_gone
from router.pipeline.media_types import JSON, RESPONSE_JSON, Accepted, accepted, is_json
from router.pipeline.origins import Origins
from router.pipeline.pipeline import Answer, Headers, Pipeline, Stream, refusal
from router.pipeline.request import GraphQLRequest, from_body, from_query_string
from router.pipeline.shedding import Admission
from router.pipeline.streams import framing, send_stream
from router.settings import Settings
from router.telemetry.tracing import Tracing, ensure_trace

logger = logging.getLogger(__name__)

CONTENT_TYPES = {
    JSON: b"application/json; charset=utf-8",
    RESPONSE_JSON: b"application/graphql-response+json; charset=utf-8",
}

STATUS_HEADERS: dict[int, RawHeaders] = {
    405: [(b"allow", b"GET, POST")],
    # The rest of the body may still come, and is not to be read as the next request.
    408: [(b"connection", b"close")],
}


class HttpEndpoint:
    """``/graphql``. Once ``draining`` is set, streams are completed."""

    def __init__(
        self, pipeline: Pipeline, settings: Settings, tracing: Tracing, admission: Admission, draining: asyncio.Event
    ) -> None:
        self.pipeline = pipeline
        self.draining = draining
        self._tracing = tracing
        self._settings = settings
        self._origins = Origins(settings)
        self._admission = admission
        self._cutoff = Cutoff()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        media, cors, headers = Accepted(JSON, None), list[tuple[bytes, bytes]](), dict[str, str]()
        try:
            limits = self._settings.limits
            headers = read_headers(scope, limits.headers, limits.header_bytes)
            cors = self._origins.response_headers(headers)
            if scope["method"] == "OPTIONS":
                await send_whole(send, 204, b"text/plain", b"", self._origins.preflight_headers(headers))
                return
            media = accepted(headers.get("accept"))
            if media.single is None and media.stream is None:
                message = f"Answers come as {JSON} or {RESPONSE_JSON}."
                raise RequestError(RequestErrorCode.BAD_REQUEST, message, status=406, malformed=True)
            with self._tracing.serving(headers, f"{scope['method']} /graphql"):
                result = await self._result(scope, receive, headers, media)
                await self._send(result, receive, send, media, cors)
        except RequestError as error:
            await _send_answer(send, refusal(error, ensure_trace(headers)), media, cors)
        except Disconnected:
            return
        except Exception:
            logger.exception("a request failed")
            await _send_answer(send, refusal(internal_error(), ensure_trace(headers)), media, cors)

    async def _result(self, scope: Scope, receive: Receive, headers: Headers, media: Accepted) -> Answer | Stream:
        # Until there is an answer, or a stream has begun: a stream that lives for hours holds no place.
        with self._admission:
            request = await self._request(scope, receive, headers)
            is_get = scope["method"] == "GET"
            answer = self.pipeline.answer(request, headers, only_queries=is_get, defer=media.stream is not None)
            return await unless_gone(receive, answer)

    async def _request(self, scope: Scope, receive: Receive, headers: Headers) -> GraphQLRequest:
        method = scope["method"]
        if method == "GET":
            self._origins.check_get(headers)
            if len(scope["query_string"]) > self._settings.limits.body_bytes:
                raise RequestError(RequestErrorCode.LIMIT_EXCEEDED, "The URL is too long.", status=414, malformed=True)
            return from_query_string(scope["query_string"])
        if method != "POST":
            message = "Use GET or POST."
            raise RequestError(RequestErrorCode.BAD_REQUEST, message, status=405, malformed=True)
        if not is_json(headers.get("content-type")):
            message = f"The body must be {JSON} in UTF-8."
            raise RequestError(RequestErrorCode.BAD_REQUEST, message, status=415, malformed=True)
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            # A few compressed bytes can become any number of bytes.
            message = "The body must not be compressed."
            raise RequestError(RequestErrorCode.BAD_REQUEST, message, status=415, malformed=True)
        return from_body(await self._body(receive, headers))

    async def _body(self, receive: Receive, headers: Headers) -> bytes:
        try:
            with self._cutoff.at(time.monotonic() + self._settings.body_timeout):
                return await read_body(receive, headers.get("content-length"), self._settings.limits.body_bytes)
        except TimeoutError:
            message = "The request's body took too long."
            raise RequestError(RequestErrorCode.REQUEST_TIMEOUT, message, status=408, malformed=True) from None

    async def _send(
        self, result: Answer | Stream, receive: Receive, send: Send, media: Accepted, cors: RawHeaders
    ) -> None:
        if isinstance(result, Answer):
            await _send_answer(send, result, media, cors)
            return
        if media.stream is None:
            await result.payloads.aclose()
            message = "This operation answers in a stream: accept text/event-stream or multipart/mixed."
            raise RequestError(RequestErrorCode.BAD_REQUEST, message, status=406, malformed=True)
        frame = framing(media.stream, subscription=result.subscription)
        # Subscriptions go on elsewhere; an answer with deferred parts can only be completed here.
        until = self.draining if result.subscription else None
        await send_stream(receive, send, result.payloads, frame, self._settings.subscription_ping, cors, until)


def internal_error() -> RequestError:
    """What clients are told of a bug: nothing but that there is one."""
    return RequestError(RequestErrorCode.INTERNAL_SERVER_ERROR, "Internal error.", status=500, malformed=True)


async def _send_answer(send: Send, answer: Answer, media: Accepted, cors: RawHeaders) -> None:
    if media.single is None and media.stream is not None and not answer.malformed:
        # The client takes nothing but a stream: one payload, and its end.
        frame = framing(media.stream, subscription=False)
        await send_whole(send, 200, frame.content_type, frame.payload(answer.body) + frame.end, cors)
        return
    media_type = media.single or JSON
    # With application/json, 200 tells that the GraphQL server answered, whatever it said.
    status = answer.status if answer.malformed or media_type == RESPONSE_JSON else 200
    headers = [*cors, *STATUS_HEADERS.get(status, ())]
    if answer.retry_after is not None:
        headers.append((b"retry-after", str(answer.retry_after).encode()))
    await send_whole(send, status, CONTENT_TYPES[media_type], answer.body, headers)
