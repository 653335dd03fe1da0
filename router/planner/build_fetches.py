"""From the best query tree to the fetch graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

from router.errors import PlanningError
from router.operation.model import Argument
from router.planner.fetch_graph import Entity, FetchGraph, FetchGroup, merge_fields
from router.planner.positions import Position
from router.planner.query_tree import Branch, Enter, Select
from router.planner.selection_tree import SelectionTree
from router.query_graph.build import QueryGraph
from router.query_graph.model import ContextUse, Node, Want
from router.query_plan.nodes import (
    ContextValue,
    Items,
    Key,
    OnTypes,
    OperationKind,
    Path,
    RepresentationField,
    RepresentationSelection,
)
from router.supergraph.model import named_type


@dataclass(frozen=True, slots=True)
class Here:
    """Where in the data the builder stands, and in which fetch."""

    group: FetchGroup | None
    tree: SelectionTree
    position: Position
    path: Path
    scope: int | None = None
    levels: tuple[tuple[Position, Path], ...] = ()
    """The positions above, this one included, and the paths to them: where contexts come from."""
    arguments: tuple[tuple[ContextUse, str], ...] = ()
    """The contextual arguments of the fetch just entered, with their variables."""


class FetchBuilder:
    """Builds the fetches of one query tree. ``kind`` is that of the root fetches."""

    def __init__(self, graph: QueryGraph, kind: OperationKind, first_id: int = 0) -> None:
        self.graph = graph
        self.kind = kind
        self.first_id = first_id
        self.fetches = FetchGraph()
        self._entered: dict[tuple[object, ...], FetchGroup] = {}
        self._brought: dict[tuple[Position, str], set[FetchGroup]] = {}
        self._waiting: list[tuple[FetchGroup, Position, tuple[RepresentationField, ...]]] = []

    def build(self, branch: Branch, position: Position) -> FetchGraph:
        """All fetches of a branch that starts at the operation's root."""
        self._branch(branch, Here(None, SelectionTree(), position, (), levels=((position, ()),)))
        for group, place, fields in self._waiting:
            for member in fields:
                group.parents |= self._brought.get((place, member.key), set()) - {group}
        return self.fetches

    def _branch(self, branch: Branch, here: Here) -> set[FetchGroup]:
        """Add what a branch needs; the groups that bring its data."""
        touched: set[FetchGroup] = {here.group} if here.group else set()
        for select in branch.selects:
            touched |= self._select(select, branch.node, here)
        for cast in branch.casts:
            here.tree.select_typename()
            name = cast.branch.node.type
            inner = replace(here, tree=here.tree.fragment(name), path=(*here.path, OnTypes(frozenset({name}))))
            touched |= self._branch(cast.branch, inner)
        for enter in branch.enters:
            touched |= self._enter(enter, here)
        for scope, deferred in branch.deferred:
            needed = self._branch(deferred, replace(here, scope=scope))
            self.fetches.deferred.setdefault(scope, set()).update(needed)
        return touched

    def _select(self, select: Select, node: Node, here: Here) -> set[FetchGroup]:
        want = select.want
        if want.name == "__typename":
            here.tree.select_typename()
            return set()
        slot = here.position.slots[want.key] if want.key else here.position.slot(want.name, want.arguments)
        type_source = self.graph.definition(node).fields[want.name].joins[node.subgraph].type
        key = slot.key_for(self.graph.possible(node), self._form(type_source))
        given = [Argument(use.argument.name, f"${variable}") for use, variable in self._given(select, here)]
        arguments = (*want.arguments, *given)
        tree = here.tree.select(key, want.name, arguments, want.directives, leaf=select.branch is None)
        if here.group:
            self._brought.setdefault((here.position, key), set()).add(here.group)
        if select.branch is None:
            return set()
        path = (*here.path, Key(key), *(Items() for _ in range(type_source.count("["))))
        levels = (*here.levels, (slot.child, path))
        return self._branch(select.branch, replace(here, tree=tree, position=slot.child, path=path, levels=levels))

    def _given(self, select: Select, here: Here) -> list[tuple[ContextUse, str]]:
        """The contextual arguments that this subgraph's field takes."""
        return [pair for pair in here.arguments if pair[0].argument in select.edge.context_arguments]

    def _form(self, type_source: str) -> str:
        """What must agree where two fields share a response name (GraphQL, SameResponseShape)."""
        name = named_type(type_source)
        return type_source.replace(name, "*") if self.graph.supergraph.types[name].is_composite else type_source

    def _enter(self, enter: Enter, here: Here) -> set[FetchGroup]:
        """Open a fetch for the objects here, or go on in the one that is open already."""
        parents = {here.group} if here.group else set()
        for source in enter.sources:
            parents |= self._branch(source, here)
        fields = self._inputs(enter, here.position)
        group = self._group(enter, here, fields, parents)
        tree = group.entities[0].tree if group.entities else group.root
        assert tree is not None
        arguments = tuple((use, f"contextual_{index}") for index, use in enumerate(enter.contexts))
        if arguments:
            self._add_contexts(group, arguments, here)
        return self._branch(enter.branch, replace(here, group=group, tree=tree, arguments=arguments))

    def _add_contexts(self, group: FetchGroup, arguments: tuple[tuple[ContextUse, str], ...], here: Here) -> None:
        """Have the fetch read the contexts from above, outermost first, and wait for those who bring them."""
        values: list[ContextValue] = []
        types, done = [], 0
        for use, variable in sorted(arguments, key=lambda pair: pair[0].level):
            position, path = here.levels[use.level]
            fields = self._members(use.wants, position, None, strict=False)
            values.append(ContextValue(variable, path[done:], fields))
            types.append(use.argument.type)
            self._waiting.append((group, position, fields))
            done = len(path)
        entity = group.entities[0]
        entity.contexts, entity.context_types = tuple(values), tuple(types)

    def _group(
        self, enter: Enter, here: Here, fields: tuple[RepresentationField, ...], parents: set[FetchGroup]
    ) -> FetchGroup:
        target = enter.move.target
        identity = (target, enter.move.typename, here.path, here.scope, fields, enter.contexts, frozenset(parents))
        if identity in self._entered:
            return self._entered[identity]
        number = self.first_id + len(self.fetches.groups)
        if enter.move.key:
            entity = Entity([here.path], target.type, enter.move.typename, fields, SelectionTree())
            group = FetchGroup(number, target.subgraph, "query", entities=[entity])
        else:
            kind = self.kind if here.group is None else "query"
            group = FetchGroup(number, target.subgraph, kind, SelectionTree(), here.path)
        group.parents, group.scope = parents, here.scope
        self.fetches.groups.append(group)
        self._entered[identity] = group
        return group

    # --- representations ------------------------------------------------------------------------------------------

    def _inputs(self, enter: Enter, position: Position) -> tuple[RepresentationField, ...]:
        """A representation: the key, without whose parts there is no entity, and what else is required."""
        target = enter.move.target
        key = self._members(enter.move.key, position, target, strict=True)
        other = tuple(want for want in enter.inputs if want not in enter.move.key)
        fields = merge_fields(key, self._members(other, position, target, strict=False))
        if fields is None:
            raise PlanningError(f"{enter.move.target} needs two different values of one field in a representation")
        return fields

    def _members(
        self, wants: tuple[Want, ...], position: Position, target: Node | None, strict: bool
    ) -> tuple[RepresentationField, ...]:
        """What is sent of the objects at a position, read under the data keys they have there."""
        members: tuple[RepresentationField, ...] = ()
        for want in wants:
            if want.name != "__typename":
                merged = merge_fields(members, (self._member(want, position, target, strict),))
                if merged is None:
                    raise PlanningError(f"{target} needs two different values of {want.name} in a representation")
                members = merged
        return members

    def _member(self, want: Want, position: Position, target: Node | None, strict: bool) -> RepresentationField:
        slot = position.slot(want.name, want.arguments)
        key = next((slot.type_keys[t] for t in sorted(want.types) if t in slot.type_keys), slot.key)
        definition = self.graph.definition(target).fields.get(want.name) if target else None
        join = definition.joins.get(target.subgraph) if definition and target else None
        required = strict and bool(join and join.type.endswith("!"))
        if not want.selections:
            return RepresentationField(want.name, key, required=required)
        inner = (
            Node(target.subgraph, named_type(join.type if join else definition.type)) if definition and target else None
        )
        return RepresentationField(want.name, key, self._nested(want.selections, slot.child, inner, strict), required)

    def _nested(
        self, wants: tuple[Want, ...], position: Position, target: Node | None, strict: bool
    ) -> tuple[RepresentationSelection, ...]:
        """The members of a nested object; one selection a type where they differ by type."""
        if all(want.name != "__typename" for want in wants):
            return (RepresentationSelection(None, None, self._members(wants, position, target, strict)),)
        types = {want.types for want in wants}
        if len(types) == 1:
            return (RepresentationSelection(None, "", self._members(wants, position, target, strict)),)
        every = sorted(frozenset().union(*types))
        return tuple(
            RepresentationSelection(
                frozenset({name}),
                "",
                self._members(
                    tuple(want for want in wants if name in want.types),
                    position,
                    Node(target.subgraph, name) if target else None,
                    strict,
                ),
            )
            for name in every
        )
