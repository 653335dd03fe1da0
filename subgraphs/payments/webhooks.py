"""The provider's webhooks: hints to look at a payment, never the truth about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from subgraphs.payments.provider import Forged, Hint, Provider, Unreadable
from subgraphs.payments.service import Service

MAX_BODY = 64 * 1024
MAX_ORDER_ID = 64


def add_webhooks(app: FastAPI, service: Service, provider: Provider) -> None:
    """``POST /webhooks/<provider>``; ``app.state.webhooks`` is the same for a provider in this process."""
    door = WebhookDoor(service, provider)
    app.router.routes.append(Route(f"/webhooks/{provider.name}", door, methods=["POST"]))
    app.state.webhooks = door


class WebhookDoor:
    """ASGI: 200 when the hint is kept or means nothing to us, 403 for a forged one."""

    def __init__(self, service: Service, provider: Provider) -> None:
        self._service = service
        self._provider = provider

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await _body(request)
        except ClientDisconnect:
            return
        read = 400 if body is None else self._read(body, request.headers)
        status = await self._kept(read) if isinstance(read, Hint) else read
        await Response(status_code=status)(scope, receive, send)

    async def _kept(self, hint: Hint) -> int:
        status = "DONE" if hint.paid else None
        return _status(await self._service.hint(hint.order_id, hint.secret, is_deposit=hint.is_deposit, status=status))

    async def take(self, hooks: Sequence[tuple[bytes, Mapping[str, str]]]) -> list[int]:
        """The statuses of many, each a body with headers, that a provider in this process sends."""
        read = [self._read(body, headers) for body, headers in hooks]
        kept = iter(await self._service.hints([each for each in read if isinstance(each, Hint)]))
        return [_status(next(kept)) if isinstance(each, Hint) else each for each in read]

    def _read(self, body: bytes, headers: Mapping[str, str]) -> Hint | int:
        """What it hints at or, when there is nothing to look at, the status to answer."""
        try:
            hint = self._provider.read_webhook(body, headers)
        except Unreadable:
            return 400
        except Forged:
            return 403
        # An id that no order of ours can have: PostgreSQL would not even take U+0000.
        ours = hint is not None and len(hint.order_id) <= MAX_ORDER_ID and hint.order_id.isprintable()
        return hint if hint is not None and ours else 200


def _status(kept: bool | Exception) -> int:
    if isinstance(kept, Exception):
        return 500
    return 200 if kept else 403


async def _body(request: Request) -> bytes | None:
    size = 0
    chunks = []
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
