"""Persisted operations: what clients may ask for by name instead of sending its text.

A manifest is a file in the format of Apollo's ``generate-persisted-query-manifest``::

    {"format": "apollo-persisted-query-manifest", "version": 1,
     "operations": [{"id": "<sha256 of body>", "name": "Orders", "type": "query", "body": "query Orders {...}"}]}

An id of 64 hexadecimal digits is taken for a hash and must be the body's; any other id is a name that the manifest's
author chose.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from graphql import GraphQLError, OperationDefinitionNode, parse

from router.errors import SourceError
from router.operation.model import OperationKind

FORMAT = "apollo-persisted-query-manifest"
VERSION = 1
HASH = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class PersistedOperation:
    """One operation of a manifest; ``body`` is the text of a document with this operation and its fragments."""

    id: str
    name: str
    kind: OperationKind
    body: str


class Manifest:
    """The operations of one manifest."""

    def __init__(self, operations: Sequence[PersistedOperation]) -> None:
        """Raises SourceError when two operations have one id or one name."""
        self.operations = tuple(operations)
        self.by_id: Mapping[str, PersistedOperation] = _index("id", [(one.id, one) for one in operations])
        self.by_name: Mapping[str, PersistedOperation] = _index("name", [(one.name, one) for one in operations])
        self.by_body: Mapping[str, PersistedOperation] = {one.body: one for one in operations}


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest. Raises SourceError, which names the file and what is wrong with which operation."""
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"Cannot read the manifest {path}: {error.strerror}.") from error
    except orjson.JSONDecodeError as error:
        raise SourceError(f"The manifest {path} is not JSON: {error}.") from error
    try:
        return _manifest(document)
    except SourceError as error:
        raise SourceError(f"The manifest {path} cannot be used: {error}") from None


def document_hash(text: str) -> str:
    """The SHA-256 of a document's text, as clients name it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _manifest(document: Any) -> Manifest:
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.get("version") != VERSION:
        raise SourceError(f'it must be an object with "format": "{FORMAT}" and "version": {VERSION}.')
    operations = document.get("operations")
    if not isinstance(operations, list):
        raise SourceError('its "operations" must be a list.')
    return Manifest([_operation(number, entry) for number, entry in enumerate(operations, 1)])


def _operation(number: int, entry: Any) -> PersistedOperation:
    if not isinstance(entry, dict) or not all(
        isinstance(entry.get(member), str) and entry[member] for member in ("id", "name", "type", "body")
    ):
        raise SourceError(f'operation {number} must have "id", "name", "type" and "body", each a string.')
    id_, name, kind, body = entry["id"], entry["name"], entry["type"], entry["body"]
    if HASH.fullmatch(id_):
        id_ = id_.lower()
        if id_ != (actual := document_hash(body)):
            message = f'operation "{name}" has the id {id_}, but its body has the hash {actual}.'
            raise SourceError(f"{message} Generate the manifest anew.")
    try:
        found = [node for node in parse(body).definitions if isinstance(node, OperationDefinitionNode)]
    except GraphQLError as error:
        raise SourceError(f'the body of operation "{name}" is not GraphQL: {error.message}') from None
    if len(found) != 1 or found[0].name is None or found[0].name.value != name or found[0].operation.value != kind:
        raise SourceError(f'the body of operation "{name}" must hold that {kind} and no other operation.')
    return PersistedOperation(id_, name, found[0].operation.value, body)


def _index(what: str, entries: list[tuple[str, PersistedOperation]]) -> dict[str, PersistedOperation]:
    found: dict[str, PersistedOperation] = {}
    for key, operation in entries:
        if key in found:
            raise SourceError(f'the {what} "{key}" is given to two operations.')
        found[key] = operation
    return found
