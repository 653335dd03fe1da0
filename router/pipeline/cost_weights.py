"""What a supergraph says of its costs: ``@cost`` and ``@listSize`` by the coordinates they stand on.

Source: the GraphQL Cost Directives specification (IBM) as Federation 2.9 has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    ConstDirectiveNode,
    EnumTypeDefinitionNode,
    FieldDefinitionNode,
    InputObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    value_from_ast_untyped,
)

from router.supergraph.model import Supergraph

WEIGHED = (
    ObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    InputObjectTypeDefinitionNode,
    EnumTypeDefinitionNode,
    ScalarTypeDefinitionNode,
)

Coordinate = tuple[str, ...]
"""``(type,)``, ``(type, field)`` or ``(type, field, argument)``."""


@dataclass(frozen=True, slots=True)
class ListSize:
    """How long a list is assumed to be. ``slicing`` are paths into the arguments: ``("input", "first")``."""

    assumed: int | None = None
    slicing: tuple[tuple[str, ...], ...] = ()
    sized: tuple[str, ...] = ()
    require_one: bool = True


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of types, fields, arguments and input fields, and sizes of lists, where the schema tells them."""

    cost: dict[Coordinate, int] = field(default_factory=dict)
    lists: dict[Coordinate, ListSize] = field(default_factory=dict)


def read_weights(supergraph: Supergraph) -> Weights:
    """The costs in a supergraph, whatever names the directives were imported by."""
    weights = Weights()
    names = _directive_names(supergraph)
    for node in supergraph.document.definitions:
        if not isinstance(node, WEIGHED):
            continue
        type_ = node.name.value
        _take(weights, names, (type_,), node.directives)
        for member in getattr(node, "fields", None) or ():
            _take(weights, names, (type_, member.name.value), member.directives)
            if isinstance(member, FieldDefinitionNode):
                for argument in member.arguments or ():
                    place = (type_, member.name.value, argument.name.value)
                    _take(weights, names, place, argument.directives)
    return weights


def _directive_names(supergraph: Supergraph) -> dict[str, str]:
    """The two directives by the names they have here."""
    feature = supergraph.feature("cost")
    if feature is None:
        return {}
    return {feature.directive("cost"): "cost", feature.directive("listSize"): "listSize"}


def _take(
    weights: Weights, names: dict[str, str], place: Coordinate, directives: Iterable[ConstDirectiveNode] | None
) -> None:
    for directive in directives or ():
        meaning = names.get(directive.name.value)
        if meaning is None:
            continue
        values = {argument.name.value: value_from_ast_untyped(argument.value) for argument in directive.arguments or ()}
        if meaning == "cost":
            weights.cost[place] = int(values.get("weight", 0))
        else:
            weights.lists[place] = _list_size(values)


def _list_size(values: dict[str, Any]) -> ListSize:
    require_one = values.get("requireOneSlicingArgument")
    return ListSize(
        assumed=values.get("assumedSize"),
        slicing=tuple(tuple(path.split(".")) for path in values.get("slicingArguments") or ()),
        sized=tuple(values.get("sizedFields") or ()),
        require_one=require_one is not False,
    )
