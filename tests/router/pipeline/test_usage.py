"""Who uses what: published operations by client, and what of the graph is deprecated."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from graphql import OperationDefinitionNode, build_schema, parse
from typer.testing import CliRunner

from router.__main__ import app as commands
from router.app import RouterApp
from router.pipeline.deprecated import Deprecations
from router.pipeline.health import Health
from router.pipeline.serving import InternalDoor, listening
from router.settings import RateLimits, Settings
from router.telemetry.usage import lines
from tests.router.pipeline import subgraphs as parts
from tests.router.pipeline.client import call, post
from tests.router.pipeline.persisting import client, digest, manifest
from tests.router.pipeline.subgraphs import Served, router, subgraphs
from tests.support.process import free_port

SCHEMA = build_schema("""
enum Size { S L @deprecated(reason: "XL") }
input Inner { size: Size old: Int @deprecated(reason: "new") new: Int }
input Filter { inner: [Inner!] plain: Int also: Filter }
interface Node { id: ID! @deprecated(reason: "key") }
type Item implements Node { id: ID! size: Size name(upper: Boolean @deprecated(reason: "no"), size: Size): String }
type Query {
  items(filter: Filter, sizes: [Size!]): [Item] old: Item @deprecated(reason: "items") node: Node plain(a: Int): Int
}
""")
ALL = Deprecations(SCHEMA)
FRAGMENTS = "fragment F on Node { id } fragment G on Item { id }"
SENDS = "query ($f: Filter, $s: [Size!], $n: Int) { items(filter: $f, sizes: $s) { id } plain(a: $n) }"


def used(text: str, variables: dict[str, Any] | None = None) -> set[str]:
    document = parse(text)
    definition = next(one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    return set(ALL.of(document, definition)(variables or {}))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{ items { id size } plain }", set()),
        ("{ old { id } }", {"Query.old"}),
        ("{ alias: old { __typename } }", {"Query.old"}),
        ("{ node { id } }", {"Node.id"}),
        ("{ node { ... on Item { id } } }", set()),
        ("{ items { name(upper: true) } }", {"Item.name(upper:)"}),
        ("{ items { ...F } } fragment F on Item { name(upper: true, size: L) }", {"Item.name(upper:)", "Size.L"}),
        ("{ items(sizes: [S, L]) { id } }", {"Size.L"}),
        ("{ items(filter: {inner: {old: 1}}) { id } }", {"Inner.old"}),
        ("{ items(filter: {also: {inner: [{size: L}]}}) { id } }", {"Size.L"}),
        ("query A { plain } query B { old { id } }", set()),
        ("query A { node { ...F } } query B { old { ...G } } " + FRAGMENTS, {"Node.id"}),
    ],
)
def test_what_is_written_is_found(text: str, found: set[str]) -> None:
    """Through aliases and fragments, in lists and input objects; of the operation that runs, and of no other."""
    assert used(text) == found


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, set()),
        ({"f": None, "s": None}, set()),
        ({"f": {"plain": 1}, "s": ["S"]}, set()),
        ({"s": ["S", "L"]}, {"Size.L"}),
        ({"s": "L"}, {"Size.L"}),
        ({"f": {"inner": [{"new": 1}, {"old": None}]}}, {"Inner.old"}),
        ({"f": {"also": {"also": {"inner": {"size": "L"}}}}}, {"Size.L"}),
    ],
)
def test_what_is_sent_is_found(variables: dict[str, Any], found: set[str]) -> None:
    """Values of variables count when they are sent, at any depth, and single ones for lists too."""
    assert used(SENDS, variables) == found


def test_what_is_not_sent_is_not_used() -> None:
    """A default that the schema has is nobody's use."""
    assert used("query ($s: [Size!] = [L]) { items(sizes: $s) { id } }") == {"Size.L"}
    assert used("query ($f: Filter) { items(filter: $f) { id } }") == set()


# --- counted --------------------------------------------------------------------------------------------------------

ME, LATEST = "query Me { me { id } }", "query Latest { latest { body } }"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RouterApp:
    """A graph with something deprecated; a partner with two operations, and one that is for everybody."""
    old = parts.CATALOG.replace("price: Int", 'price: Int @deprecated(reason: "cost")')
    served = subgraphs()
    served["catalog"] = Served("catalog", old)
    settings = Settings(
        clients={
            "partner": client("key", manifest(tmp_path / "partner.json", Me=ME, Latest=LATEST)),
            "web": client(None, manifest(tmp_path / "web.json", Cheap="query Cheap { products { price } }")),
        },
        rate_limits=RateLimits(enabled=False),
    )
    return router(served, settings)


async def run(app: RouterApp, text: str, **headers: str) -> None:
    body = orjson.dumps({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest(text)}}})
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await call(app, body=body, headers=named)
    assert "errors" not in answer.json


def count(app: RouterApp, **labels: str) -> float | None:
    name = "router_deprecated_uses_total" if "coordinate" in labels else "router_operation_uses_total"
    return app.telemetry.registry.get_sample_value(name, labels)


