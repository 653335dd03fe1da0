"""The shape of the answer, once every field's data key is settled."""

from __future__ import annotations

from router.planner.intake import Entries, Entry, Intake
from router.query_plan.nodes import Shape, ShapeField, ShapeVariant
from router.supergraph.model import named_type


def make_shape(intake: Intake, entries: Entries, scope: int | None = None) -> Shape:
    """One variant for each group of object types that get the same members in that part of the answer."""
    visible = intake.visible[entries.type]
    abstract = intake.needs_typename(entries, scope)
    if not abstract:
        return Shape(False, (ShapeVariant(visible, _members(intake, entries.of(scope), visible, scope)),))
    groups: dict[tuple[object, ...], set[str]] = {}
    for type_name in sorted(visible):
        groups.setdefault(_applying(intake, entries.of(scope), type_name), set()).add(type_name)
    variants = [
        ShapeVariant(frozenset(types), _members(intake, entries.of(scope), frozenset(types), scope))
        for types in groups.values()
    ]
    return Shape(True, tuple(variants))


def _applying(intake: Intake, entries: tuple[Entry, ...], type_name: str) -> tuple[object, ...]:
    """What tells one object type's members from another's: which fields, their data keys, their types."""
    return tuple(
        (id(entry), entry.slot and entry.slot.type_keys.get(type_name), _own_type(intake, entry, type_name))
        for entry in entries
        if type_name in entry.types
    )


def _own_type(intake: Intake, entry: Entry, type_name: str) -> str:
    definition = intake.supergraph.field(type_name, entry.slot.name) if entry.slot else None
    return definition.type if definition else entry.type


def _members(
    intake: Intake, entries: tuple[Entry, ...], types: frozenset[str], scope: int | None
) -> tuple[ShapeField, ...]:
    """The members in the client's order; fields of one response name are one member (CollectFields)."""
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        if types & entry.types:
            by_name.setdefault(entry.response_name, []).append(entry)
    return tuple(_member(intake, found, types, scope) for found in by_name.values())


def _member(intake: Intake, entries: list[Entry], types: frozenset[str], scope: int | None) -> ShapeField:
    first = entries[0]
    if first.slot is None:
        constant = next(iter(types)) if len(types) == 1 else None
        return ShapeField(first.response_name, "__typename", "String!", constant)
    key = next((first.slot.type_keys[t] for t in types if t in first.slot.type_keys), first.slot.key)
    type_source = _type_for(intake, first, types)
    children = [entry.children for entry in entries if entry.children]
    if children:
        found = tuple(entry for child in children for entry in child.entries)
        merged = Entries(named_type(type_source), children[0].position, found)
        return ShapeField(first.response_name, key, type_source, shape=make_shape(intake, merged, scope))
    return ShapeField(first.response_name, key, type_source, enum_values=_enum_values(intake, type_source))


def _type_for(intake: Intake, entry: Entry, types: frozenset[str]) -> str:
    """The field's type: the object type's own where there is one type, since it may be narrower (non-null)."""
    own = {_own_type(intake, entry, type_name) for type_name in types}
    return own.pop() if len(own) == 1 else entry.type


def _enum_values(intake: Intake, type_source: str) -> frozenset[str] | None:
    definition = intake.supergraph.types[named_type(type_source)]
    return frozenset(definition.values) - definition.hidden_values if definition.kind == "enum" else None
