"""A field's arguments, as far as its cost depends on them: what slices lists, and what is expensive to give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInputType,
    GraphQLSchema,
    Undefined,
    ValueNode,
    VariableNode,
    Visitor,
    get_named_type,
    is_input_object_type,
    value_from_ast_untyped,
    visit,
)

from router.pipeline.cost_weights import Coordinate, Weights

Variables = Mapping[str, Any]


class Arguments:
    """The arguments of one selected field. ``variable``: some of their values come from variables."""

    def __init__(self, node: FieldNode, definition: GraphQLField) -> None:
        self.name = node.name.value
        self.definition = definition
        self._given: dict[str, ValueNode] = {argument.name.value: argument.value for argument in node.arguments or ()}
        self.variable = any(map(_uses_variables, self._given.values()))

    def value(self, name: str, variables: Variables) -> Any:
        """The value given for an argument; Undefined if none is."""
        node = self._given.get(name)
        if node is None:
            return Undefined
        if isinstance(node, VariableNode):
            return variables.get(node.name.value, Undefined)
        return value_from_ast_untyped(node, dict(variables))

    def is_given(self, path: tuple[str, ...], variables: Variables) -> bool:
        """Whether the request itself gives the value at a path, other than null."""
        return _at(self.value(path[0], variables), path[1:]) is not None

    def size(self, path: tuple[str, ...], variables: Variables) -> int | None:
        """The number at a path into the arguments, the schema's default if none is given; None without any."""
        value = self.value(path[0], variables)
        argument = self.definition.args.get(path[0])
        if (value is Undefined or value is None) and argument is not None:
            value = _default(argument)
        found = _at(value, path[1:])
        return found if isinstance(found, int) and not isinstance(found, bool) else None


def argument_cost(
    schema: GraphQLSchema, weights: Weights, places: Sequence[tuple[str, str]], arguments: Arguments
) -> int | Callable[[Variables], int]:
    """The weights of what is given: arguments, and inside of them input objects, their fields, enums and scalars."""
    priced: list[tuple[str, int, GraphQLInputType]] = []
    for name, definition in arguments.definition.args.items():
        own = [weights.cost[(*place, name)] for place in places if (*place, name) in weights.cost]
        if own or _is_priced(weights, definition.type, set()):
            priced.append((name, max(own, default=0), definition.type))
    if not priced:
        return 0

    def cost(variables: Variables) -> int:
        total = 0
        for name, own, type_ in priced:
            value = arguments.value(name, variables)
            if value is not Undefined:
                total += own + _value_cost(weights, type_, value)
        return total

    return cost if arguments.variable else cost({})


def _value_cost(weights: Weights, type_: GraphQLInputType, value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, list):
        return sum(_value_cost(weights, type_, item) for item in value)
    named = get_named_type(type_)
    cost = weights.cost.get((named.name,), 0)
    if is_input_object_type(named) and isinstance(value, dict):
        for name, member in value.items():
            if name in named.fields:
                cost += weights.cost.get((named.name, name), 0)
                cost += _value_cost(weights, named.fields[name].type, member)
    return cost


def _is_priced(weights: Weights, type_: GraphQLInputType, seen: set[Coordinate]) -> bool:
    """Whether any value of the type can have a weight."""
    named = get_named_type(type_)
    place = (named.name,)
    if place in seen:
        return False
    seen.add(place)
    if place in weights.cost:
        return True
    if not is_input_object_type(named):
        return False
    return any(
        (named.name, name) in weights.cost or _is_priced(weights, member.type, seen)
        for name, member in named.fields.items()
    )


def _default(argument: GraphQLArgument) -> Any:
    if argument.default is not None and argument.default.literal is not None:
        return value_from_ast_untyped(argument.default.literal)
    return argument.default_value


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return None if value is Undefined else value


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def enter_variable(self, *_: object) -> None:
        self.found = True


def _uses_variables(node: ValueNode) -> bool:
    visitor = _Variables()
    visit(node, visitor)
    return visitor.found
