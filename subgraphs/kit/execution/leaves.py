"""Scalars and enums on their way out. The usual classes go straight through, all else by the type's own rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
)
from graphql.pyutils import Undefined, inspect

Leaf = Callable[[Any], Any]

_MAX_INT = 2**31 - 1
_MIN_INT = -(2**31)


def compile_leaf(type_: GraphQLLeafType) -> Leaf:
    """The function from a resolver's value (not None) to what stands in the answer. It raises for a bad value."""
    slow = _by_type(type_)
    if type_ is GraphQLString or type_ is GraphQLID:
        return lambda value: value if value.__class__ is str else slow(value)
    if type_ is GraphQLBoolean:
        return lambda value: value if value.__class__ is bool else slow(value)
    if type_ is GraphQLInt:
        return lambda value: value if value.__class__ is int and _MIN_INT <= value <= _MAX_INT else slow(value)
    if type_ is GraphQLFloat:
        return slow
    if isinstance(type_, GraphQLEnumType):
        return _enum(type_, slow)
    return slow


def _enum(type_: GraphQLEnumType, slow: Leaf) -> Leaf:
    wrapped = getattr(type_, "wrapped_cls", None)
    if wrapped is None:
        return slow
    names = {id(member): slow(member) for member in wrapped}  # members live as long as their class

    def leaf(value: Any) -> Any:
        return names.get(id(value)) or slow(value)

    return leaf


def _by_type(type_: GraphQLLeafType) -> Leaf:
    coerce = type_.coerce_output_value

    def leaf(value: Any) -> Any:
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            raise TypeError(
                f"Expected `{inspect(type_)}.coerce_output_value({inspect(value)})`"
                f" to return non-nullable value, returned: {inspect(coerced)}"
            )
        return coerced

    return leaf
