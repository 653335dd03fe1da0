"""Which fields a subgraph resolves itself, and which of the others it has a use for."""

from __future__ import annotations

from router.composition.field_sets import field_sets, selected
from router.composition.model import Subgraph, TypeDefinition

Coordinate = tuple[str, str]


def mark_externals(subgraph: Subgraph) -> None:
    """Fill ``external_in_effect``.

    A key field of a type extension may be marked @external by habit of Federation 1: it is resolved here all the same.
    """
    declared = {(type_.name, field.name) for type_, field in subgraph.fields() if field.has("external")}
    resolved = {
        (parent.name, field.name)
        for name, type_, selections in field_sets(subgraph)
        if name == "key" and (type_.is_extension or type_.has("extends"))
        for parent, field, _ in selected(subgraph, type_, selections)
    }
    subgraph.external_in_effect = declared - resolved


def used_fields(subgraph: Subgraph) -> set[Coordinate]:
    """Fields that some key, requirement, provision, context or interface of the subgraph rests on."""
    used: set[Coordinate] = set()
    for _, type_, selections in field_sets(subgraph):
        for parent, field, _node in selected(subgraph, type_, selections):
            used.add((parent.name, field.name))
            if parent.kind == "interface":
                used.update((name, field.name) for name in subgraph.possible_types(parent.name))
    used |= interface_fields(subgraph)
    return used


def interface_fields(subgraph: Subgraph) -> set[Coordinate]:
    """Fields of object types that implement a field of an interface."""
    return {
        (type_.name, field)
        for type_ in subgraph.types.values()
        if type_.kind == "object"
        for interface in type_.interfaces
        for field in _fields_of(subgraph.types.get(interface))
        if field in type_.fields
    }


def provided_fields(subgraph: Subgraph) -> set[Coordinate]:
    """Fields named by some @provides: resolvable here along those paths, external or not."""
    provided: set[Coordinate] = set()
    for name, type_, selections in field_sets(subgraph):
        if name == "provides":
            for parent, field, _ in selected(subgraph, type_, selections):
                provided.update(
                    (possible, field.name) for possible in {parent.name} | subgraph.possible_types(parent.name)
                )
    return provided


def key_fields(subgraph: Subgraph) -> set[Coordinate]:
    """Fields named by some @key."""
    return {
        (parent.name, field.name)
        for name, type_, selections in field_sets(subgraph)
        if name == "key"
        for parent, field, _ in selected(subgraph, type_, selections)
    }


def _fields_of(type_: TypeDefinition | None) -> list[str]:
    return list(type_.fields) if type_ is not None else []
