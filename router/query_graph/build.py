"""The query graph of a supergraph, built where it is walked and remembered.

Nothing is ever built that no operation reaches: with ``@provides`` views the whole graph may be far larger.
"""

from __future__ import annotations

from collections.abc import Iterator

from router.query_graph.field_sets import NONE, as_provided, parse_field_set
from router.query_graph.model import FieldEdge, KeyMove, Node, ProvidedField, Want
from router.supergraph.model import FieldDefinition, FieldJoin, OperationKind, Supergraph, TypeDefinition, named_type


class QueryGraph:
    """Which subgraph can resolve what, and how one gets from subgraph to subgraph.

    ``labels`` are the active labels of progressive ``@override``; another set of labels is another graph.
    """

    def __init__(self, supergraph: Supergraph, labels: frozenset[str] = frozenset()) -> None:
        self.supergraph = supergraph
        self.labels = labels
        self._fields: dict[tuple[Node, str], FieldEdge | None] = {}
        self._moves: dict[Node, tuple[KeyMove, ...]] = {}
        self._possible: dict[Node, frozenset[str]] = {}
        self._field_sets: dict[tuple[str, str, frozenset[str]], tuple[Want, ...]] = {}
        self._interface_objects = _interface_objects(supergraph)

    # --- nodes ----------------------------------------------------------------------------------------------------

    def roots(self, kind: OperationKind) -> tuple[Node, ...]:
        """The entry points for operations of a kind, one a subgraph that has the root type."""
        name = self.supergraph.root_types.get(kind)
        if name is None:
            return ()
        return tuple(Node(subgraph, name) for subgraph in self.supergraph.types[name].joins)

    def definition(self, node: Node) -> TypeDefinition:
        """The supergraph's definition of a node's type."""
        return self.supergraph.types[node.type]

    def is_interface_object(self, node: Node) -> bool:
        """Whether the subgraph sees the interface as an object type (``@interfaceObject``)."""
        join = self.definition(node).joins.get(node.subgraph)
        return join is not None and join.is_interface_object

    def is_abstract(self, node: Node) -> bool:
        """Whether objects at the node are of types that the subgraph tells apart."""
        return self.definition(node).is_abstract and not self.is_interface_object(node)

    def possible(self, node: Node) -> frozenset[str]:
        """The object types that objects at the node can have at run time."""
        found = self._possible.get(node)
        if found is None:
            found = self._possible[node] = self._possible_types(node)
        return found

    def _possible_types(self, node: Node) -> frozenset[str]:
        definition = self.definition(node)
        if not self.is_abstract(node):
            return self.supergraph.possible_types[node.type]
        if definition.kind == "union":
            return definition.members.get(node.subgraph, frozenset())
        return frozenset(
            name
            for name in self.supergraph.possible_types[node.type]
            if node.type in self.supergraph.types[name].interfaces.get(node.subgraph, ())
        )

    def cast(self, node: Node, type_name: str) -> Node:
        """The same object, known to be of that type."""
        return Node(node.subgraph, type_name, node.provided)

    # --- fields ---------------------------------------------------------------------------------------------------

    def field(self, node: Node, name: str) -> FieldEdge | None:
        """The edge of a field, or None if the subgraph does not resolve it here.

        On an abstract node a field is only an edge if every object type behind it resolves the field alike:
        otherwise it has to be asked for type by type.
        """
        place = (node, name)
        if place not in self._fields:
            self._fields[place] = self._field_edge(node, name)
        return self._fields[place]

    def _field_edge(self, node: Node, name: str) -> FieldEdge | None:
        definition = self.definition(node).fields.get(name)
        join = definition.joins.get(node.subgraph) if definition else None
        if definition is None or join is None:
            return None
        provided = [p for p in node.provided if p.name == name and p.types >= self.possible(node)]
        if not provided and not join.resolvable(self.labels) and not self._always_known(node, name, join):
            return None
        if self.is_abstract(node) and not self._alike(node, name, join):
            return None
        return self._edge(node, definition, join, frozenset().union(*(p.nested for p in provided)))

    def _always_known(self, node: Node, name: str, join: FieldJoin) -> bool:
        """An external member of the subgraph's own key: whoever returns the entity can tell it."""
        keys = self.definition(node).joins[node.subgraph].keys
        return join.external and any(want.name == name for key in keys for want in self.field_set(node, key.fields))

    def _alike(self, node: Node, name: str, join: FieldJoin) -> bool:
        """Whether an interface's field stands for the same field of all its object types in the subgraph."""
        for type_name in self.possible(node):
            edge = self.field(self.cast(node, type_name), name)
            if edge is None or edge.conditional:
                return False
            own = self.supergraph.types[type_name].fields[name].joins[node.subgraph]
            if own.provides != join.provides:
                return False
        return True

    def _edge(
        self, node: Node, definition: FieldDefinition, join: FieldJoin, provided: frozenset[ProvidedField]
    ) -> FieldEdge:
        inner = named_type(join.type)
        target = None
        if inner in self.supergraph.types and self.supergraph.types[inner].is_composite:
            if join.provides:
                provided |= as_provided(self.field_set(Node(node.subgraph, inner), join.provides))
            target = Node(node.subgraph, inner, provided)
        requires = self.field_set(node, join.requires) if join.requires else ()
        return FieldEdge(node, definition.name, target, requires, join.context_arguments)

    def field_set(self, node: Node, source: str) -> tuple[Want, ...]:
        """A field set that stands at a node, parsed; the same object for the same text."""
        place = (node.type, source, self._interface_objects.get(node.subgraph, NONE))
        if place not in self._field_sets:
            self._field_sets[place] = parse_field_set(self.supergraph, *place)
        return self._field_sets[place]

    # --- moves ----------------------------------------------------------------------------------------------------

    def moves(self, node: Node) -> tuple[KeyMove, ...]:
        """Every way to re-enter the object, the node's own subgraph included (a ``@requires`` needs that)."""
        found = self._moves.get(node)
        if found is None:
            found = self._moves[node] = tuple(self._key_moves(node))
        return found

    def _key_moves(self, node: Node) -> Iterator[KeyMove]:
        definition = self.definition(node)
        if definition.name in self.supergraph.root_types.values():
            for subgraph in definition.joins:
                if subgraph != node.subgraph:
                    yield KeyMove(Node(subgraph, definition.name), (), definition.name)
            return
        yield from self._moves_as(definition)
        for interface in sorted(definition.all_interfaces):
            for move in self._moves_as(self.supergraph.types[interface]):
                if self.is_interface_object(move.target):
                    yield move

    def _moves_as(self, definition: TypeDefinition) -> Iterator[KeyMove]:
        for join in definition.joins.values():
            target = Node(join.subgraph, definition.name)
            keys = [self.field_set(target, key.fields) for key in join.keys if key.resolvable]
            # Of keys that cost the same the first is taken: better one that every object has.
            for key in sorted(keys, key=lambda wants: self._may_be_null(definition.name, wants)):
                yield KeyMove(target, key, definition.name)

    def _may_be_null(self, type_name: str, wants: tuple[Want, ...]) -> bool:
        """Whether some part of a key need not have a value."""
        for want in wants:
            found = self.supergraph.field(type_name, want.name)
            if found is not None and (
                not found.type.endswith("!") or self._may_be_null(found.named_type, want.selections)
            ):
                return True
        return False

    # --- walking --------------------------------------------------------------------------------------------------

    def reachable(self) -> Iterator[Node]:
        """Every node that some operation can reach, root nodes first."""
        pending = [node for kind in self.supergraph.root_types for node in self.roots(kind)]
        seen = set(pending)
        while pending:
            node = pending.pop(0)
            yield node
            for neighbour in self.neighbours(node):
                if neighbour not in seen:
                    seen.add(neighbour)
                    pending.append(neighbour)

    def neighbours(self, node: Node) -> Iterator[Node]:
        """The nodes one edge away."""
        if self.is_abstract(node):
            yield from (self.cast(node, name) for name in sorted(self.possible(node)))
        for name in self.definition(node).fields:
            edge = self.field(node, name)
            if edge is not None and edge.target is not None:
                yield edge.target
        yield from (move.target for move in self.moves(node))


def _interface_objects(supergraph: Supergraph) -> dict[str, frozenset[str]]:
    """By subgraph the interfaces that it sees as object types."""
    found: dict[str, set[str]] = {}
    for definition in supergraph.types.values():
        for join in definition.joins.values():
            if join.is_interface_object:
                found.setdefault(join.subgraph, set()).add(definition.name)
    return {subgraph: frozenset(names) for subgraph, names in found.items()}
