"""Coercion of request variables (GraphQL specification, 6.1.2), compiled once per operation.

What comes out goes to subgraphs as JSON, so values stay in their JSON form: an enum is its name, a custom scalar is
whatever the client sent. Defaults inside input objects are left to the subgraph that owns them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    is_input_type,
    type_from_ast,
    value_from_ast_untyped,
)

from router.errors import OperationError, VariablesError

MAX_ERRORS = 10
MAX_INT = 2**31 - 1
MIN_INT = -(2**31)

Coerce = Callable[[Any], Any]
CoerceVariables = Callable[[Mapping[str, Any]], dict[str, Any]]


class _Mismatch(Exception):
    """Why a value does not fit, and where inside the variable."""

    def __init__(self, message: str, *path: str | int) -> None:
        self.message = message
        self.path = path

    def under(self, step: str | int) -> _Mismatch:
        return _Mismatch(self.message, step, *self.path)


def coerce_variables(
    schema: GraphQLSchema, operation: OperationDefinitionNode, raw: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of the operation's variables. Raises VariablesError with one message for each bad variable."""
    return compile_variables(schema, operation)(raw)


def compile_variables(schema: GraphQLSchema, operation: OperationDefinitionNode) -> CoerceVariables:
    """A coercion for one operation, to be kept with it. Raises OperationError for a type that is no input type."""
    compiled = _Compiler()
    definitions: list[tuple[str, str, bool, Any, Coerce]] = []
    for node in operation.variable_definitions or ():
        name = node.variable.name.value
        type_ = type_from_ast(schema, node.type)
        if type_ is None or not is_input_type(type_):
            raise OperationError(f'Variable "${name}" has no input type of this schema.')
        default = value_from_ast_untyped(node.default_value) if node.default_value else Undefined
        required = isinstance(type_, GraphQLNonNull)
        definitions.append((name, str(type_), required, default, compiled.coercion(type_)))

    def coerce(raw: Mapping[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        errors: list[str] = []
        for name, type_name, required, default, convert in definitions:
            if name in raw:
                try:
                    values[name] = convert(raw[name])
                except _Mismatch as mismatch:
                    where = _at(name, mismatch.path)
                    errors.append(f'Variable "${name}" got an invalid value{where}: {mismatch.message}')
            elif default is not Undefined:
                values[name] = default
            elif required:
                errors.append(f'Variable "${name}" of required type "{type_name}" was not provided.')
        if errors:
            raise VariablesError(errors[:MAX_ERRORS])
        return values

    return coerce


def _at(name: str, path: tuple[str | int, ...]) -> str:
    if not path:
        return ""
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return f' at "{name}{steps}"'


class _Compiler:
    """Coercions by type; input objects may contain themselves, so theirs are looked up when they run."""

    def __init__(self) -> None:
        self._objects: dict[str, Coerce] = {}

    def coercion(self, type_: GraphQLInputType) -> Coerce:
        if isinstance(type_, GraphQLNonNull):
            return _non_null(self._nullable(type_.of_type), type_)
        inner = self._nullable(type_)
        return lambda value: None if value is None else inner(value)

    def _nullable(self, type_: GraphQLInputType) -> Coerce:
        match type_:
            case GraphQLList():
                return _list(self.coercion(type_.of_type))
            case GraphQLScalarType():
                return SCALARS.get(type_.name, _any)
            case GraphQLEnumType():
                return _enum(type_)
            case GraphQLInputObjectType():
                return self._object(type_)
        raise OperationError(f'Type "{type_}" is no input type.')

    def _object(self, type_: GraphQLInputObjectType) -> Coerce:
        if type_.name not in self._objects:
            self._objects[type_.name] = lambda value: self._objects[type_.name](value)
            self._objects[type_.name] = self._compile_object(type_)
        return self._objects[type_.name]

    def _compile_object(self, type_: GraphQLInputObjectType) -> Coerce:
        fields = {name: self.coercion(field.type) for name, field in type_.fields.items()}
        required = [
            (name, str(field.type))
            for name, field in type_.fields.items()
            if isinstance(field.type, GraphQLNonNull) and field.default_value is Undefined and field.default is None
        ]

        def coerce(value: Any) -> Any:
            if not isinstance(value, dict):
                raise _Mismatch(f'Expected type "{type_.name}" to be an object.')
            made = {}
            for name, member in value.items():
                convert = fields.get(name)
                if convert is None:
                    raise _Mismatch(f'Field "{name}" is not defined by type "{type_.name}".')
                try:
                    made[name] = convert(member)
                except _Mismatch as mismatch:
                    raise mismatch.under(name) from None
            for name, field_type in required:
                if name not in made:
                    raise _Mismatch(f'Field "{name}" of required type "{field_type}" was not provided.')
            if type_.is_one_of and (len(made) != 1 or None in made.values()):
                raise _Mismatch(f'Exactly one key must be specified, and not null, for OneOf type "{type_.name}".')
            return made

        return coerce


def _non_null(inner: Coerce, type_: GraphQLNonNull[Any]) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            raise _Mismatch(f'Expected non-nullable type "{type_}" not to be null.')
        return inner(value)

    return coerce


def _list(item: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if not isinstance(value, list):
            return [item(value)]
        made = []
        for index, member in enumerate(value):
            try:
                made.append(item(member))
            except _Mismatch as mismatch:
                raise mismatch.under(index) from None
        return made

    return coerce


def _enum(type_: GraphQLEnumType) -> Coerce:
    names = frozenset(type_.values)

    def coerce(value: Any) -> Any:
        if isinstance(value, str) and value in names:
            return value
        raise _Mismatch(f'Value does not exist in "{type_.name}" enum.')

    return coerce


def _any(value: Any) -> Any:
    return value


def _int(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise _Mismatch("Int cannot represent non-integer value.")
    if not MIN_INT <= value <= MAX_INT:
        raise _Mismatch("Int cannot represent non 32-bit signed integer value.")
    return value


def _float(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise _Mismatch("Float cannot represent non numeric value.")
    return value  # type: ignore[no-any-return]


def _string(value: Any) -> str:
    if type(value) is not str:
        raise _Mismatch("String cannot represent a non string value.")
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise _Mismatch("Boolean cannot represent a non boolean value.")
    return value


def _id(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise _Mismatch("ID cannot represent a value that is neither a string nor an integer.")


SCALARS: dict[str, Coerce] = {"Int": _int, "Float": _float, "String": _string, "Boolean": _boolean, "ID": _id}
