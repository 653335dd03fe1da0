"""A query plan as people read it, in the notation the federation world has for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import GraphQLError, parse
from graphql.language import (
    FieldNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    print_ast,
)

from router.query_plan.nodes import (
    Defer,
    DeferredNode,
    EntityFetch,
    Fetch,
    Items,
    Key,
    Parallel,
    Path,
    PlanNode,
    QueryPlan,
    RepresentationField,
    RepresentationSelection,
    Sequence,
    Subscription,
)

STEP = "  "


def print_plan(plan: QueryPlan) -> str:
    """The whole plan, without the answer's shape."""
    lines = ["QueryPlan {"]
    if plan.node is not None:
        lines += _indent(_node(plan.node))
    if plan.introspection is not None:
        lines += _indent(["Introspection {", *_indent([plan.introspection]), "}"])
    return "\n".join([*lines, "}"]) + "\n"


def print_path(path: Path) -> str:
    """A path as text: ``orders.@.lines.@|[Book|Film]``."""
    parts: list[str] = []
    for segment in path:
        if isinstance(segment, Key):
            parts.append(segment.name)
        elif isinstance(segment, Items):
            parts.append("@")
        elif parts:
            parts[-1] += f"|[{'|'.join(sorted(segment.types))}]"
        else:
            parts.append(f"|[{'|'.join(sorted(segment.types))}]")
    return ".".join(parts)


def _indent(lines: list[str]) -> list[str]:
    return [STEP + line for line in lines]


def _block(head: str, lines: list[str]) -> list[str]:
    return [f"{head} {{", *_indent(lines), "}"]


def _node(node: PlanNode) -> list[str]:
    match node:
        case Fetch():
            return _fetch(node)
        case Sequence():
            return _block("Sequence", [line for inner in node.nodes for line in _node(inner)])
        case Parallel():
            return _block("Parallel", [line for inner in node.nodes for line in _node(inner)])
        case Subscription():
            rest = _block("Rest", _node(node.rest)) if node.rest else []
            return _block("Subscription", [*_block("Primary", _node(node.primary)), *rest])
        case Defer():
            primary = _block("Primary", _node(node.primary) if node.primary else [])
            deferred = [line for part in node.deferred for line in _deferred(part)]
            return _block("Defer", [*primary, *deferred])


def _deferred(part: DeferredNode) -> list[str]:
    label = f', label: "{part.label}"' if part.label is not None else ""
    depends = f"depends: [{', '.join(map(str, part.depends))}]"
    return _block(f'Deferred({depends}, path: "{print_path(part.path)}"{label})', _node(part.node) if part.node else [])


def _fetch(fetch: Fetch) -> list[str]:
    head = f'Fetch(service: "{fetch.subgraph}")'
    if not fetch.entities:
        lines = _block(head, _selections(fetch.document))
        return _block(f'Flatten(path: "{print_path(fetch.path)}")', lines) if fetch.path else lines
    trees = _entity_trees(fetch.document)
    if len(fetch.entities) == 1 and len(fetch.entities[0].paths) == 1:
        return _block(f"Flatten({_paths(fetch.entities[0])})", _block(head, _entity(fetch.entities[0], trees)))
    parts: list[str] = []
    for entity in fetch.entities:
        parts += _block(f"Flatten({_paths(entity)})", _entity(entity, trees))
    return _block(f'BatchFetch(service: "{fetch.subgraph}")', parts)


def _paths(entity: EntityFetch) -> str:
    return "path: " + ", ".join(f'"{print_path(path)}"' for path in entity.paths)


def _entity(entity: EntityFetch, trees: dict[str, SelectionSetNode]) -> list[str]:
    sent = [line for selection in entity.representations for line in _representation(selection)]
    return ["{", *_indent(sent), "} =>", "{", *_indent(_lines(trees[entity.alias])), "}"]


def _representation(selection: RepresentationSelection) -> Iterator[str]:
    lines = list(_typename(selection.typename))
    for member in selection.fields:
        lines += _member(member)
    if selection.types is None:
        yield from lines
    else:
        yield from _block(f"... on {'|'.join(sorted(selection.types))}", lines)


def _typename(typename: str | None) -> Iterator[str]:
    if typename is not None:
        yield f'__typename: "{typename}"' if typename else "__typename"


def _member(member: RepresentationField) -> list[str]:
    name = member.name if member.key == member.name else f"{member.name}: {member.key}"
    inner = [line for selection in member.selections for line in _representation(selection)]
    return _block(name, inner) if inner else [name]


def _operation(document: str) -> SelectionSetNode:
    definition = parse(document, no_location=True).definitions[0]
    if not isinstance(definition, OperationDefinitionNode):
        raise GraphQLError("a fetch's document must be one operation")
    return definition.selection_set


def _selections(document: str) -> list[str]:
    return ["{", *_indent(_lines(_operation(document))), "}"]


def _entity_trees(document: str) -> dict[str, SelectionSetNode]:
    """The selection set of each ``_entities`` field by its response name."""
    return {
        (node.alias or node.name).value: node.selection_set
        for node in _operation(document).selections
        if isinstance(node, FieldNode) and node.selection_set
    }


def _lines(selection_set: SelectionSetNode) -> list[str]:
    lines: list[str] = []
    for node in selection_set.selections:
        inner: Any = getattr(node, "selection_set", None)
        head = _head(node)
        lines += _block(head, _lines(inner)) if inner else [head]
    return lines


def _head(node: Any) -> str:
    if isinstance(node, InlineFragmentNode):
        return f"... on {node.type_condition.name.value}" if node.type_condition else "..."
    alias = f"{node.alias.value}: " if node.alias else ""
    arguments = ", ".join(f"{a.name.value}: {print_ast(a.value)}" for a in node.arguments or ())
    return f"{alias}{node.name.value}" + (f"({arguments})" if arguments else "")
