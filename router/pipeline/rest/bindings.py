"""Reads a bindings file and checks it against the graph: every mistake is told at once.

::

    manifest: manifest.json            # the persisted operations, beside this file
    info: {title: My shop, version: "1"}
    scalars: {Decimal: {type: string}} # JSON Schema of the graph's own scalars
    statuses: {NOT_FOUND: 404}         # HTTP status of user errors, by code; 422 for the rest
    endpoints:
      - call: PUT /products/{productId}
        summary: Change a product
        path: {productId: id}          # parameter: variable
        body: {version: version, "*": input}   # property: variable; "*": the other properties, an input object
        operation: ProductUpdate
        result: productUpdate.product  # the answer's body; null is answered with 404
        errors: productUpdate.userErrors

``query`` and ``headers`` are written like ``path``. In place of ``operation``, ``body``, ``result`` and ``errors``,
``oneOf`` may list several sets of them: the one is run whose required body properties are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from graphql import GraphQLSchema
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from router.errors import SourceError
from router.pipeline.persisted import read_manifest
from router.pipeline.rest.binding import Checker
from router.pipeline.rest.model import Api, Call, Endpoint
from router.pipeline.rest.paths import parameters, shape

DEFAULT_STATUS = 422


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OneCall(_Strict):
    """What runs, and what of it is the answer."""

    operation: str
    result: str = Field(pattern=r"^\w+(\.\w+)*$")
    errors: str | None = Field(default=None, pattern=r"^\w+(\.\w+)*$")
    body: dict[str, str] = {}


class EndpointEntry(_Strict):
    """An entry of ``endpoints``."""

    call: str = Field(pattern=r"^(GET|POST|PUT|PATCH|DELETE) /\S*$")
    summary: str
    tag: str | None = None
    status: int = Field(default=200, ge=200, le=299)
    path: dict[str, str] = {}
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    operation: str | None = None
    result: str | None = None
    errors: str | None = None
    body: dict[str, str] = {}
    oneOf: list[OneCall] = []


class Info(_Strict):
    """OpenAPI's ``info``."""

    title: str
    version: str
    description: str = ""


class Bindings(_Strict):
    """The file."""

    manifest: str
    info: Info
    scalars: dict[str, dict[str, Any]] = {}
    statuses: dict[str, int] = {}
    endpoints: list[EndpointEntry]


def read_bindings(path: Path, schema: GraphQLSchema) -> Api:
    """The endpoints of a bindings file, checked against the API schema. Raises SourceError with every mistake."""
    try:
        bindings = Bindings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SourceError(f"Cannot read the REST bindings {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise SourceError(f"The REST bindings {path} are not YAML: {error}") from error
    except ValidationError as error:
        reasons = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise _refused(path, reasons) from None
    manifest = read_manifest(path.parent / bindings.manifest)
    reasons = list(_clashes(bindings))
    endpoints = []
    for entry in bindings.endpoints:
        checker = Checker(schema, manifest, bindings.scalars)
        endpoint = _endpoint(entry, checker)
        reasons += [f"{entry.call}: {reason}" for reason in checker.reasons]
        endpoints.append(endpoint)
    if reasons:
        raise _refused(path, reasons)
    info = bindings.info
    return Api(
        info.title,
        info.version,
        info.description,
        tuple(one for one in endpoints if one is not None),
        bindings.statuses,
        DEFAULT_STATUS,
        bindings.scalars,
    )


def manifest_of(path: Path) -> Path | None:
    """The manifest that a bindings file names; None where it cannot be told."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    named = document.get("manifest") if isinstance(document, dict) else None
    return path.parent / named if isinstance(named, str) else None


def _refused(path: Path, reasons: list[str]) -> SourceError:
    return SourceError(f"The REST bindings {path} cannot be used:\n" + "\n".join(f"- {reason}" for reason in reasons))


def _clashes(bindings: Bindings) -> Iterator[str]:
    seen: dict[tuple[str, str], str] = {}
    names: dict[str, tuple[str, ...]] = {}
    for entry in bindings.endpoints:
        method, _, path = entry.call.partition(" ")
        if other := seen.get((method, shape(path))):
            yield f"{entry.call}: {other} has this path already."
        seen[method, shape(path)] = entry.call
        if names.setdefault(shape(path), parameters(path)) != parameters(path):
            yield f"{entry.call}: the same path has parameters of other names at another method."
    for code, status in bindings.statuses.items():
        if not 400 <= status <= 599:
            yield f"statuses.{code}: {status} is no status of an error."


def _endpoint(entry: EndpointEntry, checker: Checker) -> Endpoint | None:
    method, _, path = entry.call.partition(" ")
    if entry.oneOf and (entry.operation or entry.result or entry.errors or entry.body):
        checker.refuse('with "oneOf", operations, bodies, results and errors stand in its entries.')
    if not entry.oneOf and (entry.operation is None or entry.result is None):
        checker.refuse('"operation" and "result" must be given.')
        return None
    if set(entry.path) != set(parameters(path)):
        checker.refuse('"path" must name the parameters of the path, each once.')
    wanted = entry.oneOf or [
        OneCall(operation=entry.operation or "", result=entry.result or "", errors=entry.errors, body=entry.body)
    ]
    if method == "GET" and any(one.body for one in wanted):
        checker.refuse("GET has no body.")
    places: Mapping[str, Mapping[str, str]] = {"path": entry.path, "query": entry.query, "header": entry.headers}
    calls = [call for one in wanted if (call := checker.call(one.operation, one.result, one.errors, one.body, places))]
    if method == "GET" and any(call.operation.kind != "query" for call in calls):
        checker.refuse("GET runs queries only: whoever asks again must change nothing.")
    _check_choice(calls, checker)
    return Endpoint(method, path, entry.summary, entry.tag, entry.status, tuple(calls))  # type: ignore[arg-type]


def _check_choice(calls: list[Call], checker: Checker) -> None:
    """One of several calls must be told by its required properties, and their parameters be of the same types."""
    for index, call in enumerate(calls):
        for other in calls[:index]:
            mine, others = call.required_properties, other.required_properties
            if mine <= others or others <= mine:
                names = f"{other.operation.name} and {call.operation.name}"
                checker.refuse(f"{names} cannot be told apart by the body properties that they require.")
            kinds = [
                {(a.place, a.name): str(a.type) for a in one.of("path", "query", "header")} for one in (call, other)
            ]
            if kinds[0] != kinds[1]:
                checker.refuse(f"{call.operation.name} and {other.operation.name} have parameters of different types.")
