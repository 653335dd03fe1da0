"""The fetch graph: every request to a subgraph, and which must be answered before which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from router.planner.selection_tree import SelectionTree
from router.query_plan.nodes import (
    ContextValue,
    OperationKind,
    Path,
    RepresentationField,
    RepresentationSelection,
)


@dataclass(eq=False, slots=True)
class Entity:
    """The ``_entities`` part of a fetch: objects at ``paths``, what is sent of them, what is asked for.

    ``contexts`` are values from above, ``context_types`` the types of their variables.
    """

    paths: list[Path]
    type: str
    typename: str
    fields: tuple[RepresentationField, ...]
    tree: SelectionTree
    contexts: tuple[ContextValue, ...] = ()
    context_types: tuple[str, ...] = ()

    def representations(self) -> tuple[RepresentationSelection, ...]:
        """What is sent, as the executor reads it."""
        return (RepresentationSelection(None, self.typename, self.fields),)


@dataclass(eq=False, slots=True)
class FetchGroup:
    """One request. A root fetch has ``root``, an entity fetch ``entities``; ``parents`` are needed before it.

    ``path`` is where a root fetch's answer belongs when it is not the operation's own root, ``scope`` the ``@defer``
    it is for.
    """

    id: int
    subgraph: str
    kind: OperationKind
    root: SelectionTree | None = None
    path: Path = ()
    entities: list[Entity] = field(default_factory=list)
    parents: set[FetchGroup] = field(default_factory=set)
    scope: int | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        return (self.root is None or self.root.empty) and all(entity.tree.empty for entity in self.entities)

    @property
    def alone(self) -> bool:
        """Whether it cannot share a request: a root fetch, or one whose variables differ from object to object."""
        return self.root is not None or any(entity.contexts for entity in self.entities)

    def trees(self) -> Iterator[SelectionTree]:
        """Its selection trees."""
        if self.root is not None:
            yield self.root
        yield from (entity.tree for entity in self.entities)


@dataclass(eq=False, slots=True)
class FetchGraph:
    """All fetches of one plan, or of one step of a mutation. ``deferred``: per ``@defer`` what brings its data."""

    groups: list[FetchGroup] = field(default_factory=list)
    deferred: dict[int, set[FetchGroup]] = field(default_factory=dict)

    def rounds(self) -> dict[FetchGroup, int]:
        """The earliest round each group can run in."""
        found: dict[FetchGroup, int] = {}

        def number(group: FetchGroup) -> int:
            if group not in found:
                found[group] = 1 + max((number(parent) for parent in group.parents), default=-1)
            return found[group]

        for group in self.groups:
            number(group)
        return found

    def replace(self, old: FetchGroup, new: FetchGroup) -> None:
        """Let ``new`` stand in for ``old``, which goes."""
        self.groups.remove(old)
        new.parents |= old.parents
        new.parents -= {old, new}
        for needed in self.deferred.values():
            if old in needed:
                needed.remove(old)
                needed.add(new)
        for group in self.groups:
            if old in group.parents:
                group.parents.remove(old)
                if group is not new:
                    group.parents.add(new)

    def remove(self, group: FetchGroup) -> None:
        """Take a group out; those that waited for it wait for its parents."""
        self.groups.remove(group)
        for waiting in (*(other.parents for other in self.groups), *self.deferred.values()):
            if group in waiting:
                waiting.remove(group)
                waiting |= group.parents


def merge_fields(
    one: tuple[RepresentationField, ...], other: tuple[RepresentationField, ...]
) -> tuple[RepresentationField, ...] | None:
    """The union of two representations' members, or None if they would send different data under one name."""
    merged = {member.name: member for member in one}
    for member in other:
        mine = merged.get(member.name)
        if mine is None:
            merged[member.name] = member
            continue
        if mine.key != member.key:
            return None
        selections = _merge_selections(mine.selections, member.selections)
        if selections is None:
            return None
        merged[member.name] = RepresentationField(member.name, member.key, selections, mine.required or member.required)
    return tuple(merged.values())


def _merge_selections(
    one: tuple[RepresentationSelection, ...], other: tuple[RepresentationSelection, ...]
) -> tuple[RepresentationSelection, ...] | None:
    merged = {selection.types: selection for selection in one}
    for selection in other:
        mine = merged.get(selection.types)
        if mine is None:
            merged[selection.types] = selection
            continue
        fields = merge_fields(mine.fields, selection.fields)
        if fields is None:
            return None
        typename = mine.typename if mine.typename is not None else selection.typename
        merged[selection.types] = RepresentationSelection(selection.types, typename, fields)
    return tuple(merged.values())
