"""How a field's value is had: an attribute of its object, or a call of the Python function behind it."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, cast

import strawberry
from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLResolveInfoHelpers,
    default_field_resolver,
)
from graphql.pyutils import Path as CorePath
from graphql.pyutils import gather_with_cancel, is_awaitable
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from subgraphs.kit.execution.arguments import compile_arguments, compile_conversion
from subgraphs.kit.execution.run import Position, Run, path_of

Read = Callable[[Any], Any]
Call = Callable[[Run, Any, Position], Any]

_BY_STRAWBERRY = GraphQLCoreConverter.from_resolver.__qualname__


class FieldInfo:
    """What is known of a selected field before anything runs."""

    __slots__ = ("field", "nodes", "parent_type")

    def __init__(self, field: GraphQLField, nodes: list[FieldNode], parent_type: GraphQLObjectType) -> None:
        self.field = field
        self.nodes = nodes
        self.parent_type = parent_type

    def at(self, run: Run, position: Position) -> GraphQLResolveInfo[Any]:
        """What graphql-core hands to a resolver. The type names of the path above the field are not kept."""
        path: CorePath | None = None
        keys = path_of(position)
        for key in keys[:-1]:
            path = CorePath(path, key, None)
        facts = run.facts
        return GraphQLResolveInfo(
            self.nodes[0].name.value,
            self.nodes,
            self.field.type,
            self.parent_type,
            CorePath(path, keys[-1], self.parent_type.name),
            facts.schema,
            facts.fragment_definitions,
            None,
            facts.node,
            run.variable_values,
            run.context,
            is_awaitable,
            None,
            _HELPERS,
        )


def _track(_values: Any) -> None:
    """Work on the side is not waited for."""


_HELPERS = GraphQLResolveInfoHelpers(lambda values: gather_with_cancel(*values), _track)


class LazyInfo(strawberry.Info[Any, Any]):
    """Strawberry's info, of which most resolvers read the context only: the rest is made when it is asked for."""

    def __init__(self, run: Run, about: FieldInfo, position: Position, field: StrawberryField) -> None:
        self._run = run
        self._about = about
        self._position = position
        self._field = field

    @property
    def context(self) -> Any:
        return self._run.context

    @property
    def _raw_info(self) -> GraphQLResolveInfo[Any]:  # type: ignore[override]
        return self._about.at(self._run, self._position)


def compile_field(about: FieldInfo, converter: GraphQLCoreConverter) -> tuple[Read | None, Call | None]:
    """An attribute's reader, or else what calls the field's resolver."""
    resolve = about.field.resolve or default_field_resolver
    ours = getattr(resolve, "__qualname__", "").startswith(_BY_STRAWBERRY)
    definition = about.field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF) if ours else None
    if isinstance(definition, StrawberryField) and not converter.exception_handlers:
        if definition.is_basic_field and converter.config.default_resolver is getattr:
            return attrgetter(definition.python_name), None
        plain = type(definition).get_result is StrawberryField.get_result and not definition.extensions
        if plain and definition.base_resolver and converter.config.info_class is strawberry.Info:
            return None, _python_call(about, definition, converter)
    return None, _core_call(about, resolve)


def _core_call(about: FieldInfo, resolve: Callable[..., Any]) -> Call:
    arguments = compile_arguments(about.field, about.nodes[0])

    def call(run: Run, source: Any, position: Position) -> Any:
        return resolve(source, about.at(run, position), **arguments(run))

    return call


def _python_call(about: FieldInfo, definition: StrawberryField, converter: GraphQLCoreConverter) -> Call:
    """Straight to the function, as Strawberry would call it: source, info and arguments under the names it wants."""
    resolver = definition.base_resolver
    assert resolver is not None
    function = cast(Callable[..., Any], resolver.wrapped_func)
    takes_self = bool(resolver.self_parameter)
    sources = [each.name for each in (resolver.parent_parameter, resolver.root_parameter) if each]
    info_name = resolver.info_parameter.name if resolver.info_parameter else None
    arguments = compile_arguments(about.field, about.nodes[0])
    convert = compile_conversion(definition.arguments, converter) if about.field.args else None

    def call(run: Run, source: Any, position: Position) -> Any:
        given = convert(arguments(run)) if convert is not None else {}
        for name in sources:
            given[name] = source
        if info_name is not None:
            given[info_name] = LazyInfo(run, about, position, definition)
        return function(source, **given) if takes_self else function(**given)

    return call
