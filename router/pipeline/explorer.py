"""The explorer: GraphiQL from files built into ``clients/explorer/dist``, never from a CDN. Only for ``--dev``."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from router.pipeline.asgi import Send, send_whole

BUILD_HINT = """<!doctype html><title>Explorer</title>
<p>The explorer has not been built. Run <code>npm ci && npm run build</code> in <code>clients/explorer</code>.</p>
<p>The graph itself answers at <a href="/graphql">/graphql</a>.</p>"""

ASSETS = "/explorer/"


class Explorer:
    """Serves the built page and its assets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def page(self, send: Send) -> None:
        """The page, or how to build it."""
        index = self._folder / "index.html"
        body = index.read_bytes() if index.is_file() else BUILD_HINT.encode()
        await send_whole(send, 200, b"text/html; charset=utf-8", body, [])

    async def asset(self, path: str, send: Send) -> None:
        """A file of the page; nothing outside the folder."""
        file = (self._folder / path.removeprefix(ASSETS)).resolve()
        if not file.is_relative_to(self._folder) or not file.is_file():
            await send_whole(send, 404, b"text/plain; charset=utf-8", b"Not found.", [])
            return
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        await send_whole(send, 200, kind.encode(), file.read_bytes(), [(b"cache-control", b"no-cache")])
