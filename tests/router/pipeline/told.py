"""The router over subgraphs that answer what they are told: for answers that no sound server would give."""

from __future__ import annotations

from typing import Any

import orjson

from router.app import RouterApp, create_app
from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.executor.transport import SubgraphRequest
from router.settings import Settings
from tests.router.executor.support import Answer, Subgraph
from tests.router.pipeline.client import Response, post

LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable"])\n'
MULTIPART = "multipart/mixed;deferSpec=20220824, application/json"


def told(
    sdl: dict[str, str], answers: dict[str, Answer], settings: Settings | None = None
) -> tuple[RouterApp, dict[str, Subgraph]]:
    """The router, and its subgraphs by name."""
    result = compose([SubgraphInput(name, "", LINK + text) for name, text in sdl.items()])
    assert result.supergraph_sdl is not None, result.errors
    subgraphs = {name: Subgraph(answers[name]) for name in sdl}
    transports = {name: subgraph.transport for name, subgraph in subgraphs.items()}
    return create_app(result.supergraph_sdl, settings or Settings(), transports), subgraphs


def sent(request: SubgraphRequest) -> list[dict[str, Any]]:
    """The representations of an entity request."""
    assert request.variables is not None
    found: list[dict[str, Any]] = request.variables["representations"]
    return found


def payloads(response: Response) -> list[dict[str, Any]]:
    """The payloads of a multipart answer, whose framing must be sound."""
    assert response.headers["content-type"].startswith('multipart/mixed; boundary="-"; deferSpec=20220824')
    first, *parts, last = response.body.split(b"\r\n---")
    assert (first, last) == (b"", b"--\r\n")
    return [
        orjson.loads(part.removeprefix(b"\r\ncontent-type: application/json; charset=utf-8\r\n\r\n")) for part in parts
    ]


async def deferred(app: RouterApp, query: str, variables: Any = None) -> list[dict[str, Any]]:
    """The payloads of a query from a client that takes deferred parts."""
    return payloads(await post(app, query, variables, accept=MULTIPART))
