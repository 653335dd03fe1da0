"""A field's arguments, from the document and the variables to the keyword arguments of its Python resolver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

from graphql import FieldNode, GraphQLError, GraphQLField, VariableNode, is_required_argument
from graphql.execution.values import VariableValues, get_argument_values
from graphql.language import ConstValueNode, ValueNode, Visitor, visit
from graphql.pyutils import Undefined
from graphql.utilities.coerce_input_value import coerce_default_value
from strawberry.relay import GlobalID
from strawberry.scalars import is_scalar
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import StrawberryArgument, convert_argument
from strawberry.types.base import StrawberryList, StrawberryMaybe, StrawberryOptional, has_object_definition
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.lazy_type import LazyType
from strawberry.types.unset import UNSET

if TYPE_CHECKING:
    from subgraphs.kit.execution.run import Run

Arguments = Callable[["Run"], dict[str, Any]]
Convert = Callable[[Any], Any]

_NO_VARIABLES = VariableValues({}, {})


def compile_arguments(field: GraphQLField, node: FieldNode) -> Arguments:
    """The field's arguments by their GraphQL names, coerced: what graphql-core hands to a resolver."""
    if not field.args:
        return _none
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    constant = [name for name in field.args if name not in given or not _has_variable(given[name])]
    whole = [name for name in field.args if isinstance(given.get(name), VariableNode)]
    if len(constant) + len(whole) < len(field.args):
        return lambda run: get_argument_values(field, node, run.variable_values)
    return _from_variables(field, node, given, whole)


def _from_variables(field: GraphQLField, node: FieldNode, given: dict[str, ValueNode], whole: list[str]) -> Arguments:
    """Constants are coerced now; a variable is of its argument's type already (validation saw to that)."""
    fixed = _constants(field, node, whole)
    if fixed is None:
        return lambda run: get_argument_values(field, node, run.variable_values)
    passed = []
    for name in whole:
        argument, value = field.args[name], given[name]
        assert isinstance(value, VariableNode)
        default = coerce_default_value(argument)
        must = is_required_argument(argument) or default is not Undefined
        passed.append((value.name.value, argument.out_name or name, default, must))

    def arguments(run: Run) -> dict[str, Any]:
        values = dict(fixed)
        coerced = run.coerced
        for variable, name, default, must in passed:
            value = coerced.get(variable, Undefined)
            if value is Undefined:
                value = default
            if must and (value is None or value is Undefined):  # perhaps refused, perhaps not: by the book
                return get_argument_values(field, node, run.variable_values)
            if value is not Undefined:
                values[name] = value
        return values

    return arguments


def _constants(field: GraphQLField, node: FieldNode, whole: list[str]) -> dict[str, Any] | None:
    """The arguments that no variable takes part in; None when one of them is refused (at each execution anew)."""
    rest = GraphQLField(field.type, {name: each for name, each in field.args.items() if name not in whole})
    try:
        return get_argument_values(rest, node, _NO_VARIABLES)
    except GraphQLError:
        return None


def _none(_run: Run) -> dict[str, Any]:
    return {}


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def enter_variable(self, *_: Any) -> None:
        self.found = True


def _has_variable(value: ValueNode | ConstValueNode) -> bool:
    visitor = _Variables()
    visit(value, visitor)
    return visitor.found


def compile_conversion(
    arguments: list[StrawberryArgument], converter: GraphQLCoreConverter
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """From GraphQL names and dicts to Python names and input classes, as Strawberry converts them."""
    conversions = [
        (converter.config.name_converter.from_argument(each), each.python_name, _conversion(each.type, converter, ()))
        for each in arguments
    ]

    def convert(values: dict[str, Any]) -> dict[str, Any]:
        return {python: inner(values[name]) for name, python, inner in conversions if name in values}

    return convert


def _conversion(type_: Any, converter: GraphQLCoreConverter, within: tuple[Any, ...]) -> Convert:
    if isinstance(type_, LazyType):
        return _conversion(type_.resolve_type(), converter, within)
    if isinstance(type_, StrawberryOptional) and not isinstance(type_, StrawberryMaybe):
        return _conversion(type_.of_type, converter, within)
    if isinstance(type_, StrawberryEnumDefinition) or has_enum_definition(type_) or _is_scalar(type_, converter):
        return _same
    if isinstance(type_, StrawberryList):
        return _list(_conversion(type_.of_type, converter, within))
    if has_object_definition(type_) and type_ not in within:
        definition = type_.__strawberry_definition__
        if definition.is_input and definition.from_input is None:
            return _input(type_, converter, (*within, type_))
    return lambda value: convert_argument(value, type_, converter.scalar_registry, converter.config)


def _is_scalar(type_: Any, converter: GraphQLCoreConverter) -> bool:
    return type_ is not GlobalID and is_scalar(type_, converter.scalar_registry)


def _same(value: Any) -> Any:
    return value


def _list(item: Convert) -> Convert:
    def convert(value: Any) -> Any:
        if value is None or value is UNSET:
            return value
        return list(value) if item is _same else [item(each) for each in value]

    return convert


def _input(type_: Any, converter: GraphQLCoreConverter, within: tuple[Any, ...]) -> Convert:
    definition = type_.__strawberry_definition__
    fields = [
        (
            converter.config.name_converter.from_field(field),
            field.python_name,
            _conversion(field.resolve_type(type_definition=definition), converter, within),
        )
        for field in definition.fields
    ]
    absent = {
        field.python_name: None
        for field in definition.fields
        if field.default_value is MISSING and field.default_factory is MISSING
    }

    def convert(value: Any) -> Any:
        if value is None or value is UNSET:
            return value
        return type_(**absent | {python: inner(value[name]) for name, python, inner in fields if name in value})

    return convert
