"""schemathesis over the whole graph of a shop, with a small budget; and that it finds what it looks for."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml

from router.app import RouterApp
from router.settings import Settings
from tests.dure.fuzz import UNLIMITED, fuzz_graph, fuzz_rest
from tests.dure.fuzz_each import each_in_turn
from tests.dure.fuzz_hostile import server_error
from tests.dure.fuzz_people import ids, tokens
from tests.dure.shop import Buyer, ShopProcess
from tests.router.pipeline.subgraphs import RESOLVERS, router, subgraphs
from tests.support.process import free_port
from tests.support.waiting import eventually

JSON = "application/json"


@pytest.mark.e2e
async def test_the_graph_never_meets_a_server_error(copied: tuple[ShopProcess, Buyer]) -> None:
    """Every field of Query and Mutation, with values that mean something and some that do not (`make fuzz`: more)."""
    shop, buyer = copied
    await shop.start(**UNLIMITED)
    callers = await tokens(shop, buyer)
    known = await ids(shop, callers)
    runs = [
        asyncio.to_thread(fuzz_graph, shop.url, callers[kind], known, examples=2) for kind in ("customer", "operator")
    ]
    for done in await asyncio.gather(*runs):
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr
        (cases,) = re.findall(r"(\d+) generated, \1 passed", done.stdout)
        assert int(cases) > 150


@asynccontextmanager
async def served(app: RouterApp) -> AsyncIterator[str]:
    """The URL of a router on a port of its own."""
    config = uvicorn.Config(app, port=free_port(), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    yield f"http://127.0.0.1:{config.port}"
    server.should_exit = True
    await running


def _raise(*_: Any) -> Any:
    raise RuntimeError("a bug")


@pytest.fixture
def rest(tmp_path: Path) -> Path:
    """Bindings of ``GET /me`` and ``GET /latest``."""
    bodies = {"Me": "query Me { me { id } }", "Latest": "query Latest { latest { body } }"}
    operations = [{"id": name, "name": name, "type": "query", "body": body} for name, body in bodies.items()]
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    endpoints = [
        {"call": f"GET /{name.lower()}", "summary": name, "operation": name, "result": name.lower()} for name in bodies
    ]
    file = tmp_path / "rest.yaml"
    info = {"title": "t", "version": "1"}
    file.write_text(yaml.safe_dump({"manifest": "manifest.json", "info": info, "endpoints": endpoints}))
    return file


async def test_a_resolver_that_breaks_is_found(rest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One field raises a plain exception: schemathesis names it, over the graph and over REST, and no other."""
    monkeypatch.setitem(RESOLVERS["reviews"], "Query.latest", _raise)
    async with served(router(subgraphs(), Settings(introspection=True, rest=rest))) as url:
        assert {one.partition(":")[0] for one in await each_in_turn(url, None, [])} == {"latest"}
        graph, paths = await asyncio.gather(
            asyncio.to_thread(fuzz_graph, url, None, [], examples=1),
            asyncio.to_thread(fuzz_rest, url, None, examples=1),
        )
    assert (graph.returncode, paths.returncode) == (1, 1), graph.stdout + paths.stdout
    assert "__ Query.latest __" in graph.stdout
    assert "__ Query.me __" not in graph.stdout
    assert "GET /latest" in paths.stdout.partition("FAILURES")[2]
    assert "GET /me" not in paths.stdout.partition("FAILURES")[2]


@pytest.mark.parametrize(
    ("status", "media_type", "body", "reason"),
    [
        (200, JSON, {"data": {"me": None}}, None),
        (200, JSON, {"errors": [{"message": "no", "extensions": {"code": "BAD_USER_INPUT"}}]}, None),
        (400, JSON, {"errors": [{"message": "no", "extensions": {"code": "LIMIT_EXCEEDED"}}]}, None),
        (500, JSON, {"data": None}, "status 500"),
        (200, "text/html", {"data": None}, "media type"),
        (200, JSON, ["data"], "no GraphQL answer"),
        (200, JSON, {"result": 1}, "no GraphQL answer"),
        (200, JSON, {"errors": [{"message": "no"}]}, "error"),
        (200, JSON, {"errors": [{"extensions": {"code": "FORBIDDEN"}}]}, "error"),
        (200, JSON, {"errors": [{"message": "no", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}, "error"),
        (200, JSON, {"errors": [{"message": "no", "extensions": {"code": "SUBGRAPH_TIMEOUT"}}]}, "error"),
    ],
)
def test_refusals_are_no_server_errors(status: int, media_type: str, body: Any, reason: str | None) -> None:
    found = server_error(status, media_type, json.dumps(body).encode())
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")


def test_an_answer_that_cannot_be_read_is_a_server_error() -> None:
    assert server_error(200, JSON, b"{") == "not JSON"
