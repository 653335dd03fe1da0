"""REST over HTTP: methods, media types, status codes, limits, what operators see of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from openapi_spec_validator import validate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from router.app import RouterApp
from router.errors import SourceError
from router.settings import Limits, Rate, RateLimits, Settings
from router.telemetry import Telemetry
from tests.router.pipeline.client import Response, call
from tests.router.pipeline.subgraphs import router, subgraphs

PROBLEM = "application/problem+json"
OPERATIONS = {
    "Product": "query Product($upc: ID!) { product(upc: $upc) { upc name } }",
    "Products": "query Products($filter: Filter) { products(filter: $filter) { upc } }",
    "Rename": "mutation Rename($name: String!) { rename(name: $name) { name } }",
    "Erase": "mutation Erase { erase }",
}
ENDPOINTS: list[dict[str, Any]] = [
    {"call": "GET /products/{upc}", "path": {"upc": "upc"}, "operation": "Product", "result": "product"},
    {"call": "POST /products/search", "body": {"*": "filter"}, "operation": "Products", "result": "products"},
    {"call": "PUT /me", "body": {"name": "name"}, "operation": "Rename", "result": "rename"},
    {"call": "DELETE /me", "operation": "Erase", "result": "erase"},
]


def bindings(folder: Path, *endpoints: dict[str, Any]) -> Path:
    """The file, with its manifest beside it."""
    operations = [
        {"id": name, "name": name, "type": body.partition(" ")[0], "body": body} for name, body in OPERATIONS.items()
    ]
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    info = {"title": "t", "version": "1"}
    found = [{"summary": "One", **endpoint} for endpoint in endpoints]
    (folder / "rest.yaml").write_text(yaml.safe_dump({"manifest": "manifest.json", "info": info, "endpoints": found}))
    return folder / "rest.yaml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Four endpoints."""
    return bindings(tmp_path, *ENDPOINTS)


@pytest.fixture
def app(file: Path) -> RouterApp:
    """A router that serves them."""
    return router(subgraphs(), Settings(rest=file, limits=Limits(body_bytes=200), body_timeout=0.05))


