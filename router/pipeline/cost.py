"""Demand control: what an operation would cost, estimated before anything is done for it.

An operation is compiled once into an expression of its variables; what does not depend on them is a number. A field
costs its weight (an object 1, a leaf 0, unless ``@cost`` says otherwise) and the weight of its arguments, plus what is
selected below it, times the length of the list it stands in. The specification's sum over all type conditions is
kept: an abstract field's estimate is an upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_interface_type,
    is_object_type,
)

from router.errors import RequestError, RequestErrorCode
from router.pipeline.cost_arguments import Arguments, argument_cost
from router.pipeline.cost_weights import ListSize, Weights
from router.settings import CostSettings

Variables = Mapping[str, Any]
Expression = int | Callable[[Variables], int]
CostOf = Callable[[Variables], int]
"""An operation's cost with these (coerced) variables. Raises RequestError for a list that is not sliced as asked."""

LARGEST = 2**53 - 1
"""No larger cost is told: a number that every JSON reader knows."""

SLICING = ("first", "last")
CONNECTION = ("edges", "nodes")
"""Names by convention, where no ``@listSize`` says more."""

Condition = tuple[str, bool]
"""A variable, and its value for which the field is selected."""


@dataclass(frozen=True, slots=True)
class _Selected:
    """A field with the type it is selected on and the variables that decide whether it is."""

    parent: GraphQLCompositeType
    node: FieldNode
    conditions: frozenset[Condition]


class CostModel:
    """Compiles the cost of operations for one graph."""

    def __init__(self, schema: GraphQLSchema, weights: Weights, settings: CostSettings) -> None:
        self._schema = schema
        self._weights = weights
        self._settings = settings

    def compile(self, document: DocumentNode, operation: OperationDefinitionNode) -> CostOf:
        """The cost of a valid operation, whose expanded size is within its limits."""
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        root = self._schema.get_root_type(operation.operation)
        assert root is not None, "validated before"
        base = self._settings.mutation if operation.operation is OperationType.MUTATION else 0
        total = _sum([base, self._selections(root, [operation.selection_set], fragments, {})])
        if isinstance(total, int):
            constant = max(0, min(total, LARGEST))
            return lambda _: constant
        return lambda variables: max(0, min(total(variables), LARGEST))

    def _selections(
        self,
        parent: GraphQLCompositeType,
        selection_sets: Iterable[SelectionSetNode],
        fragments: Mapping[str, FragmentDefinitionNode],
        sizes: Mapping[str, Expression],
    ) -> Expression:
        """``sizes``: the length of lists among the fields, where the field above tells it."""
        groups: dict[tuple[str, str, frozenset[Condition]], list[_Selected]] = {}
        for selection_set in selection_sets:
            for one in self._fields(parent, selection_set, fragments, frozenset()):
                response_name = one.node.alias.value if one.node.alias else one.node.name.value
                groups.setdefault((one.parent.name, response_name, one.conditions), []).append(one)
        return _sum(self._group(group, fragments, sizes) for group in groups.values())

    def _fields(
        self,
        parent: GraphQLCompositeType,
        selection_set: SelectionSetNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        conditions: frozenset[Condition],
    ) -> Iterator[_Selected]:
        for node in selection_set.selections:
            asked = _conditions(node)
            if asked is None:
                continue
            if isinstance(node, FieldNode):
                yield _Selected(parent, node, conditions | asked)
                continue
            fragment = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            assert isinstance(fragment, InlineFragmentNode | FragmentDefinitionNode)
            condition = fragment.type_condition
            inner = self._schema.get_type(condition.name.value) if condition is not None else parent
            assert is_composite_type(inner), "validated before"
            yield from self._fields(inner, fragment.selection_set, fragments, conditions | asked)

    def _group(
        self,
        group: list[_Selected],
        fragments: Mapping[str, FragmentDefinitionNode],
        sizes: Mapping[str, Expression],
    ) -> Expression:
        """Fields that are one field of the answer."""
        first = group[0]
        name = first.node.name.value
        definition = self._definition(first.parent, name)
        if definition is None:
            return 0  # __typename and introspection
        arguments = Arguments(first.node, definition)
        size, inner_sizes = self._sizes(first, definition, arguments, sizes.get(name))
        below: Expression = 0
        type_ = get_named_type(definition.type)
        if is_composite_type(type_):
            inner = [one.node.selection_set for one in group if one.node.selection_set is not None]
            below = self._selections(type_, inner, fragments, inner_sizes)
        each = _sum([self._weight(first.parent, name, definition), below])
        places = self._places(first.parent, name)
        cost = _sum([_product(size, each), argument_cost(self._schema, self._weights, places, arguments)])
        return _when(first.conditions, cost)

    def _definition(self, parent: GraphQLCompositeType, name: str) -> GraphQLField | None:
        if name.startswith("__") or not (is_object_type(parent) or is_interface_type(parent)):
            return None
        found: GraphQLField = parent.fields[name]
        return found

    def _places(self, parent: GraphQLCompositeType, name: str) -> list[tuple[str, str]]:
        """Where the field is defined: on an interface, also on the types behind it."""
        behind = self._schema.get_possible_types(parent) if is_abstract_type(parent) else ()
        return [(type_.name, name) for type_ in (parent, *behind)]

    def _weight(self, parent: GraphQLCompositeType, name: str, definition: GraphQLField) -> int:
        known = [self._weights.cost[place] for place in self._places(parent, name) if place in self._weights.cost]
        if known:
            return max(known)
        type_ = get_named_type(definition.type)
        default = 1 if is_composite_type(type_) else 0
        types = [type_, *self._schema.get_possible_types(type_)] if is_abstract_type(type_) else [type_]
        return max(self._weights.cost.get((one.name,), default) for one in types)

    def _sizes(
        self, one: _Selected, definition: GraphQLField, arguments: Arguments, given: Expression | None
    ) -> tuple[Expression, dict[str, Expression]]:
        """How often the field's value is there, and the lengths it tells of lists below."""
        places = self._places(one.parent, one.node.name.value)
        told = next((self._weights.lists[place] for place in places if place in self._weights.lists), None)
        if told is None:
            slicing = tuple((name,) for name in SLICING if name in definition.args)
            told = ListSize(None, slicing, () if _is_list(definition) else CONNECTION, require_one=False)
            if not slicing:
                return (given if given is not None else self._settings.list_size) if _is_list(definition) else 1, {}
        length = self._length(told, arguments)
        sized: dict[str, Expression] = dict.fromkeys(told.sized, length)
        if told.sized:
            return 1 if not _is_list(definition) else self._settings.list_size, sized
        return length, {}

    def _length(self, told: ListSize, arguments: Arguments) -> Expression:
        assumed = told.assumed if told.assumed is not None else self._settings.list_size
        most = self._settings.list_size_max
        slicing = told.slicing

        def length(variables: Variables) -> int:
            given = [value for path in slicing if (value := arguments.size(path, variables)) is not None]
            explicit = sum(arguments.is_given(path, variables) for path in slicing)
            if told.require_one and slicing and (explicit > 1 or not given):
                raise _not_sliced(arguments.name, slicing)
            asked = max(given, default=assumed)
            return max(0, asked if most is None or not given else min(asked, most))

        return length if slicing and arguments.variable else length({})


