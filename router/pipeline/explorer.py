"""The explorer: GraphiQL from files built into ``clients/explorer/dist``, never from a CDN. Only for ``--dev``."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from router.errors import SourceError
from router.pipeline.asgi import Send, send_whole

BUILD_HINT = """<!doctype html><title>Explorer</title>
<p>The explorer has not been built. Run <code>npm ci && npm run build</code> in <code>clients/explorer</code>.</p>
<p>The graph itself answers at <a href="/graphql">/graphql</a>.</p>"""

ASSETS = "/explorer/"
EXAMPLES = "/explorer/examples.json"


class Explorer:
    """Serves the built page, its assets and its examples. Raises SourceError for examples that cannot be read."""

    def __init__(self, folder: Path, examples: Path | None = None) -> None:
        self._folder = folder.resolve()
        self._examples = orjson.dumps(read_examples(examples) if examples is not None else [])

    async def page(self, send: Send) -> None:
        """The page, or how to build it."""
        index = self._folder / "index.html"
        body = index.read_bytes() if index.is_file() else BUILD_HINT.encode()
        await send_whole(send, 200, b"text/html; charset=utf-8", body, [])

    async def asset(self, path: str, send: Send) -> None:
        """A file of the page; nothing outside the folder."""
        if path == EXAMPLES:
            await send_whole(send, 200, b"application/json", self._examples, [(b"cache-control", b"no-cache")])
            return
        file = (self._folder / path.removeprefix(ASSETS)).resolve()
        if not file.is_relative_to(self._folder) or not file.is_file():
            await send_whole(send, 404, b"text/plain; charset=utf-8", b"Not found.", [])
            return
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        await send_whole(send, 200, kind.encode(), file.read_bytes(), [(b"cache-control", b"no-cache")])


class Example(BaseModel):
    """An operation to begin with."""

    model_config = ConfigDict(extra="forbid")

    file: Path
    variables: dict[str, Any] = {}
    headers: dict[str, str] = {}


def read_examples(path: Path) -> list[dict[str, Any]]:
    """The examples that a JSON file lists, each with the text of its operation. Raises SourceError."""
    try:
        examples = TypeAdapter(list[Example]).validate_json(path.read_bytes())
        return [
            {
                "query": (path.parent / example.file).read_text(encoding="utf-8"),
                "variables": example.variables,
                "headers": example.headers,
            }
            for example in examples
        ]
    except (OSError, ValidationError) as error:
        raise SourceError(f"The explorer's examples in {path} cannot be read: {error}") from error
