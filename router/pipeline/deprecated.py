"""What of the graph an operation uses that is deprecated: as schema coordinates (``Type.field``,
``Type.field(argument:)``, ``Input.field``, ``Enum.VALUE``).

The document is searched once. Values of variables are searched with each request, but only of variables whose type
has something deprecated in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    ObjectFieldNode,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    get_nullable_type,
    is_list_type,
    type_from_ast,
    visit,
)

UsedBy = Callable[[dict[str, Any]], frozenset[str]]
"""What one request uses, from its variables as they were sent. They must have been coerced without an error."""

NOTHING: frozenset[str] = frozenset()


class Deprecations:
    """What is deprecated in a schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._inputs = _holding(schema)
        self._exist = bool(self._inputs) or any(_deprecated_members(schema))

    def of(self, document: DocumentNode, definition: OperationDefinitionNode) -> UsedBy:
        """Finds what an operation of a valid document uses."""
        if not self._exist:
            return lambda _: NOTHING
        found = frozenset(self._written(document, definition))
        variables = [
            (one.variable.name.value, type_)
            for one in definition.variable_definitions or ()
            if (type_ := type_from_ast(self._schema, one.type)) and get_named_type(type_).name in self._inputs
        ]
        if not variables:
            return lambda _: found

        def used(values: dict[str, Any]) -> frozenset[str]:
            sent = (_in_value(values[name], type_) for name, type_ in variables if name in values)  # type: ignore[arg-type]
            return found.union(*sent)

        return used

    def _written(self, document: DocumentNode, definition: OperationDefinitionNode) -> set[str]:
        fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
        search = _Search(TypeInfo(self._schema))
        searched: set[str] = set()
        waiting: list[OperationDefinitionNode | FragmentDefinitionNode] = [definition]
        while waiting:
            visit(waiting.pop(), TypeInfoVisitor(search.types, search))
            waiting += [fragments[name] for name in search.spread - searched]
            searched |= search.spread
        return search.found


class _Search(Visitor):
    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.types = types
        self.found: set[str] = set()
        self.spread: set[str] = set()
        self._field = ""

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self._field = node.name.value  # its arguments come before the fields inside it
        field, parent = self.types.get_field_def(), self.types.get_parent_type()
        if field is not None and parent is not None and field.deprecation_reason is not None:
            self.found.add(f"{parent.name}.{node.name.value}")

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        argument, parent = self.types.get_argument(), self.types.get_parent_type()
        if argument is None or argument.deprecation_reason is None:
            return
        if directive := self.types.get_directive():
            self.found.add(f"@{directive.name}({node.name.value}:)")
        elif parent is not None:
            self.found.add(f"{parent.name}.{self._field}({node.name.value}:)")

    def enter_object_field(self, node: ObjectFieldNode, *_: Any) -> None:
        parent = self.types.get_parent_input_type()
        holder = get_named_type(parent) if parent is not None else None
        if isinstance(holder, GraphQLInputObjectType) and holder.fields[node.name.value].deprecation_reason is not None:
            self.found.add(f"{holder.name}.{node.name.value}")

    def enter_enum_value(self, node: EnumValueNode, *_: Any) -> None:
        value, type_ = self.types.get_enum_value(), self.types.get_input_type()
        if value is not None and type_ is not None and value.deprecation_reason is not None:
            self.found.add(f"{get_named_type(type_).name}.{node.value}")

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        self.spread.add(node.name.value)


def _in_value(sent: Any, declared: GraphQLInputType) -> Iterator[str]:
    waiting: list[tuple[Any, GraphQLInputType]] = [(sent, declared)]  # values may be nested deeper than calls can be
    while waiting:
        value, type_ = waiting.pop()
        nullable = get_nullable_type(type_)
        if value is None:
            continue
        if is_list_type(nullable):
            waiting += [(item, nullable.of_type) for item in (value if isinstance(value, list) else [value])]
        elif isinstance(nullable, GraphQLEnumType):
            if nullable.values[value].deprecation_reason is not None:
                yield f"{nullable.name}.{value}"
        elif isinstance(nullable, GraphQLInputObjectType):
            for name, inner in value.items():
                field = nullable.fields[name]
                if field.deprecation_reason is not None:
                    yield f"{nullable.name}.{name}"
                waiting.append((inner, field.type))


def _holding(schema: GraphQLSchema) -> frozenset[str]:
    """Names of enums and input types with something deprecated in them, at any depth."""
    found: set[str] = set()
    inputs: dict[str, GraphQLInputObjectType] = {}
    for name, type_ in schema.type_map.items():
        if isinstance(type_, GraphQLEnumType) and any(one.deprecation_reason for one in type_.values.values()):
            found.add(name)
        elif isinstance(type_, GraphQLInputObjectType):
            inputs[name] = type_
            if any(field.deprecation_reason is not None for field in type_.fields.values()):
                found.add(name)
    while True:
        more = {
            name
            for name, type_ in inputs.items()
            if name not in found and any(get_named_type(one.type).name in found for one in type_.fields.values())
        }
        if not more:
            return frozenset(found)
        found |= more


def _deprecated_members(schema: GraphQLSchema) -> Iterator[bool]:
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for field in type_.fields.values():
                if field.deprecation_reason is not None:
                    yield True
                if any(one.deprecation_reason is not None for one in field.args.values()):
                    yield True