def check_cost(cost: int, limit: int) -> None:
    """Raises RequestError for an operation that costs more than its caller may spend."""
    if cost > limit:
        message = f"The operation's estimated cost is {cost}, more than {limit}. Ask for fewer or shorter lists."
        extensions = {"cost": cost, "limit": limit}
        raise RequestError(RequestErrorCode.COST_ESTIMATED_TOO_EXPENSIVE, message, extensions=extensions)


def _is_list(definition: GraphQLField) -> bool:
    type_ = definition.type
    return isinstance(type_.of_type if isinstance(type_, GraphQLNonNull) else type_, GraphQLList)


def _conditions(node: Any) -> frozenset[Condition] | None:
    """What ``@skip`` and ``@include`` ask of variables; None where the node is never selected."""
    found: set[Condition] = set()
    for directive in node.directives or ():
        if directive.name.value not in ("skip", "include"):
            continue
        wanted = directive.name.value == "include"
        value = directive.arguments[0].value
        if isinstance(value, VariableNode):
            found.add((value.name.value, wanted))
        elif value.value != wanted:
            return None
    return frozenset(found)


def _sum(parts: Iterable[Expression]) -> Expression:
    known = list(parts)
    constant = sum(part for part in known if isinstance(part, int))
    computed = [part for part in known if not isinstance(part, int)]
    if not computed:
        return constant
    return lambda variables: constant + sum(part(variables) for part in computed)


def _product(size: Expression, each: Expression) -> Expression:
    if isinstance(size, int):
        if isinstance(each, int):
            return size * each
        return lambda variables: size * each(variables)
    if isinstance(each, int):
        return lambda variables: size(variables) * each
    return lambda variables: size(variables) * each(variables)


def _when(conditions: frozenset[Condition], cost: Expression) -> Expression:
    if not conditions:
        return cost
    of = cost if not isinstance(cost, int) else lambda _, cost=cost: cost
    return lambda variables: of(variables) if all(variables.get(name) is value for name, value in conditions) else 0


def _not_sliced(field: str, slicing: tuple[tuple[str, ...], ...]) -> RequestError:
    names = ", ".join(".".join(path) for path in slicing)
    message = f'"{field}" must be given exactly one of: {names}.'
    return RequestError(RequestErrorCode.BAD_USER_INPUT, message)
