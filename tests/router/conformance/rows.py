"""Rows, and what field sets name in them.

A row is an object by name: ``{"p1": {"__typename": "Product", "id": "1", "maker": "@m1"}}``; ``"@m1"`` stands for
another row, ``{"by": "id", "of": [...]}`` for the one whose field equals the argument of that name, and ``{currency}``
in a text for an argument. The root types' rows are ``query``, ``mutation`` and ``subscription``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    FieldNode,
    GraphQLInterfaceType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    parse,
)
from graphql.execution.values import get_argument_values
from graphql.language import OperationDefinitionNode

Row = dict[str, Any]
Rows = Mapping[str, Row]


def field_set(source: str) -> SelectionSetNode:
    """A field set's syntax tree."""
    definition = parse("{" + source + "}").definitions[0]
    assert isinstance(definition, OperationDefinitionNode)
    return definition.selection_set


class Store:
    """All rows, as one subgraph knows them."""

    def __init__(self, rows: Rows, own: Mapping[str, Row | None] | None = None) -> None:
        self.unknown = {name for name, row in (own or {}).items() if row is None}
        self.rows = {name: {**row, **((own or {}).get(name) or {})} for name, row in rows.items()}
        self.names = {id(row): name for name, row in self.rows.items()}

    def read(self, row: Row, name: str, arguments: Mapping[str, Any]) -> Any:
        """The value of a field, with references followed."""
        return self._follow(row.get(name), arguments)

    def _follow(self, value: Any, arguments: Mapping[str, Any]) -> Any:
        if isinstance(value, list):
            return [self._follow(item, arguments) for item in value]
        if isinstance(value, dict) and value.keys() == {"by", "of"}:
            wanted = arguments[value["by"]]
            found = [row for row in self._follow(value["of"], arguments) if row and row.get(value["by"]) == wanted]
            return found[0] if found else None
        if isinstance(value, str) and value.startswith("@"):
            return None if value[1:] in self.unknown else self.rows[value[1:]]
        if isinstance(value, str) and "{" in value:
            return value.format_map(dict(arguments))
        return value

    def root(self, name: str) -> Row:
        return self.rows.get(name, {})


def read_set(store: Store, schema: GraphQLSchema, type_: Any, selections: SelectionSetNode, value: Any) -> Any:
    """What a field set names, read from rows."""
    if value is None:
        return None
    if isinstance(value, list):
        return [read_set(store, schema, type_, selections, item) for item in value]
    concrete = value.get("__typename")
    if concrete not in schema.type_map:
        concrete = type_.name
    found: Row = {}
    for selection in selections.selections:
        if isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition.name.value if selection.type_condition else concrete
            condition_type = schema.type_map[condition]
            same = condition == concrete
            if not same and isinstance(condition_type, GraphQLInterfaceType):
                same = concrete in {t.name for t in schema.get_possible_types(condition_type)}
            if same:
                found |= read_set(store, schema, type_, selection.selection_set, value)
            continue
        assert isinstance(selection, FieldNode)
        name = selection.name.value
        if name == "__typename":
            continue
        definition = schema.type_map[concrete].fields[name]  # type: ignore[attr-defined]
        inner = store.read(value, name, get_argument_values(definition, selection))
        if selection.selection_set:
            inner = read_set(store, schema, get_named_type(definition.type), selection.selection_set, inner)
        found[name] = inner
    return found


def contains(sent: Any, wanted: Any) -> bool:
    """Whether a representation has everything wanted; it may have more."""
    if isinstance(wanted, dict):
        return isinstance(sent, dict) and all(key in sent and contains(sent[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return (
            isinstance(sent, list)
            and len(sent) == len(wanted)
            and all(contains(one, other) for one, other in zip(sent, wanted, strict=True))
        )
    return bool(sent == wanted)


def has_null(key: SelectionSetNode, value: Any) -> bool:
    """Whether a key lacks a part: no subgraph finds an entity by that."""
    if isinstance(value, list):
        return any(has_null(key, item) for item in value)
    fields = [selection for selection in key.selections if isinstance(selection, FieldNode)]
    return value is None or any(
        has_null(field.selection_set, value[field.name.value])
        if field.selection_set
        else value[field.name.value] is None
        for field in fields
    )
