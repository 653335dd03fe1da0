"""GraphQL over WebSocket for clients: the graphql-transport-ws protocol."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import orjson

from router.errors import RequestError, RequestErrorCode
from router.pipeline.asgi import Receive, Scope, Send, read_headers
from router.pipeline.http import internal_error
from router.pipeline.origins import Origins
from router.pipeline.pipeline import Answer, Headers, Pipeline, refusal
from router.pipeline.request import from_object
from router.pipeline.shedding import Admission
from router.settings import Settings
from router.telemetry import Telemetry
from router.telemetry.tracing import Tracing, ensure_trace

logger = logging.getLogger(__name__)

PROTOCOL = "graphql-transport-ws"

GOING_AWAY = 1001
INVALID_MESSAGE = 4400
UNAUTHORIZED = 4401
FORBIDDEN = 4403
INIT_TIMEOUT = 4408
DUPLICATE_ID = 4409
TOO_MANY_INITS = 4429
TRY_AGAIN_LATER = 1013


class _Close(Exception):
    """End the socket with a code of the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class SocketEndpoint:
    """``/graphql`` as a WebSocket."""

    def __init__(
        self,
        pipeline: Callable[[], Pipeline],
        admission: Callable[[], Admission],
        settings: Settings,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._admission = admission
        self.use(settings)
        self._telemetry = telemetry or Telemetry()
        self._open: set[_Socket] = set()
        self._users: Counter[str] = Counter()

    def use(self, settings: Settings) -> None:
        """Settings for sockets that open from now on."""
        self._settings = settings
        self._origins = Origins(settings)

    async def drain(self) -> None:
        """Tell every client to connect again, elsewhere (1001, RFC 6455, 7.4.1)."""
        await asyncio.gather(*(socket.go_away() for socket in tuple(self._open)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until either side ends it."""
        await receive()
        limits = self._settings.limits
        try:
            headers = read_headers(scope, limits.headers, limits.header_bytes)
        except RequestError:
            await send({"type": "websocket.close", "code": 1009})
            return
        if PROTOCOL not in scope.get("subprotocols", ()) or not self._origins.may_open_socket(headers):
            await send({"type": "websocket.close", "code": FORBIDDEN})
            return
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        tracing, doors = self._telemetry.tracing, (self._pipeline, self._admission)
        opened = _Socket(*doors, self._settings, headers, receive, send, tracing, self._users)
        self._open.add(opened)
        self._telemetry.sockets.inc()
        try:
            await opened.serve()
        finally:
            self._open.discard(opened)
            opened.leave()
            self._telemetry.sockets.dec()


class _Socket:
    def __init__(
        self,
        pipeline: Callable[[], Pipeline],
        admission: Callable[[], Admission],
        settings: Settings,
        headers: Headers,
        receive: Receive,
        send: Send,
        tracing: Tracing,
        users: Counter[str],
    ) -> None:
        self._users = users
        self._user: str | None = None
        self._tracing = tracing
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._going = asyncio.Event()
        self._admission = admission
        self._pipeline = pipeline
        self._settings = settings
        self._headers = dict(headers)
        self._receive = receive
        self._send_frame = send
        self._running: dict[str, asyncio.Task[None]] = {}
        self._streams: set[str] = set()
        """Those of them that are answered in events."""
        self._acknowledged = False

    async def go_away(self) -> None:
        """Close because the server ends; returns when that is said. What is answered as a whole is answered first."""
        self._going.set()
        if self._task is None:
            return
        whole = [task for name, task in self._running.items() if name not in self._streams]
        if whole:
            await asyncio.wait(whole, timeout=self._settings.request_timeout)
        self._task.cancel()
        await self._ended.wait()

    async def serve(self) -> None:
        self._task = asyncio.current_task()
        pings = asyncio.create_task(self._ping())
        try:
            if not await self._init():
                return
            while (message := await self._message()) is not None:
                await self._handle(message)
        except _Close as close:
            await self._send_frame({"type": "websocket.close", "code": close.code, "reason": close.reason})
        except asyncio.CancelledError:
            if not self._going.is_set() or self._task is None:
                raise
            self._task.uncancel()
            for running in self._running.values():
                running.cancel()  # else they go on talking, and the goodbye comes after what they have to say
            reason = "The server ends: connect again"
            await self._send_frame({"type": "websocket.close", "code": GOING_AWAY, "reason": reason})
        finally:
            self._ended.set()
            pings.cancel()
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(pings, *self._running.values(), return_exceptions=True)

    async def _init(self) -> bool:
        try:
            async with asyncio.timeout(self._settings.subscription_init_timeout):
                while True:
                    message = await self._message()
                    if message is None:
                        return False
                    if message.get("type") == "connection_init":
                        break
                    if message.get("type") == "subscribe":
                        raise _Close(UNAUTHORIZED, "Unauthorized")
        except TimeoutError:
            raise _Close(INIT_TIMEOUT, "Connection initialisation timeout") from None
        self._take_token(message.get("payload"))
        await self._enter()
        self._acknowledged = True
        await self._send({"type": "connection_ack"})
        return True

    async def _enter(self) -> None:
        """Take one of the caller's places. A bad token ends the socket before anything is asked."""
        try:
            self._user = (await self._pipeline().identify(self._headers)).identity.subject
        except RequestError:
            raise _Close(FORBIDDEN, "Forbidden") from None
        if self._user is None:
            return
        self._users[self._user] += 1
        if self._users[self._user] > self._settings.sockets_per_user:
            raise _Close(TRY_AGAIN_LATER, "Too many sockets of this user")

    def leave(self) -> None:
        """Give the caller's place back."""
        if self._user is not None:
            self._users[self._user] -= 1
            if self._users[self._user] <= 0:
                del self._users[self._user]

    def _take_token(self, payload: Any) -> None:
        """Browsers cannot set headers on a socket: token and API key may come with ``connection_init``."""
        allowed = ("authorization", self._settings.api_key_header.lower())
        if isinstance(payload, dict):
            nested = payload.get("headers")
            for source in (payload, nested if isinstance(nested, dict) else {}):
                for name, value in source.items():
                    if name.lower() in allowed and isinstance(value, str):
                        self._headers[name.lower()] = value

    async def _message(self) -> dict[str, Any] | None:
        """The next message; None when the client has gone."""
        frame = await self._receive()
        if frame["type"] == "websocket.disconnect":
            return None
        text = frame.get("text")
        if text is None or len(text) > self._settings.limits.body_bytes:
            raise _Close(INVALID_MESSAGE, "Invalid message")
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise _Close(INVALID_MESSAGE, "Invalid message") from None
        if not isinstance(message, dict):
            raise _Close(INVALID_MESSAGE, "Invalid message")
        return message

    async def _handle(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "subscribe":
                self._start(message)
            case "complete":
                name = str(message.get("id"))
                self._streams.discard(name)
                task = self._running.pop(name, None)
                if task is not None:
                    task.cancel()
            case "ping":
                await self._send({"type": "pong"})
            case "pong":
                pass
            case "connection_init":
                raise _Close(TOO_MANY_INITS, "Too many initialisation requests")
            case _:
                raise _Close(INVALID_MESSAGE, "Invalid message")

    def _start(self, message: dict[str, Any]) -> None:
        operation_id = message.get("id")
        if not isinstance(operation_id, str) or not operation_id:
            raise _Close(INVALID_MESSAGE, "Invalid message")
        if operation_id in self._running:
            raise _Close(DUPLICATE_ID, f"Subscriber for {operation_id} already exists")
        self._running[operation_id] = asyncio.create_task(self._run(operation_id, message.get("payload")))

    async def _run(self, operation_id: str, payload: Any) -> None:
        headers = dict(self._headers)
        try:
            if self._going.is_set():
                raise RequestError(RequestErrorCode.OVERLOADED, "The server ends: connect again.")
            if len(self._running) > self._settings.subscriptions_per_socket:
                message = "Too many operations on one socket."
                raise RequestError(RequestErrorCode.LIMIT_EXCEEDED, message)
            with self._tracing.serving(headers, "WS /graphql"):
                # Like a request over HTTP: until there is an answer, or a stream has begun.
                with self._admission():
                    result = await self._pipeline().answer(from_object(payload), headers, defer=False)
                if isinstance(result, Answer):
                    await self._whole(operation_id, result)
                else:
                    self._streams.add(operation_id)
                    async with aclosing(result.payloads) as events:
                        if self._going.is_set():
                            return
                        async for event in events:
                            await self._send_payload(operation_id, "next", event)
                    await self._send({"id": operation_id, "type": "complete"})
        except RequestError as error:
            await self._whole(operation_id, refusal(error, ensure_trace(headers)))
        except Exception:
            logger.exception("an operation on a socket failed")
            await self._whole(operation_id, refusal(internal_error(), ensure_trace(headers)))
        finally:
            # After "complete" the client may already have started another operation under this id.
            if self._running.get(operation_id) is asyncio.current_task():
                del self._running[operation_id]
                self._streams.discard(operation_id)

    async def _whole(self, operation_id: str, answer: Answer) -> None:
        result = orjson.loads(answer.body)
        if "data" in result:
            await self._send_payload(operation_id, "next", answer.body)
            await self._send({"id": operation_id, "type": "complete"})
        else:
            await self._send({"id": operation_id, "type": "error", "payload": result["errors"]})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_frame({"type": "websocket.send", "text": orjson.dumps(message).decode()})

    async def _send_payload(self, operation_id: str, kind: str, payload: bytes) -> None:
        envelope = orjson.dumps({"id": operation_id, "type": kind})[:-1]
        await self._send_frame(
            {"type": "websocket.send", "text": (envelope + b',"payload":' + payload + b"}").decode()}
        )

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._settings.subscription_ping)
            if self._acknowledged:
                await self._send({"type": "ping"})
