"""REST bindings: what is accepted, and that every mistake in a file is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from graphql import build_schema
from openapi_spec_validator import validate

from router.errors import SourceError
from router.pipeline.rest.bindings import read_bindings
from router.pipeline.rest.endpoint import Rest
from router.pipeline.rest.openapi import openapi
from router.pipeline.rest.problems import Problem

SCHEMA = build_schema(
    """
    scalar Decimal
    enum Size { SMALL LARGE }
    input Part { name: String! weight: Int = 1 }
    input New { title: String! price: Decimal size: Size parts: [Part!] }
    interface Oops { code: String! message: String! }
    type Bad implements Oops { code: String! message: String! }
    type Thing { id: ID! title: String! price: Decimal size: Size }
    type Made { thing: Thing errors: [Oops!]! }
    type Query { thing(id: ID!): Thing things(first: Int, sizes: [Size!]): [Thing!] }
    type Mutation { make(new: New!, key: String): Made! remake(id: ID!, version: Int!, new: New!): Made! }
    """
)
BODIES = {
    "Thing": "query Thing($id: ID!) { thing(id: $id) { ...T } } fragment T on Thing { id title price size }",
    "Things": "query Things($first: Int, $sizes: [Size!]) { things(first: $first, sizes: $sizes) { id } }",
    "Make": "mutation Make($new: New!, $key: String!) "
    "{ make(new: $new, key: $key) { thing { ...T } errors { code message } } } "
    "fragment T on Thing { id title price size }",
    "Remake": "mutation Remake($id: ID!, $version: Int!, $new: New!) "
    "{ remake(id: $id, version: $version, new: $new) { thing { id } errors { message } } }",
}
GOOD: list[dict[str, Any]] = [
    {"call": "GET /things/{id}", "summary": "One", "path": {"id": "id"}, "operation": "Thing", "result": "thing"},
    {
        "call": "GET /things",
        "summary": "All",
        "query": {"first": "first", "size": "sizes"},
        "operation": "Things",
        "result": "things",
    },
    {
        "call": "POST /things",
        "summary": "New",
        "status": 201,
        "headers": {"Idempotency-Key": "key"},
        "body": {"*": "new"},
        "operation": "Make",
        "result": "make.thing",
        "errors": "make.errors",
    },
    {
        "call": "PUT /things/{id}",
        "summary": "Again",
        "path": {"id": "id"},
        "body": {"version": "version", "*": "new"},
        "operation": "Remake",
        "result": "remake.thing",
    },
]


def _file(folder: Path, endpoints: list[dict[str, Any]], **more: Any) -> Path:
    kinds = {name: body.partition(" ")[0] for name, body in BODIES.items()}
    operations = [{"id": name, "name": name, "type": kinds[name], "body": body} for name, body in BODIES.items()]
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    path = folder / "rest.yaml"
    info = {"title": "t", "version": "1"}
    path.write_text(yaml.safe_dump({"manifest": "manifest.json", "info": info, "endpoints": endpoints, **more}))
    return path


def _rest(folder: Path, **more: Any) -> Rest:
    return Rest(read_bindings(_file(folder, GOOD, **more), SCHEMA), SCHEMA)


def test_the_document_of_good_bindings_is_valid_openapi(tmp_path: Path) -> None:
    """Enums, inputs, own scalars and fragments are components; null is a type."""
    document = openapi(read_bindings(_file(tmp_path, GOOD), SCHEMA), SCHEMA)
    validate(document)
    schemas = document["components"]["schemas"]
    assert set(schemas) == {"Decimal", "New", "Part", "Problem", "Size", "T"}
    assert schemas["New"]["required"] == ["title"]
    assert schemas["T"]["properties"]["price"] == {
        "anyOf": [{"$ref": "#/components/schemas/Decimal"}, {"type": "null"}]
    }
    body = document["paths"]["/things/{id}"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["required"]) == {"version", "title"}
    assert set(body["properties"]) == {"version", "title", "price", "size", "parts"}


@pytest.mark.parametrize(
    ("number", "change", "told"),
    [
        (0, {"operation": "Nothing"}, 'the manifest has no operation "Nothing"'),
        (0, {"result": "thin"}, 'Thing selects nothing at "thin"'),
        (0, {"path": {}}, '"path" must name the parameters of the path'),
        (0, {"path": {"id": "idd"}}, "Thing has no variable $idd"),
        (0, {"body": {"x": "id"}}, "GET has no body"),
        (0, {"call": "GET things"}, "endpoints.0.call"),
        (0, {"colour": "red"}, "endpoints.0.colour"),
        (1, {"call": "GET /things/{other}", "path": {"other": "first"}}, "GET /things/{id} has this path already"),
        (2, {"headers": {}}, "nothing of the request becomes $key of Make"),
        (2, {"headers": {"Idempotency-Key": "key", "Again": "key"}}, '$key of Make is "Again" already'),
        (2, {"headers": {"Idempotency-Key": "key", "New": "new"}, "body": {}}, "New! cannot be read from text"),
        (2, {"errors": "make.thing"}, 'Make has no list of errors at "make.thing"'),
        (3, {"errors": "remake.errors"}, 'Remake does not select code at "remake.errors"'),
        (3, {"body": {"version": "version", "*": "id"}}, "is not an input object"),
        (3, {"body": {"title": "version", "*": "new"}}, "title would be a property and a field"),
    ],
)
def test_every_mistake_is_told(tmp_path: Path, number: int, change: dict[str, Any], told: str) -> None:
    """The file, the endpoint and what is wrong with it, beside the mistakes of the others."""
    endpoints = [dict(one) for one in GOOD]
    endpoints[number] |= change
    with pytest.raises(SourceError) as raised:
        read_bindings(_file(tmp_path, endpoints), SCHEMA)
    assert told in str(raised.value)
    read_bindings(_file(tmp_path, GOOD), SCHEMA)


def test_two_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to start the router twice to hear of both."""
    endpoints = [GOOD[0] | {"result": "x"}, GOOD[1] | {"result": "y"}]
    with pytest.raises(SourceError, match=r'(?s)at "x".*at "y"'):
        read_bindings(_file(tmp_path, endpoints), SCHEMA)


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "place"),
    [
        ("GET", "/things", b"first=1.5", b"", {"in": "query", "name": "first"}),
        ("GET", "/things", b"first=1&first=2", b"", {"in": "query", "name": "first"}),
        ("GET", "/things", b"other=1", b"", {"in": "query", "name": "other"}),
        ("GET", "/things", b"size=TINY", b"", {"in": "query", "name": "size"}),
        ("POST", "/things", b"", b'{"title": 1}', {"in": "body", "pointer": "/title"}),
        ("POST", "/things", b"", b'{"title": "a", "parts": [{}]}', {"in": "body", "pointer": "/parts/0"}),
        ("POST", "/things", b"", b'{"title": "a", "parts": {"name": "b"}}', {"in": "body", "pointer": "/parts"}),
        ("POST", "/things", b"", b'{"title": "a", "zzz": 1}', {"in": "body", "pointer": ""}),
        ("POST", "/things", b"", b"[]", {"in": "body", "pointer": ""}),
        ("POST", "/things", b"", b'{"title": "a", "zzz": ' + b"[" * 900 + b"]" * 900 + b"}", {"in": "body"}),
        ("PUT", "/things/5", b"", b'{"title": "a"}', {"in": "body", "pointer": ""}),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, method: str, path: str, query: bytes, body: bytes, place: dict[str, str]
) -> None:
    """400, and where in the request the mistake is; the value is not repeated."""
    rest = _rest(tmp_path)
    match = rest.paths.find(path)
    assert match is not None
    endpoint = match.endpoints[method]
    reader = rest.readers[method, endpoint.path]
    with pytest.raises(Problem) as raised:
        reader.read(match.segments, query, {"idempotency-key": "k"}, body)
    assert raised.value.status == 400
    assert any(place.items() <= reason.items() for reason in raised.value.errors), raised.value.errors


def test_what_fits_becomes_variables(tmp_path: Path) -> None:
    """Path and query are read by type, the rest of the body is the input object."""
    rest = _rest(tmp_path)
    listed = rest.readers["GET", "/things"].read((), b"first=-3&size=SMALL&size=LARGE", {}, b"")[1]
    assert listed == {"first": -3, "sizes": ["SMALL", "LARGE"]}
    body = b'{"version": 2, "title": "a", "parts": [{"name": "b"}]}'
    changed = rest.readers["PUT", "/things/{id}"].read(("a/b",), b"", {}, body)[1]
    assert changed == {"id": "a/b", "version": 2, "new": {"title": "a", "parts": [{"name": "b"}]}}


def test_a_segment_may_hold_an_escaped_slash_and_is_never_empty(tmp_path: Path) -> None:
    """Paths are taken apart before they are decoded."""
    paths = _rest(tmp_path).paths
    found = paths.find("/things/a%2Fb")
    assert found is not None
    assert found.segments == ("a/b",)
    assert paths.find("/things/") is None
    assert paths.find("/things/a/b") is None
