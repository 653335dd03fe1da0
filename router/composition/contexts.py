"""The little language of @fromContext: ``$name { selection }``."""

from __future__ import annotations

import re

from graphql import GraphQLSyntaxError
from graphql.language import StringValueNode

from router.composition.field_sets import parse_field_set, selected
from router.composition.model import Subgraph, TypeDefinition

_VALUE = re.compile(r"\s*\$\s*([_A-Za-z]\w*)(.*)", re.DOTALL)


def parse_context_value(text: str) -> tuple[str, str]:
    """The context's name and the selection. The name is empty if the value names no context."""
    match = _VALUE.fullmatch(text)
    return (match[1], match[2]) if match else ("", text)


def context_types(subgraph: Subgraph) -> dict[str, list[TypeDefinition]]:
    """Context -> the types that set it."""
    types: dict[str, list[TypeDefinition]] = {}
    for type_ in subgraph.types.values():
        for applied in type_.applied("context"):
            value = applied.arguments.get("name")
            if isinstance(value, StringValueNode):
                types.setdefault(value.value, []).append(type_)
    return types


def context_fields(subgraph: Subgraph) -> set[tuple[str, str]]:
    """The fields that contextual arguments read."""
    types = context_types(subgraph)
    fields: set[tuple[str, str]] = set()
    for _, field in subgraph.fields():
        for argument in field.arguments.values():
            for applied in argument.applied("fromContext"):
                value = applied.arguments.get("field")
                if isinstance(value, StringValueNode):
                    fields |= _read(subgraph, types, value.value)
    return fields


def _read(subgraph: Subgraph, types: dict[str, list[TypeDefinition]], text: str) -> set[tuple[str, str]]:
    name, selection = parse_context_value(text)
    try:
        selections = parse_field_set(selection)
    except GraphQLSyntaxError:
        return set()
    return {
        (possible, field.name)
        for type_ in types.get(name, ())
        for parent, field, _ in selected(subgraph, type_, selections)
        for possible in {parent.name} | subgraph.possible_types(parent.name)
    }
