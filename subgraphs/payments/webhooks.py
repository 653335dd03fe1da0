"""The provider's webhooks: hints to look at a payment, never the truth about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from subgraphs.payments.service import Service

MAX_BODY = 64 * 1024


def add_webhooks(app: FastAPI, service: Service) -> None:
    """``POST /webhooks/toss``; ``app.state.webhooks`` is the same for a provider in this process."""
    door = WebhookDoor(service)
    app.router.routes.append(Route("/webhooks/toss", door, methods=["POST"]))
    app.state.webhooks = door


class WebhookDoor:
    """ASGI: 200 when the hint is kept or means nothing to us, 403 for a forged one."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await _json(Request(scope, receive))
        except ClientDisconnect:
            return
        status = 400 if body is None else await self._status(body)
        await Response(status_code=status)(scope, receive, send)

    async def _status(self, body: Mapping[str, Any]) -> int:
        if "eventType" in body:
            data = body.get("data")
            said: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
            order_id, status, secret, is_deposit = said.get("orderId"), said.get("status"), None, False
        else:  # DEPOSIT_CALLBACK has no envelope
            order_id, status, secret, is_deposit = body.get("orderId"), None, body.get("secret"), True
        if not isinstance(order_id, str) or len(order_id) > 64:
            return 200
        genuine = await self._service.hint(
            order_id,
            secret if isinstance(secret, str) else None,
            is_deposit=is_deposit,
            status=status if isinstance(status, str) else None,
        )
        return 200 if genuine else 403


async def _json(request: Request) -> Mapping[str, Any] | None:
    size = 0
    chunks = []
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            return None
        chunks.append(chunk)
    try:
        body = orjson.loads(b"".join(chunks))
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, Mapping) else None
