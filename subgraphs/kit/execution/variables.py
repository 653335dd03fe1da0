"""An operation's variables, coerced by functions made once; what they do not accept, graphql-core explains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    VariableDefinitionNode,
    is_leaf_type,
)
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import Undefined
from graphql.pyutils.is_iterable import is_iterable
from graphql.utilities.coerce_input_value import coerce_default_value

Coerce = Callable[[Any], Any]

MAX_ERRORS = 50


class Invalid(Exception):
    """The value is not of the type; only graphql-core says why."""


class Variables:
    """The variables that an operation declares."""

    def __init__(self, schema: GraphQLSchema, nodes: tuple[VariableDefinitionNode, ...]) -> None:
        self._schema = schema
        self._nodes = nodes
        self._coercers: list[tuple[str, Coerce, dict[str, Any], bool]] | None = []
        for node in nodes:
            signature = get_variable_signature(schema, node)
            coerce = None if isinstance(signature, GraphQLError) else _coercer(signature.type, ())
            if isinstance(signature, GraphQLError) or coerce is None:
                self._coercers = None  # graphql-core does it all
                return
            given = get_variable_values(schema, [node], {}) if node.default_value else None
            default = given.coerced if isinstance(given, VariableValues) else {}
            required = isinstance(signature.type, GraphQLNonNull) and not default
            self._coercers.append((signature.name, coerce, default, required))

    def coerce(self, inputs: dict[str, Any]) -> dict[str, Any] | list[GraphQLError]:
        """The values by name, those not given left out; or why they are refused."""
        try:
            return self._fast(inputs)
        except (Invalid, RecursionError):
            values = get_variable_values(self._schema, self._nodes, inputs, max_errors=MAX_ERRORS)
            return values if isinstance(values, list) else values.coerced

    def with_sources(self, inputs: dict[str, Any]) -> VariableValues:
        """As graphql-core keeps them. Only for inputs that ``coerce`` accepted."""
        values = get_variable_values(self._schema, self._nodes, inputs)
        assert isinstance(values, VariableValues)
        return values

    def _fast(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if self._coercers is None:
            raise Invalid
        coerced: dict[str, Any] = {}
        for name, coerce, default, required in self._coercers:
            if name in inputs:
                coerced[name] = coerce(inputs[name])
            elif required:
                raise Invalid
            else:
                coerced.update(default)
        return coerced


def _coercer(type_: GraphQLInputType, within: tuple[GraphQLInputType, ...]) -> Coerce | None:
    """None for a type that holds itself: how deep its values may go is graphql-core's affair."""
    if isinstance(type_, GraphQLNonNull):
        inner = _coercer(type_.of_type, within)
        return None if inner is None else _non_null(inner)
    if isinstance(type_, GraphQLList):
        item = _coercer(type_.of_type, within)
        return None if item is None else _list(item)
    if isinstance(type_, GraphQLInputObjectType):
        return None if type_ in within else _input_object(type_, within)
    assert is_leaf_type(type_)
    return _leaf(type_.coerce_input_value)


def _non_null(inner: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None or value is Undefined:
            raise Invalid
        return inner(value)

    return coerce


def _leaf(parse: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None or value is Undefined:
            return None
        try:
            parsed = parse(value)
        except Exception as error:
            raise Invalid from error
        if parsed is Undefined:
            raise Invalid
        return parsed

    return coerce


def _list(item: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None or value is Undefined:
            return None
        return [item(each) for each in value] if is_iterable(value) else [item(value)]

    return coerce


def _input_object(type_: GraphQLInputObjectType, within: tuple[GraphQLInputType, ...]) -> Coerce | None:
    if type_.is_one_of:
        return None
    fields = []
    for name, field in type_.fields.items():
        inner = _coercer(field.type, (*within, type_))
        if inner is None:
            return None
        fields.append((name, field.out_name or name, inner, field, isinstance(field.type, GraphQLNonNull)))
    known = type_.fields.keys()
    out_type = type_.out_type

    def coerce(value: Any) -> Any:
        if value is None or value is Undefined:
            return None
        if not isinstance(value, dict) or not value.keys() <= known:
            raise Invalid
        coerced = {}
        for name, out_name, inner, field, non_null in fields:
            given = value.get(name, Undefined)
            if given is not Undefined:
                coerced[out_name] = inner(given)
                continue
            default = coerce_default_value(field)
            if default is not Undefined:
                coerced[out_name] = default
            elif non_null:
                raise Invalid
        return out_type(coerced)

    return coerce
