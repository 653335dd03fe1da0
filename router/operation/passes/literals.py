"""Canonical text of argument values: two arguments are the same when their text is the same."""

from __future__ import annotations

import json
from collections.abc import Iterable

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)

from router.operation.model import Argument


def canonical_value(node: ValueNode) -> str:
    """The value as one line of GraphQL source, object members sorted by name (their order has no meaning)."""
    match node:
        case VariableNode():
            return f"${node.name.value}"
        case StringValueNode():
            # GraphQL string escapes are a superset of JSON's, so JSON's writer is enough (block strings included).
            return json.dumps(node.value, ensure_ascii=False)
        case IntValueNode() | FloatValueNode() | EnumValueNode():
            return node.value
        case BooleanValueNode():
            return "true" if node.value else "false"
        case NullValueNode():
            return "null"
        case ListValueNode():
            return f"[{', '.join(map(canonical_value, node.values))}]"
        case ObjectValueNode():
            members = sorted((field.name.value, field.value) for field in node.fields)
            return "{" + ", ".join(f"{name}: {canonical_value(value)}" for name, value in members) + "}"
    raise TypeError(f"not a value: {node.kind}")


def variables_in(node: ValueNode) -> frozenset[str]:
    """The names of the variables that a value mentions, at any depth."""
    match node:
        case VariableNode():
            return frozenset((node.name.value,))
        case ListValueNode():
            return frozenset().union(*map(variables_in, node.values))
        case ObjectValueNode():
            return frozenset().union(*(variables_in(field.value) for field in node.fields))
    return frozenset()


def canonical_arguments(nodes: Iterable[ArgumentNode]) -> tuple[Argument, ...]:
    """Arguments sorted by name, as the planner compares and prints them."""
    ordered = sorted(nodes, key=lambda node: node.name.value)
    return tuple(Argument(node.name.value, canonical_value(node.value), variables_in(node.value)) for node in ordered)
