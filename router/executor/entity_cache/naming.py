"""Asking for the ids of the entities inside an answer, so that it can be purged by them.

Without its id an entity in a kept answer is one of "some": whatever purges any entity of the type takes the answer
along. So ids are asked for where the subgraph has them and the client has not; nobody sees them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from graphql import (
    FieldNode,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

from router.executor.entity_cache.tags import id_field
from router.supergraph.model import Supergraph

ENTITIES = "_entities"
ALIAS = "__cache_id"
"""Not what a client would call a field: the answer has it, and no client is shown it."""


class Naming:
    """The operations of one subgraph with ids added."""

    def __init__(self, supergraph: Supergraph, subgraph: str) -> None:
        self._supergraph = supergraph
        self._subgraph = subgraph
        self._alias = ALIAS

    def of(self, operation: OperationDefinitionNode, root_type: str) -> OperationDefinitionNode:
        """The same operation, and the ids."""
        taken = set(_response_names(operation.selection_set))
        self._alias = ALIAS
        while self._alias in taken:
            self._alias += "_"
        return replace(operation, selection_set=self._below(root_type, operation.selection_set))

    def _below(self, type_name: str, node: SelectionSetNode) -> SelectionSetNode:
        """What is asked for of each field; of these objects themselves nothing more."""
        return SelectionSetNode(selections=tuple(self._selection(type_name, each) for each in node.selections))

    def _selection(self, type_name: str, node: SelectionNode) -> SelectionNode:
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition.name.value if node.type_condition else type_name
            return replace(node, selection_set=self._below(condition, node.selection_set))
        if not isinstance(node, FieldNode) or node.selection_set is None:
            return node
        if node.name.value == ENTITIES:
            return replace(node, selection_set=self._below("", node.selection_set))
        definition = self._supergraph.field(type_name, node.name.value)
        if definition is None:
            return node
        return replace(node, selection_set=self._named(definition.named_type, node.selection_set))

    def _named(self, type_name: str, node: SelectionSetNode) -> SelectionSetNode:
        below = self._below(type_name, node)
        key = self._key(type_name)
        asked = {each.name.value for each in node.selections if isinstance(each, FieldNode)}
        if key is None or key in asked:
            return below
        added = FieldNode(alias=NameNode(value=self._alias), name=NameNode(value=key), arguments=(), directives=())
        return SelectionSetNode(selections=(*below.selections, added))

    def _key(self, type_name: str) -> str | None:
        """The field that names entities of this type, if it is one of the subgraph's own keys."""
        name = id_field(self._supergraph, type_name)
        if not name:
            return None
        joins = self._supergraph.types[type_name].joins.values()
        keys = (key.fields.strip() for join in joins if join.subgraph == self._subgraph for key in join.keys)
        return name if name in keys else None


def _response_names(node: SelectionSetNode) -> Iterator[str]:
    for each in node.selections:
        if isinstance(each, FieldNode):
            yield each.alias.value if each.alias else each.name.value
        below = getattr(each, "selection_set", None)
        if below is not None:
            yield from _response_names(below)