async def send(app: RouterApp, method: str, path: str, body: Any = None, **headers: str) -> Response:
    """A request with a JSON body, or none. Header names may be written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {"content-type": "application/json"} if body is not None else {}
    return await call(app, method, path, body=orjson.dumps(body) if body is not None else b"", headers=given | named)


async def start_of_answer(app: RouterApp, method: str, *headers: tuple[bytes, bytes]) -> Any:
    """Status and headers, one by one, of the answer to a request to ``/me`` whose body never comes."""
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def keep(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/me", "query_string": b"", "headers": headers, "client": None}
    await app(scope, receive, keep)
    return sent[0]


async def test_an_answer_is_the_part_that_is_bound(app: RouterApp) -> None:
    answer = await send(app, "GET", "/products/a")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {"upc": "a", "name": "Table"}
    assert (await send(app, "PUT", "/me", {"name": "Eva"})).json == {"name": "Eva"}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("GET", "/products/none", None, {}, 404, "NOT_FOUND"),
        ("PATCH", "/me", {}, {}, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/openapi.json", {}, {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/products/a", None, {"accept": "text/html"}, 406, "NOT_ACCEPTABLE"),
        ("GET", "/products/a", None, {"accept": "application/json;q=0"}, 406, "NOT_ACCEPTABLE"),
        ("PUT", "/me", {"name": "x" * 300}, {}, 413, "LIMIT_EXCEEDED"),
        ("PUT", "/me", {"name": "x"}, {"content_type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("PUT", "/me", {"name": "x"}, {"content_type": "application/json; charset=latin1"}, 415, None),
        ("PUT", "/me", {"name": "x"}, {"content_encoding": "gzip"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("PUT", "/me", {"name": 5}, {}, 400, "BAD_USER_INPUT"),
        ("DELETE", "/me", None, {}, 401, "UNAUTHENTICATED"),
        ("DELETE", "/me", None, {"authorization": "Bearer nonsense"}, 401, "UNAUTHENTICATED"),
    ],
)
async def test_every_refusal_is_a_problem_with_its_status(
    app: RouterApp, method: str, path: str, body: Any, headers: dict[str, str], status: int, code: str | None
) -> None:
    """Its code is for programs, its trace id for whoever asks us why."""
    refused = await send(app, method, path, body, **headers)
    assert (refused.status, refused.headers["content-type"]) == (status, PROBLEM), refused.body
    assert refused.json["status"] == status
    assert refused.json["code"] == (code or refused.json["code"])
    assert len(refused.json["traceId"]) == 32
    assert ("www-authenticate" in refused.headers) == (status == 401)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/me", "DELETE, OPTIONS, PUT"),
        ("/products/a", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
async def test_allow_says_what_a_path_takes(app: RouterApp, path: str, allowed: str) -> None:
    """In the answer to OPTIONS, and in that to any method it does not take."""
    asked, refused = await send(app, "OPTIONS", path), await send(app, "PATCH", path)
    assert (asked.status, asked.headers["allow"], asked.body) == (204, allowed, b"")
    assert (refused.status, refused.headers["allow"]) == (405, allowed)


async def test_a_page_of_an_allowed_origin_may_ask(file: Path) -> None:
    """The answer to its preflight names the path's methods; another origin's gets no leave."""
    app = router(subgraphs(), Settings(rest=file, cors_origins=("https://store.example",)))
    start = await start_of_answer(app, "OPTIONS", (b"origin", b"https://store.example"))
    given = [value for name, value in start["headers"] if name == b"access-control-allow-origin"]
    assert given == [b"https://store.example"], "browsers take one"
    assert (b"access-control-allow-methods", b"DELETE, OPTIONS, PUT") in start["headers"]
    read = await send(app, "GET", "/products/a", origin="https://store.example")
    assert read.headers["access-control-allow-origin"] == "https://store.example"
    assert "access-control-allow-origin" not in (await send(app, "OPTIONS", "/me", origin="https://x.example")).headers


async def test_head_is_get_without_the_body(app: RouterApp) -> None:
    """Status and headers are those of GET, the length too."""
    for path in ("/products/a", "/products/none", "/openapi.json"):
        whole, head = await send(app, "GET", path), await send(app, "HEAD", path)
        assert (head.status, head.headers["content-type"]) == (whole.status, whole.headers["content-type"])
        if whole.status == 200:
            assert head.headers["content-length"] == str(len(whole.body))
        assert head.body == b"", path


async def test_a_body_that_does_not_come_is_not_waited_for(app: RouterApp) -> None:
    """408, and the connection ends: what comes later is not a request."""
    start = await start_of_answer(app, "PUT", (b"content-type", b"application/json"))
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]


async def test_who_asks_too_often_is_told_when_to_come_back(file: Path) -> None:
    """429 with Retry-After, as over GraphQL."""
    rates = RateLimits(anonymous=Rate(per_second=0.5, burst=1))
    app = router(subgraphs(), Settings(rest=file, rate_limits=rates))
    assert (await call(app, "GET", "/products/a", peer="192.0.2.1")).status == 200
    refused = await call(app, "GET", "/products/a", peer="192.0.2.1")
    assert (refused.status, refused.json["code"]) == (429, "RATE_LIMITED")
    assert 1 <= int(refused.headers["retry-after"]) <= 2


async def test_bindings_that_do_not_fit_are_refused_at_reload(app: RouterApp, file: Path) -> None:
    """The old ones go on; good ones are taken."""
    endpoint = {"call": "GET /people/{id}", "path": {"id": "id"}, "operation": "Product", "result": "product"}
    bindings(file.parent, *ENDPOINTS, endpoint)
    with pytest.raises(SourceError, match=r"Product has no variable \$id"):
        await app.reload()
    assert (await send(app, "GET", "/products/a")).status == 200
    assert (await send(app, "GET", "/people/a")).status == 404
    bindings(file.parent, {**endpoint, "path": {"id": "upc"}})
    await app.reload()
    assert (await send(app, "GET", "/people/a")).json == {"upc": "a", "name": "Table"}
    assert (await send(app, "GET", "/products/a")).headers["content-type"].startswith("text/plain")


async def test_get_changes_nothing(tmp_path: Path) -> None:
    """Bindings that let a GET run a mutation are refused: it may be sent twice, or by another site's page."""
    file = bindings(tmp_path, {"call": "GET /erase", "operation": "Erase", "result": "erase"})
    with pytest.raises(SourceError, match="GET runs queries only"):
        router(subgraphs(), Settings(rest=file))


async def test_requests_over_rest_are_measured_and_traced(file: Path) -> None:
    """By status; the span has the template for its name, not what somebody wrote in the path."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = Telemetry(tracer=provider.get_tracer("router"))
    app = router(subgraphs(), Settings(rest=file), telemetry=telemetry)
    for path in ("/products/a", "/products/none"):
        await send(app, "GET", path)
    count = "http_server_request_duration_seconds_count"
    for status in ("200", "404"):
        assert telemetry.registry.get_sample_value(count, {"http_response_status_code": status}) == 1
    names = [span.name for span in exporter.get_finished_spans()]
    assert names.count("GET /products/{upc}") == 2
    assert "fetch catalog" in names


async def test_the_document_is_served_and_written(app: RouterApp, file: Path, tmp_path: Path) -> None:
    """Valid OpenAPI, the same from the server and from the command; bindings that do not fit have no document."""
    served = (await send(app, "GET", "/openapi.json")).json
    validate(served)
    supergraph = tmp_path / "supergraph.graphql"
    supergraph.write_text(app.supergraph_sdl)
    command = [sys.executable, "-m", "router", "openapi", "--supergraph", str(supergraph), "--bindings", str(file)]
    written = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert json.loads(written.stdout) == served
    bindings(tmp_path, {**ENDPOINTS[0], "operation": "Nothing"})
    refused = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert 'no operation "Nothing"' in refused.stderr
