"""Which entities an answer is made of: the tags by which it can be purged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, InlineFragmentNode, SelectionSetNode

from router.executor.entity_cache.store import entity_tag, type_tag, unnamed_tag
from router.supergraph.model import Supergraph, named_type


@dataclass(frozen=True, slots=True)
class Spot:
    """An object of the answer.

    ``entities``: the entity types it may be, each with its id's field and that field's name in the answer.
    """

    entities: tuple[tuple[str, str, str | None], ...]
    typename: str | None
    members: tuple[tuple[str, Spot], ...]

    @property
    def matters(self) -> bool:
        """Whether an entity can be here or below."""
        return bool(self.entities or self.members)


def id_field(supergraph: Supergraph, type_name: str) -> str | None:
    """The field that names an entity in tags: its first key that is a single leaf. None: it is no entity."""
    definition = supergraph.types.get(type_name)
    if definition is None or definition.kind != "object":
        return None
    keys = [key.fields.strip() for join in definition.joins.values() for key in join.keys]
    single = [key for key in keys if key.isidentifier()]
    return "id" if "id" in single else (single[0] if single else ("" if keys else None))


def spot_of(supergraph: Supergraph, type_name: str, selections: SelectionSetNode) -> Spot:
    """The places of entities in what a selection brings."""
    possible = sorted(supergraph.possible_types.get(type_name, frozenset((type_name,))))
    fields = list(_fields(type_name, selections))
    entities = []
    for name in possible:
        field = id_field(supergraph, name)
        if field is not None:
            keys = [node for parent, node in fields if node.name.value == field and _covers(supergraph, parent, name)]
            entities.append((name, field, _response_name(keys[0]) if keys else None))
    typenames = [_response_name(node) for parent, node in fields if node.name.value == "__typename"]
    members = []
    for parent, node in fields:
        definition = supergraph.field(parent, node.name.value)
        if definition is not None and node.selection_set is not None:
            below = spot_of(supergraph, named_type(definition.type), node.selection_set)
            if below.matters:
                members.append((_response_name(node), below))
    return Spot(tuple(entities), typenames[0] if typenames else None, tuple(members))


def tags_of(spot: Spot, value: Any, representation: Any = None) -> Iterator[str]:
    """The tags of a part of an answer; of an entity that was asked for, its ``representation`` may tell the id."""
    if isinstance(value, list):
        for item in value:
            yield from tags_of(spot, item)
    elif isinstance(value, dict):
        yield from _own_tags(spot, value, representation or {})
        for name, below in spot.members:
            yield from tags_of(below, value.get(name))


def _own_tags(spot: Spot, value: dict[str, Any], representation: dict[str, Any]) -> Iterator[str]:
    found = value.get(spot.typename) if spot.typename is not None else None
    for name, field, id_name in spot.entities:
        if len(spot.entities) > 1 and found is not None and found != name:
            continue
        yield type_tag(name)
        id_ = value.get(id_name) if id_name is not None else representation.get(field)
        if id_ is None:
            yield unnamed_tag(name)
        else:
            yield entity_tag(name, str(id_))


def _fields(type_name: str, selections: SelectionSetNode) -> Iterator[tuple[str, FieldNode]]:
    for selection in selections.selections:
        if isinstance(selection, FieldNode):
            yield type_name, selection
        elif isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition.name.value if selection.type_condition else type_name
            yield from _fields(condition, selection.selection_set)


def _covers(supergraph: Supergraph, parent: str, name: str) -> bool:
    return parent == name or name in supergraph.possible_types.get(parent, frozenset())


def _response_name(node: FieldNode) -> str:
    return node.alias.value if node.alias else node.name.value
