"""What the client asks for, as wants for the search and as entries for the answer's shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from router.operation.model import Defer, Field, Operation, Selection
from router.planner.positions import Position, Slot
from router.query_graph.model import Want
from router.supergraph.model import Supergraph

INTROSPECTION_FIELDS = frozenset({"__schema", "__type"})


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """A client's field for these object types. ``slot`` is None for ``__typename``."""

    response_name: str
    types: frozenset[str]
    type: str
    slot: Slot | None
    children: Entries | None
    defer: DeferScope | None = None


@dataclass(frozen=True, eq=False, slots=True)
class DeferScope:
    """One ``@defer`` of the operation; the objects it stands on are at ``path`` of the slots."""

    label: str | None
    slots: tuple[Slot, ...]
    parent: DeferScope | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Entries:
    """The fields asked for of one composite field's objects; ``type`` is the API schema's type of them."""

    type: str
    position: Position
    entries: tuple[Entry, ...]


class Intake:
    """Reads one operation against a supergraph."""

    def __init__(self, supergraph: Supergraph) -> None:
        self.supergraph = supergraph
        self.visible = {
            name: frozenset(t for t in types if not supergraph.types[t].inaccessible)
            for name, types in supergraph.possible_types.items()
        }

    def read(self, operation: Operation) -> Entries:
        """All fields of the operation but introspection, with data keys settled."""
        return self.entries(operation.root_type, operation.selections, Position(), (), None)

    def entries(
        self,
        type_name: str,
        selections: tuple[Selection, ...],
        position: Position,
        slots: tuple[Slot, ...],
        scope: DeferScope | None,
    ) -> Entries:
        types = self.supergraph.possible_types[type_name]
        found = []
        for field, applies, defer in self.flatten(selections, types, scope, slots):
            if field.name not in INTROSPECTION_FIELDS:
                found.append(self.entry(field, applies, position, slots, defer))
        return Entries(type_name, position, tuple(found))

    def flatten(
        self,
        selections: tuple[Selection, ...],
        types: frozenset[str],
        scope: DeferScope | None,
        slots: tuple[Slot, ...],
    ) -> Iterator[tuple[Field, frozenset[str], DeferScope | None]]:
        for selection in selections:
            if isinstance(selection, Field):
                yield selection, types, scope
                continue
            narrowed = types & self.supergraph.possible_types.get(selection.type_condition, frozenset())
            if narrowed:
                inner = self.scope(selection.defer, slots, scope) if selection.defer else scope
                yield from self.flatten(selection.selections, narrowed, inner, slots)

    def scope(self, defer: Defer, slots: tuple[Slot, ...], parent: DeferScope | None) -> DeferScope:
        return DeferScope(defer.label, slots, parent)

    def entry(
        self,
        field: Field,
        types: frozenset[str],
        position: Position,
        slots: tuple[Slot, ...],
        scope: DeferScope | None,
    ) -> Entry:
        if field.name == "__typename":
            return Entry(field.response_name, types, "String!", None, None, scope)
        definition = self.supergraph.types[field.parent].fields[field.name]
        slot = position.client_slot(field.response_name, field.name, field.arguments)
        children = None
        if field.selections:
            children = self.entries(definition.named_type, field.selections, slot.child, (*slots, slot), scope)
        return Entry(field.response_name, types, definition.type, slot, children, scope)

    # --- wants ----------------------------------------------------------------------------------------------------

    def wants(self, entries: Entries, directives: dict[Slot, tuple[str, ...]] | None = None) -> tuple[Want, ...]:
        """What the search has to find for these entries."""
        wants = [self.want(entry) for entry in entries.entries if entry.slot is not None]
        if self.needs_typename(entries):
            wants.insert(0, Want("__typename", self.supergraph.possible_types[entries.type]))
        return tuple(wants)

    def want(self, entry: Entry) -> Want:
        assert entry.slot is not None
        selections = self.wants(entry.children) if entry.children else ()
        return Want(entry.slot.name, entry.types, entry.slot.arguments, selections, entry.slot.key)

    def needs_typename(self, entries: Entries) -> bool:
        """Whether the answer cannot be written without knowing each object's type."""
        if not self.supergraph.types[entries.type].is_abstract:
            return False
        visible = self.visible[entries.type]
        if visible != self.supergraph.possible_types[entries.type]:
            return True
        return any(entry.slot is None or not entry.types >= visible for entry in entries.entries)