async def test_operations_are_counted_by_client(app: RouterApp) -> None:
    """A published one by its name; everything else is one, however it is called."""
    for _ in range(2):
        await run(app, ME, x_api_key="key")
    for name in ("Latest", "Me", "Anything"):
        await post(app, f"query {name} {{ latest {{ stars }} }}")
    await post(app, "query Wrong { nothing }")
    assert count(app, client="partner", operation="Me") == 2
    assert count(app, client="-", operation="other") == 3
    assert b"Anything" not in app.telemetry.exposition()


async def test_deprecated_fields_are_counted_by_who_uses_them(app: RouterApp) -> None:
    await run(app, "query Cheap { products { price } }")
    await post(app, "{ products { price upc } }", x_api_key="key")
    await post(app, "{ products { upc } }", x_api_key="key")
    assert count(app, coordinate="Product.price", client="-", operation="Cheap") == 1
    assert count(app, coordinate="Product.price", client="partner", operation="other") == 1


@pytest.mark.parametrize("depth", [100, 450, 1000])
async def test_variables_that_are_nested_too_deeply_are_the_clients_mistake(depth: int) -> None:
    """However deep, and whatever of the type is deprecated: no error of ours."""
    recursive = parts.CATALOG.replace("first: Int! = 5 }", 'also: Filter old: Int @deprecated(reason: "x") }')
    served = subgraphs()
    served["catalog"] = Served("catalog", recursive)
    value = '{"also":' * depth + '{"old":1}' + "}" * depth
    query = "query($f:Filter){products(filter:$f){upc}}"
    body = b'{"query":"%b","variables":{"f":%b}}' % (query.encode(), value.encode())
    answer = await call(router(served), body=body, headers={"content-type": "application/json"})
    assert answer.status == 200
    codes = {error["extensions"]["code"] for error in answer.json.get("errors", [])}
    assert codes <= {"BAD_USER_INPUT", "SUBGRAPH_ERROR"}


async def test_operators_get_a_report(app: RouterApp) -> None:
    """With what is published and unused; also for people."""
    await run(app, ME, x_api_key="key")
    await run(app, "query Cheap { products { price } }")
    door = InternalDoor(app.telemetry.exposition, Health(), usage=app.usage)
    report = (await call(door, "GET", "/usage")).json  # type: ignore[arg-type]
    operations = {(one["client"], one["operation"]): one for one in report["operations"]}
    assert {key: one["count"] for key, one in operations.items()} == {
        ("-", "Cheap"): 1,
        ("partner", "Latest"): 0,
        ("partner", "Me"): 1,
    }
    assert operations["partner", "Latest"]["last"] is None
    assert operations["partner", "Me"]["last"] >= report["since"]
    assert [(one["coordinate"], one["operation"]) for one in report["deprecated"]] == [("Product.price", "Cheap")]
    printed = "\n".join(lines(report))
    assert "never" in printed
    assert "Product.price, in Cheap" in printed
    assert (await call(InternalDoor(app.telemetry.exposition, Health()), "GET", "/usage")).status == 404  # type: ignore[arg-type]


async def test_paths_are_counted_as_the_operations_that_they_run(tmp_path: Path) -> None:
    """A path's operation is published too, by the file that binds it."""
    manifest(tmp_path / "bound.json", Me=ME, Latest=LATEST)
    (tmp_path / "rest.yaml").write_text(
        "{manifest: bound.json, info: {title: t, version: '1'}, endpoints: ["
        "{call: GET /me, summary: s, operation: Me, result: me},"
        "{call: GET /latest, summary: s, operation: Latest, result: latest}]}"
    )
    app = router(subgraphs(), Settings(rest=tmp_path / "rest.yaml", rate_limits=RateLimits(enabled=False)))
    assert (await call(app, "GET", "/me")).json == {"id": "1"}
    report = orjson.loads(app.usage())
    assert [(one["client"], one["operation"], one["count"]) for one in report["operations"]] == [
        ("-", "Latest", 0),
        ("-", "Me", 1),
    ]


async def test_the_report_is_a_command(app: RouterApp) -> None:
    """For people or as JSON, of everything or of what is unused; without a router it fails and says so."""
    port = free_port()
    async with listening(InternalDoor(app.telemetry.exposition, Health(), usage=app.usage), "127.0.0.1", port):
        await run(app, ME, x_api_key="key")

        def command(*arguments: str) -> Any:
            return CliRunner().invoke(commands, ["usage", "--url", f"http://127.0.0.1:{port}/", *arguments])

        shown = await asyncio.to_thread(command)
        assert (shown.exit_code, "Me" in shown.output, "Latest" in shown.output) == (0, True, True)
        unused = orjson.loads((await asyncio.to_thread(command, "--unused", "--json")).output)
        assert {one["operation"] for one in unused["operations"]} == {"Latest", "Cheap"}
    assert (await asyncio.to_thread(command)).exit_code == 1


async def test_documents_are_looked_up(app: RouterApp) -> None:
    """Hits and misses of both caches can be watched."""
    for _ in range(3):
        await post(app, "{me{id}}")
    for cache in ("documents", "plans"):
        for outcome, expected in (("hit", 2), ("miss", 1)):
            labels = {"cache": cache, "outcome": outcome}
            assert app.telemetry.registry.get_sample_value("router_cache_lookups_total", labels) == expected
