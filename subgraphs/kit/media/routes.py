"""Uploads into a folder and pictures out of it, over HTTP. With a bucket neither comes by here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from subgraphs.kit.media.pictures import CONTENT_TYPES, MAX_BYTES
from subgraphs.kit.media.store import NAME, Folder, Missing

FOR_EVER = "public, max-age=31536000, immutable"
A_DAY = "public, max-age=86400"
"""What shows a person is gone everywhere a day after he took it away."""


def add_routes(app: FastAPI, folder: Folder, now: Callable[[], datetime], prefix: str, kept: str) -> None:
    """``PUT <prefix>/uploads/<id>`` with a signed address, ``GET <prefix>/<name>``, kept by others as ``kept`` says."""

    async def receive(request: Request) -> Response:
        upload_id = request.path_params["upload_id"]
        signed = request.query_params.get("expires", ""), request.query_params.get("signature", "")
        if not folder.allows(upload_id, *signed, now()):
            return PlainTextResponse("this address is not good (any more)", 403)
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BYTES:
                return PlainTextResponse(f"at most {MAX_BYTES} bytes", 413)
        await folder.receive(upload_id, bytes(data))
        return Response(status_code=204)

    async def show(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            if not NAME.fullmatch(name):
                raise Missing
            data = await folder.picture(name)
        except Missing:
            return PlainTextResponse("no such picture", 404)
        headers = {"cache-control": kept, "x-content-type-options": "nosniff", "content-disposition": "inline"}
        return Response(data, media_type=CONTENT_TYPES[name.rpartition(".")[2]], headers=headers)

    app.router.routes.append(Route(prefix + "/uploads/{upload_id}", receive, methods=["PUT"]))
    app.router.routes.append(Route(prefix + "/{name}", show, methods=["GET"]))
