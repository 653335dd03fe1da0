"""Flatten selection sets: fragments inlined, equal fields merged, impossible type conditions dropped.

Results are remembered by what they were made from. A document in which fragments double one another is therefore
read once per fragment, and shares its parts in memory instead of growing exponentially.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
    is_composite_type,
)

from router.errors import OperationError
from router.operation.model import Defer, Field, InlineFragment, Selection
from router.operation.passes.conditions import deferral, is_selected, printed_directives
from router.operation.passes.literals import canonical_arguments
from router.operation.passes.possible_types import CompositeType, PossibleTypes, always_matches

Sets = tuple[SelectionSetNode, ...]


@dataclass(slots=True)
class _Fields:
    """Selections of one field, met so far."""

    nodes: list[FieldNode] = field(default_factory=list)


@dataclass(slots=True)
class _Fragment:
    """Selections under one type condition, met so far."""

    condition: CompositeType
    met: frozenset[str]
    defer: Defer | None
    sets: list[SelectionSetNode]


class Collector:
    """Turns selection sets of one document into selections, for one choice of conditions."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        values: Mapping[str, bool],
        *,
        defer: bool,
        subscription: bool = False,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._values = values
        self._defer = defer
        self._subscription = subscription
        self._possible = PossibleTypes(schema)
        self._made: dict[tuple[str, frozenset[str], tuple[int, ...]], tuple[Selection, ...]] = {}

    def root(self, root_type: GraphQLObjectType, selection_set: SelectionSetNode) -> tuple[Selection, ...]:
        """The operation's own selections."""
        return self._collect(root_type, self._possible.of(root_type), (selection_set,))

    def _collect(self, parent: CompositeType, met: frozenset[str], sets: Sets) -> tuple[Selection, ...]:
        key = (parent.name, met, tuple(map(id, sets)))
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = _Scope(self, parent, met).run(sets)
        return made

    def field(self, parent: CompositeType, nodes: list[FieldNode]) -> Field:
        """One field from all its selections, which validation has found to agree on name and arguments."""
        first = nodes[0]
        name = first.name.value
        definition = self._schema.get_field(parent, name)
        if definition is None:
            raise OperationError(f'Cannot query field "{name}" on type "{parent.name}".')
        selections: tuple[Selection, ...] = ()
        type_ = get_named_type(definition.type)
        if is_composite_type(type_):
            assert isinstance(type_, CompositeType)
            sets = tuple({id(node.selection_set): node.selection_set for node in nodes if node.selection_set}.values())
            # A composite field never looks like a leaf, even when @skip has emptied it.
            selections = self._collect(type_, self._possible.of(type_), sets) or (
                InlineFragment(type_.name, type_.name, ()),
            )
        return Field(
            parent=parent.name,
            name=name,
            response_name=first.alias.value if first.alias else name,
            arguments=canonical_arguments(first.arguments or ()),
            selections=selections,
            directives=printed_directives(first),
        )

    def fragment(self, parent: CompositeType, part: _Fragment) -> InlineFragment | None:
        """The selections under one type condition, or None where nothing is left of them."""
        selections = self._collect(part.condition, part.met, tuple(part.sets))
        if not selections:
            return None
        return InlineFragment(parent.name, part.condition.name, selections, part.defer)

    def open(self, node: InlineFragmentNode | FragmentSpreadNode) -> tuple[str | None, SelectionSetNode]:
        """A fragment's type condition and its selections."""
        if isinstance(node, InlineFragmentNode):
            return (node.type_condition.name.value if node.type_condition else None), node.selection_set
        definition = self._fragments.get(node.name.value)
        if definition is None:
            raise OperationError(f'Unknown fragment "{node.name.value}".')
        return definition.type_condition.name.value, definition.selection_set

    def selected(self, node: SelectionNode) -> bool:
        """Whether ``@skip`` and ``@include`` let it through."""
        return is_selected(node, self._values)

    def deferred(self, node: SelectionNode) -> Defer | None:
        """Its ``@defer``, if it has an effect. Raises OperationError in a subscription."""
        found = deferral(node, self._values)
        if found is not None and self._subscription:
            raise OperationError('Nothing can be deferred in a subscription: the "if" of its @defer must be false.')
        return found if self._defer else None

    def narrow(self, condition: str | None, parent: CompositeType, met: frozenset[str]) -> _Fragment | None:
        """What a type condition leaves of the objects met: None if none of them."""
        type_ = parent if condition is None else self._possible.composite(condition)
        left = met & self._possible.of(type_)
        if not left:
            return None
        if len(left) == 1 and not isinstance(type_, GraphQLObjectType) and type_ is not parent:
            type_ = self._possible.composite(next(iter(left)))
        return _Fragment(type_, left, None, [])

    def drops_out(self, parent: CompositeType, met: frozenset[str], condition: CompositeType) -> bool:
        """Whether the type condition changes nothing on this parent."""
        return always_matches(parent, condition, met, self._possible.of(condition))


class _Scope:
    """One run of the specification's CollectFields: a parent type and what is selected on it, in order."""

    def __init__(self, collector: Collector, parent: CompositeType, met: frozenset[str]) -> None:
        self._collector = collector
        self._parent = parent
        self._met = met
        self._parts: list[_Fields | _Fragment] = []
        self._fields: dict[str, _Fields] = {}
        self._visited: set[str] = set()

    def run(self, sets: Sets) -> tuple[Selection, ...]:
        for selection_set in sets:
            self._visit(selection_set)
        made = (
            self._collector.field(self._parent, part.nodes)
            if isinstance(part, _Fields)
            else self._collector.fragment(self._parent, part)
            for part in self._parts
        )
        return tuple(selection for selection in made if selection is not None)

    def _visit(self, selection_set: SelectionSetNode) -> None:
        for node in selection_set.selections:
            if not self._collector.selected(node):
                continue
            if isinstance(node, FieldNode):
                self._add_field(node)
            elif isinstance(node, InlineFragmentNode | FragmentSpreadNode):
                self._add_fragment(node)

    def _add_field(self, node: FieldNode) -> None:
        response_name = node.alias.value if node.alias else node.name.value
        part = self._fields.get(response_name)
        if part is None:
            part = self._fields[response_name] = _Fields()
            self._parts.append(part)
        part.nodes.append(node)

    def _add_fragment(self, node: InlineFragmentNode | FragmentSpreadNode) -> None:
        defer = self._collector.deferred(node)
        if isinstance(node, FragmentSpreadNode) and defer is None:
            if node.name.value in self._visited:
                return
            self._visited.add(node.name.value)
        condition, selection_set = self._collector.open(node)
        part = self._collector.narrow(condition, self._parent, self._met)
        if part is None:
            return
        if defer is None and self._collector.drops_out(self._parent, self._met, part.condition):
            self._visit(selection_set)
            return
        last = self._parts[-1] if self._parts else None
        if isinstance(last, _Fragment) and defer is None and last.defer is None and last.condition is part.condition:
            last.sets.append(selection_set)
            return
        part.defer = defer
        part.sets.append(selection_set)
        self._parts.append(part)
