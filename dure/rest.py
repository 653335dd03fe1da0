"""``schema/rest/``: the manifest of the operations behind the REST endpoints, and the OpenAPI document."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from graphql import OperationDefinitionNode, parse, print_ast, separate_operations

from dure.errors import StartError
from router.errors import RouterError
from router.pipeline.persisted import FORMAT, VERSION
from router.pipeline.rest.bindings import read_bindings
from router.pipeline.rest.openapi import openapi
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph

FOLDER = Path("rest")
BINDINGS = FOLDER / "rest.yaml"


def manifest(operations: str) -> str:
    """The manifest of a file of operations: each a document of its own, with the fragments that it uses."""
    entries: list[dict[str, str]] = []
    for name, document in separate_operations(parse(operations)).items():
        body = print_ast(document)
        kinds = [node.operation.value for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        id_ = hashlib.sha256(body.encode()).hexdigest()
        entries.append({"id": id_, "name": name, "type": kinds[0], "body": body})
    return _json({"format": FORMAT, "version": VERSION, "operations": entries})


def files(folder: Path, supergraph: str) -> dict[Path, str]:
    """What ``schema/rest`` must hold beside what is written by hand. Raises StartError for bindings that do not fit."""
    made = manifest((folder / FOLDER / "operations.graphql").read_text())
    schema = api_schema(load_supergraph(supergraph))
    with TemporaryDirectory() as place:  # the bindings are read beside their manifest, which may have to be written yet
        bindings = Path(place) / BINDINGS.name
        bindings.write_text((folder / BINDINGS).read_text())
        (Path(place) / "manifest.json").write_text(made)
        try:
            document = openapi(read_bindings(bindings, schema), schema)
        except RouterError as error:
            raise StartError(str(error)) from None
    return {FOLDER / "manifest.json": made, FOLDER / "openapi.json": _json(document)}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
