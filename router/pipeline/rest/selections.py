"""Reads what an operation selects: which keys its answer has at a place, and of which type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
)

TYPENAME = "__typename"


@dataclass(slots=True)
class Selected:
    """A key of an answer. ``certain``: no directive or type condition can leave it out. ``type`` None: __typename."""

    type: GraphQLOutputType | None
    certain: bool
    below: list[SelectionSetNode] = field(default_factory=list)


class Selections:
    """The selections of one document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }

    def root(self, definition: OperationDefinitionNode) -> tuple[GraphQLNamedType, list[SelectionSetNode]]:
        """The root type and selection set of an operation."""
        root = self._schema.get_root_type(definition.operation)
        assert root is not None, "validated before"
        return root, [definition.selection_set]

    def at(self, definition: OperationDefinitionNode, path: Iterable[str]) -> Selected | None:
        """What is selected at a path of response keys; None if nothing is, or lists lie on the way."""
        type_, sets = self.root(definition)
        found: Selected | None = None
        for key in path:
            found = self.fields(type_, sets).get(key)
            if found is None or found.type is None:
                return None
            type_, sets = get_named_type(found.type), found.below
        return found

    def fields(self, parent: GraphQLNamedType, sets: Sequence[SelectionSetNode]) -> dict[str, Selected]:
        """The keys that these selection sets give for a parent type, fragments expanded."""
        found: dict[str, Selected] = {}
        for selection_set in sets:
            self._collect(parent, selection_set, True, found)
        return found

    def sole_fragment(self, sets: Sequence[SelectionSetNode]) -> str | None:
        """The name of the fragment that the selection consists of, if it is nothing else."""
        if len(sets) != 1 or len(sets[0].selections) != 1:
            return None
        (only,) = sets[0].selections
        return only.name.value if isinstance(only, FragmentSpreadNode) and not only.directives else None

    def _collect(
        self, parent: GraphQLNamedType, selection_set: SelectionSetNode, certain: bool, found: dict[str, Selected]
    ) -> None:
        for node in selection_set.selections:
            sure = certain and not node.directives
            if isinstance(node, FieldNode):
                self._add(parent, node, sure, found)
                continue
            inner = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            assert isinstance(inner, FragmentDefinitionNode | InlineFragmentNode)
            condition = inner.type_condition.name.value if inner.type_condition else parent.name
            type_ = self._schema.type_map[condition]
            self._collect(type_, inner.selection_set, sure and self._always(parent, type_), found)

    def _add(self, parent: GraphQLNamedType, node: FieldNode, certain: bool, found: dict[str, Selected]) -> None:
        key = node.alias.value if node.alias else node.name.value
        if key not in found:
            type_ = None
            if node.name.value != TYPENAME:
                assert isinstance(parent, GraphQLObjectType | GraphQLInterfaceType), "validated before"
                type_ = parent.fields[node.name.value].type
            found[key] = Selected(type_, certain)
        found[key].certain |= certain
        if node.selection_set:
            found[key].below.append(node.selection_set)

    def _always(self, parent: GraphQLNamedType, condition: GraphQLNamedType) -> bool:
        if parent is condition:
            return True
        return (
            isinstance(condition, GraphQLInterfaceType)
            and isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
            and self._schema.is_sub_type(condition, parent)
        )
