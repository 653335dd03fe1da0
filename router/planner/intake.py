"""What the client asks for, as wants for the search and as entries for the answer's shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from router.operation.model import Field, Operation, Selection
from router.planner.positions import Position, Slot
from router.query_graph.model import Want
from router.supergraph.model import Supergraph

INTROSPECTION_FIELDS = frozenset({"__schema", "__type"})


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """A client's field for these object types. ``slot`` is None for ``__typename``; ``scope`` its ``@defer``."""

    response_name: str
    types: frozenset[str]
    type: str
    slot: Slot | None
    children: Entries | None
    directives: tuple[str, ...] = ()
    scope: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Entries:
    """The fields asked for of one composite field's objects; ``type`` is the API schema's type of them."""

    type: str
    position: Position
    entries: tuple[Entry, ...]

    def of(self, scope: int | None) -> tuple[Entry, ...]:
        """The fields that come with one part of the answer."""
        return tuple(entry for entry in self.entries if entry.scope == scope)


@dataclass(frozen=True, eq=False, slots=True)
class Crossing:
    """A field that leads to where a deferred part stands. ``parent`` is the API schema's type it is asked of."""

    parent: str
    slot: Slot
    types: frozenset[str]
    type: str


@dataclass(eq=False, slots=True)
class Deferral:
    """One ``@defer``: where it stands, and the one it stands in."""

    label: str | None
    trail: tuple[Crossing, ...]
    parent: int | None
    entries: Entries | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the intake reads: the way there, and the part of the answer it is in."""

    position: Position
    trail: tuple[Crossing, ...] = ()
    scope: int | None = None


class Intake:
    """Reads one operation against a supergraph. ``deferrals`` are its ``@defer``, by number."""

    def __init__(self, supergraph: Supergraph) -> None:
        self.supergraph = supergraph
        self.deferrals: list[Deferral] = []
        self.visible = {
            name: frozenset(t for t in types if not supergraph.types[t].inaccessible)
            for name, types in supergraph.possible_types.items()
        }

    def read(self, operation: Operation) -> Entries:
        """All fields of the operation but introspection, with data keys settled."""
        return self._entries(operation.root_type, operation.selections, Place(Position()))

    def _entries(self, type_name: str, selections: tuple[Selection, ...], place: Place) -> Entries:
        types = self.supergraph.possible_types[type_name]
        first = len(self.deferrals)
        fields = list(self._flatten(selections, types, place))
        own = range(first, len(self.deferrals))
        found = [
            self._entry(type_name, f, applies, inner)
            for f, applies, inner in fields
            if f.name not in INTROSPECTION_FIELDS
        ]
        entries = Entries(type_name, place.position, tuple(found))
        for number in own:
            self.deferrals[number].entries = entries
        return entries

    def _flatten(
        self, selections: tuple[Selection, ...], types: frozenset[str], place: Place
    ) -> Iterator[tuple[Field, frozenset[str], Place]]:
        """The fields of nested type conditions, each with the object types it applies to."""
        for selection in selections:
            if isinstance(selection, Field):
                yield selection, types, place
                continue
            narrowed = types & self.supergraph.possible_types.get(selection.type_condition, frozenset())
            if not narrowed:
                continue
            inner = place
            if selection.defer and self._asks(selection.selections, narrowed):
                self.deferrals.append(Deferral(selection.defer.label, place.trail, place.scope))
                inner = replace(place, scope=len(self.deferrals) - 1)
            yield from self._flatten(selection.selections, narrowed, inner)

    def _asks(self, selections: tuple[Selection, ...], types: frozenset[str]) -> bool:
        """Whether a deferred fragment has anything to wait for; otherwise what is in it need not be deferred."""
        for selection in selections:
            if isinstance(selection, Field):
                if selection.name != "__typename" and selection.name not in INTROSPECTION_FIELDS:
                    return True
            elif not selection.defer:
                narrowed = types & self.supergraph.possible_types.get(selection.type_condition, frozenset())
                if narrowed and self._asks(selection.selections, narrowed):
                    return True
        return False

    def _entry(self, parent: str, field: Field, types: frozenset[str], place: Place) -> Entry:
        if field.name == "__typename":
            return Entry(field.response_name, types, "String!", None, None, (), place.scope)
        definition = self.supergraph.types[field.parent].fields[field.name]
        slot = place.position.client_slot(field.response_name, field.name, field.arguments)
        children = None
        if field.selections:
            trail = (*place.trail, Crossing(parent, slot, types, definition.type))
            inner = replace(place, position=slot.child, trail=trail)
            children = self._entries(definition.named_type, field.selections, inner)
        return Entry(field.response_name, types, definition.type, slot, children, field.directives, place.scope)

    # --- wants ----------------------------------------------------------------------------------------------------

    def wants(self, entries: Entries, scope: int | None = None) -> tuple[Want, ...]:
        """What the search has to find for these entries, which stand in the deferred part ``scope``."""
        wants = [self._want(entry, scope) for entry in entries.entries if entry.slot is not None]
        parts = {scope, *(entry.scope for entry in entries.entries)}
        if any(self.needs_typename(entries, part) for part in parts):
            # Never deferred: an object's type comes with the object.
            wants.insert(0, Want("__typename", self.supergraph.possible_types[entries.type]))
        return tuple(wants)

    def _want(self, entry: Entry, scope: int | None) -> Want:
        assert entry.slot is not None
        selections = self.wants(entry.children, entry.scope) if entry.children else ()
        defer = entry.scope if entry.scope != scope else None
        slot = entry.slot
        return Want(slot.name, entry.types, slot.arguments, selections, slot.key, entry.directives, defer)

    def needs_typename(self, entries: Entries, scope: int | None = None) -> bool:
        """Whether that part of the answer cannot be written without knowing each object's type."""
        if not self.supergraph.types[entries.type].is_abstract:
            return False
        visible = self.visible[entries.type]
        if visible != self.supergraph.possible_types[entries.type]:
            return True
        return any(
            entry.slot is None or not entry.types >= visible or self._differs(entry.slot.name, visible)
            for entry in entries.of(scope)
        )

    def _differs(self, name: str, types: frozenset[str]) -> bool:
        """Whether subgraphs type the field differently for these object types, which may keep it under several keys."""
        fields = (self.supergraph.field(type_name, name) for type_name in types)
        return len({join.type for field in fields if field for join in field.joins.values()}) > 1
