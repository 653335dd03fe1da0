"""What a supergraph says of caching: ``@cacheControl`` on types and fields, ``@cacheTag`` by subgraph.

``@cacheControl(maxAge, scope, inheritMaxAge)`` has Apollo Server's meaning. It reaches the supergraph by
``@composeDirective``, so several subgraphs' hints for one element may stand there: the strictest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    ConstDirectiveNode,
    DocumentNode,
    InterfaceTypeDefinitionNode,
    ObjectTypeDefinitionNode,
    UnionTypeDefinitionNode,
    value_from_ast_untyped,
)

CACHE_CONTROL = "cacheControl"
JOIN_DIRECTIVE = "join__directive"
CACHE_TAG = "federation__cacheTag"


@dataclass(frozen=True, slots=True)
class Hint:
    """``max_age`` in seconds; None says nothing of it. ``inherit``: as long as the parent."""

    max_age: int | None = None
    private: bool = False
    inherit: bool = False


@dataclass(frozen=True, slots=True)
class Hints:
    """By type name and by coordinate (``Type.field``). ``tags``: formats, by subgraph and either of these."""

    types: Mapping[str, Hint]
    fields: Mapping[str, Hint]
    tags: Mapping[tuple[str, str], tuple[str, ...]]

    @property
    def exist(self) -> bool:
        """Whether anything may be cached by the schema alone."""
        return bool(self.types or self.fields)


def read_hints(document: DocumentNode, graphs: Mapping[str, str]) -> Hints:
    """The hints of a supergraph document; ``graphs`` gives the subgraph's name for a value of the graph enum."""
    types: dict[str, Hint] = {}
    fields: dict[str, Hint] = {}
    tags: dict[tuple[str, str], tuple[str, ...]] = {}
    for node in document.definitions:
        if not isinstance(node, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode | UnionTypeDefinitionNode):
            continue
        own = list(map(_read, node.directives or ()))
        if (hint := _strictest(own)) is not None:
            types[node.name.value] = hint
        _add_tags(tags, node.name.value, own, graphs)
        if isinstance(node, UnionTypeDefinitionNode):
            continue
        for field in node.fields or ():
            coordinate, own = f"{node.name.value}.{field.name.value}", list(map(_read, field.directives or ()))
            if (hint := _strictest(own)) is not None:
                fields[coordinate] = hint
            _add_tags(tags, coordinate, own, graphs)
    return Hints(types, fields, tags)


def _read(node: ConstDirectiveNode) -> tuple[str, dict[str, Any]]:
    return node.name.value, {a.name.value: value_from_ast_untyped(a.value) for a in node.arguments or ()}


def _strictest(directives: Iterable[tuple[str, dict[str, Any]]]) -> Hint | None:
    found = [arguments for name, arguments in directives if name == CACHE_CONTROL]
    if not found:
        return None
    ages = [arguments["maxAge"] for arguments in found if isinstance(arguments.get("maxAge"), int)]
    private = any(arguments.get("scope") == "PRIVATE" for arguments in found)
    return Hint(min(ages, default=None), private, not ages and any(a.get("inheritMaxAge") for a in found))


def _add_tags(
    tags: dict[tuple[str, str], tuple[str, ...]],
    coordinate: str,
    directives: Iterable[tuple[str, dict[str, Any]]],
    graphs: Mapping[str, str],
) -> None:
    for name, arguments in directives:
        if name == JOIN_DIRECTIVE and arguments.get("name") == CACHE_TAG:
            for graph in arguments.get("graphs") or ():
                key = graphs.get(graph, graph), coordinate
                tags[key] = (*tags.get(key, ()), str((arguments.get("args") or {}).get("format", "")))
