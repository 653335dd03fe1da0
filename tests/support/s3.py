"""As much of S3 as the stores of pictures use."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from pydantic import SecretStr

from tests.support.process import free_port


class S3:
    """Objects are put, read and deleted; addresses must be signed by somebody."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.signed: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode())
        path, method = scope["path"], scope["method"]
        by_address = "X-Amz-Signature" in query
        if not by_address and "AWS4-HMAC-SHA256" not in headers.get("authorization", ""):
            return await self._answer(send, 403)
        if by_address:
            self.signed.append(path)
        if method == "PUT":
            self.objects[path] = (body, headers.get("content-type", ""))
            return await self._answer(send, 200)
        if method == "POST" and "delete" in parse_qs(scope["query_string"].decode(), keep_blank_values=True):
            keys = re.findall(r"<Key>([^<]+)</Key>", body.decode())
            for key in keys:
                self.objects.pop(f"{path.rstrip('/')}/{key}", None)
            gone = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            return await self._answer(send, 200, f"<DeleteResult>{gone}</DeleteResult>".encode())
        if method == "DELETE":
            self.objects.pop(path, None)
            return await self._answer(send, 204)
        found = self.objects.get(path)
        await (self._answer(send, 200, found[0]) if found else self._answer(send, 404))

    async def _answer(self, send: Any, status: int, body: bytes = b"") -> None:
        headers = [
            (b"content-length", str(len(body)).encode()),
            (b"etag", b'"1"'),
            (b"last-modified", b"Sat, 21 Nov 2026 12:00:00 GMT"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving_s3() -> AsyncIterator[tuple[S3, str]]:
    """A small S3, and where it listens."""
    s3, port = S3(), free_port()
    server = uvicorn.Server(uvicorn.Config(s3, port=port, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield s3, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


def bucket_settings(endpoint: str) -> dict[str, Any]:
    """The settings of a bucket there."""
    return {
        "media_s3_bucket": "pictures",
        "media_s3_endpoint": endpoint,
        "media_s3_access_key": "access",
        "media_s3_secret_key": SecretStr("secret"),
    }
