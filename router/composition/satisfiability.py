"""Whether every operation that the API schema allows can be answered by the subgraphs.

Walks all positions that operations can reach. A position is a type and the set of nodes where its object may stand,
closed under key moves; one that offers no less than a position of the same type seen before is not walked again, so
the work grows with the types and not with the paths.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from router.composition.merge_context import MergeContext
from router.composition.model import Element, Subgraph
from router.composition.reachability import Nodes, Reachability
from router.composition.unsatisfied import explain, print_query
from router.errors import CompositionErrorCode as Code
from router.query_graph.build import QueryGraph
from router.query_graph.model import Node
from router.supergraph.model import FieldDefinition, OperationKind, Supergraph, TypeDefinition

_KINDS: tuple[OperationKind, ...] = ("query", "mutation", "subscription")


@dataclass(frozen=True, slots=True)
class Step:
    """One field of a counter-example; ``on`` is the type it is selected on, where that needs saying."""

    field: FieldDefinition
    on: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where an operation can get, and how it got there."""

    type: str
    nodes: Nodes
    kind: OperationKind
    path: tuple[Step, ...] = ()


def check_satisfiability(context: MergeContext, supergraph: Supergraph) -> None:
    """Report every field that some operation can ask for and no subgraph can then be asked for."""
    reported: set[tuple[str, str]] = set()
    for labels in _label_sets(supergraph):
        walk = _Walk(context, Reachability(QueryGraph(supergraph, labels)), reported)
        for kind in _KINDS:
            walk.walk(kind)


def _label_sets(supergraph: Supergraph) -> list[frozenset[str]]:
    """The states of progressive overrides worth a look: none active, all, and each alone."""
    labels = {
        join.label
        for type_ in supergraph.types.values()
        for field in type_.fields.values()
        for join in field.joins.values()
        if join.label is not None
    }
    sets = [frozenset[str](), frozenset(labels), *(frozenset({label}) for label in sorted(labels))]
    return list(dict.fromkeys(sets))


def _union(sets: Iterable[Nodes]) -> Nodes:
    return frozenset[Node]().union(*sets)


class _Walk:
    def __init__(self, context: MergeContext, reach: Reachability, reported: set[tuple[str, str]]) -> None:
        self._context = context
        self._reach = reach
        self._supergraph = reach.graph.supergraph
        self._reported = reported
        self._seen: dict[str, list[Nodes]] = {}
        self._pending: deque[Position] = deque()

    def walk(self, kind: OperationKind) -> None:
        """Breadth first, so that counter-examples are short."""
        roots = self._reach.graph.roots(kind)
        if roots:
            self._enter(Position(roots[0].type, frozenset(roots), kind))
        while self._pending:
            position = self._pending.popleft()
            for type_ in self._object_types(position):
                self._visit(position, type_)

    def _enter(self, position: Position) -> None:
        nodes = _union(self._reach.closure(frozenset({node})) for node in position.nodes)
        seen = self._seen.setdefault(position.type, [])
        if any(known <= nodes for known in seen):
            return
        seen.append(nodes)
        self._pending.append(Position(position.type, nodes, position.kind, position.path))

    def _object_types(self, position: Position) -> Iterator[TypeDefinition]:
        definition = self._supergraph.types[position.type]
        if not definition.is_abstract:
            yield definition
            return
        graph = self._reach.graph
        blind = position.nodes and all(graph.is_interface_object(node) for node in position.nodes)
        for name in sorted(self._supergraph.possible_types[position.type]):
            type_ = self._supergraph.types[name]
            if type_.inaccessible:
                continue
            if blind:
                self._report_unknown_type(position)
                return
            if any(name in graph.possible(node) for node in position.nodes if graph.is_abstract(node)):
                yield type_

    def _visit(self, position: Position, type_: TypeDefinition) -> None:
        # Where subgraphs share the way here, each place stands for itself: a key or a requirement is not put together
        # from several of them.
        places = self._reach.places(position.nodes, type_.name)
        alone = {self._reach.closure(frozenset({place})) for place in places}
        for field in type_.fields.values():
            if field.inaccessible or self._is_hidden(field):
                continue
            step = Step(field, type_.name if type_.name != position.type else None)
            found = [found for one in alone if (found := self._reach.targets(field.name, one)) is not None]
            if not found:
                self._report(position, type_, step, _union(alone))
            elif targets := _union(found):
                self._enter(Position(field.named_type, targets, position.kind, (*position.path, step)))

    def _is_hidden(self, field: FieldDefinition) -> bool:
        returned = self._supergraph.types.get(field.named_type)
        return returned is not None and returned.inaccessible

    def _report(self, position: Position, type_: TypeDefinition, step: Step, places: Nodes) -> None:
        coordinate = (type_.name, step.field.name)
        if coordinate in self._reported:
            return
        self._reported.add(coordinate)
        query = print_query(
            self._supergraph, position.kind, [*((s.field, s.on) for s in position.path), (step.field, step.on)]
        )
        reasons = explain(self._reach, type_, step.field, places)
        lines = "\n".join(reasons)
        message = f"No combination of subgraphs can answer the query\n{query}\nbecause\n{lines}"
        self._context.report.error(Code.SATISFIABILITY_ERROR, message, *self._owners(type_.name, step.field.name))

    def _report_unknown_type(self, position: Position) -> None:
        coordinate = (position.type, "__typename")
        if coordinate in self._reported:
            return
        self._reported.add(coordinate)
        query = print_query(self._supergraph, position.kind, [(s.field, s.on) for s in position.path], "__typename")
        subgraphs = ", ".join(sorted(f'"{node.subgraph}"' for node in position.nodes))
        message = (
            f"No combination of subgraphs can answer the query\n{query}\nbecause\n- {subgraphs} knows"
            f' "{position.type}" only as an @interfaceObject, and no subgraph that knows its implementations can be'
            " reached from there."
        )
        self._context.report.error(Code.SATISFIABILITY_ERROR, message, *self._context.sources(position.type))

    def _owners(self, type_name: str, field_name: str) -> list[tuple[Subgraph, Element]]:
        """The declarations of the field; an interface object declares it on the interface."""
        names = [type_name, *sorted(self._supergraph.types[type_name].all_interfaces)]
        return [
            (subgraph, type_.fields[field_name])
            for name in names
            for subgraph, type_ in self._context.sources(name)
            if field_name in type_.fields
        ]
