"""Leaf values on their way to the client: what a type lets through (GraphQL specification, 3.5, result coercion)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

MAX_INT = 2**31 - 1
MIN_INT = -(2**31)


class Unfit(Exception):
    """A value is not one of its type."""


def int_(value: Any) -> int:
    """A 32-bit integer; a float without a fraction counts as one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and MIN_INT <= value <= MAX_INT:
        return value
    raise Unfit


def float_(value: Any) -> float | int:
    """A finite number."""
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise Unfit


def string(value: Any) -> str:
    """Text, nothing else."""
    if type(value) is str:
        return value
    raise Unfit


def boolean(value: Any) -> bool:
    """True or false."""
    if value is True or value is False:
        return value
    raise Unfit


def id_(value: Any) -> str:
    """Text; integers are written as text, since many subgraphs keep numeric keys."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise Unfit


def any_(value: Any) -> Any:
    """A custom scalar is its subgraph's own affair."""
    return value


def enum(values: frozenset[str]) -> Callable[[Any], str]:
    """One of the values that the API schema shows."""

    def coerce(value: Any) -> str:
        if type(value) is str and value in values:
            return value
        raise Unfit

    return coerce


BUILT_IN: dict[str, Callable[[Any], Any]] = {
    "Int": int_,
    "Float": float_,
    "String": string,
    "Boolean": boolean,
    "ID": id_,
}


def leaf(type_name: str, enum_values: frozenset[str] | None) -> Callable[[Any], Any]:
    """The coercion of a leaf type. It raises Unfit, and is not meant for null."""
    return enum(enum_values) if enum_values is not None else BUILT_IN.get(type_name, any_)
