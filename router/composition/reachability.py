"""What can be had of an object, given the places in subgraphs where one may stand on it.

The planner looks for the cheapest way; here only whether there is any way counts, so sets of nodes suffice: they only
ever grow, and what is obtainable from some nodes is obtainable from more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from router.query_graph.build import QueryGraph
from router.query_graph.model import FieldEdge, KeyMove, Node, Want

Nodes = frozenset[Node]


class Reachability:
    """Answers over one query graph, remembered."""

    def __init__(self, graph: QueryGraph) -> None:
        self.graph = graph
        self._closures: dict[Nodes, Nodes] = {}
        self._open: set[Nodes | FieldEdge] = set()
        """Questions being answered: one that comes up again inside itself is answered by no."""
        self._assumed = False
        """Whether such a no went into the answer at hand, which is then only good for the question outside."""

    def closure(self, nodes: Nodes) -> Nodes:
        """These nodes, and all that key moves lead to from them."""
        if nodes in self._closures:
            return self._closures[nodes]
        if nodes in self._open:
            self._assumed = True  # a key that needs itself helps nobody
            return nodes
        outside, self._assumed = self._assumed, False
        self._open.add(nodes)
        found = self._grow(nodes)
        self._open.discard(nodes)
        if not self._assumed or not self._open:
            self._closures[nodes] = found
        self._assumed = bool(self._open) and (outside or self._assumed)
        return found

    def _grow(self, nodes: Nodes) -> Nodes:
        reached = nodes
        moves = self._moves_from(nodes)
        while True:
            usable = [move for move in moves if move.target not in reached and self.has_all(move.key, reached)]
            if not usable:
                return reached
            found = {move.target for move in usable}
            moves += [move for move in self._moves_from(found) if move not in moves]
            reached |= found

    def _moves_from(self, nodes: Iterable[Node]) -> list[KeyMove]:
        # Nodes of one type have the same moves, wherever they are.
        by_type = {node.type: node for node in nodes}
        return list(dict.fromkeys(move for node in by_type.values() for move in self.graph.moves(node)))

    # --- wants ----------------------------------------------------------------------------------------------------

    def has_all(self, wants: Iterable[Want], nodes: Nodes) -> bool:
        """Whether a set of wants can be met from nodes that are all places of one object."""
        return all(self._has(want, nodes) for want in wants)

    def _has(self, want: Want, nodes: Nodes) -> bool:
        """Every type that the object may turn out to have must offer the want."""
        narrowed = {name for name in want.types if self.places(nodes, name)}
        if want.name == "__typename":
            return True
        if not narrowed:
            return False
        return all(self._has_on(want, self.places(nodes, name)) for name in narrowed)

    def _has_on(self, want: Want, places: Nodes) -> bool:
        # The nodes at hand come first: asking for the closure may ask for this very key again.
        if self._select(want, places):
            return True
        reached = self.closure(places)
        return reached != places and self._select(want, reached)

    def _select(self, want: Want, places: Nodes) -> bool:
        edges = [edge for edge in self._edges(places, want.name) if self.usable(edge, places)]
        if not edges or not want.selections:
            return bool(edges)
        targets = frozenset(edge.target for edge in edges if edge.target is not None)
        return bool(targets) and all(self._has_below(inner, targets) for inner in want.selections)

    def _has_below(self, want: Want, targets: Nodes) -> bool:
        return self._has(want, targets) or ((reached := self.closure(targets)) != targets and self._has(want, reached))

    # --- fields ---------------------------------------------------------------------------------------------------

    def targets(self, name: str, nodes: Nodes) -> Nodes | None:
        """Where the field leads from any of the nodes; empty for a leaf, None if no node can resolve it."""
        edges = [edge for edge in self._edges(nodes, name) if self.usable(edge, nodes)]
        if not edges:
            return None
        return frozenset(edge.target for edge in edges if edge.target is not None)

    def _edges(self, nodes: Nodes, name: str) -> Iterator[FieldEdge]:
        for node in nodes:
            edge = self.graph.field(node, name)
            if edge is not None:
                yield edge

    def usable(self, edge: FieldEdge, nodes: Nodes) -> bool:
        """Whether what the field requires can be sent along, by some key of its own subgraph.

        What is required must be reachable from the requiring subgraph itself. Our planner could also use what it met
        on its way there, but not every router's can, and the supergraph has to serve in them too.
        """
        if not edge.conditional:
            return True
        if edge in self._open:
            self._assumed = True  # a requirement that needs itself cannot be met
            return False
        self._open.add(edge)
        reached = self.closure(nodes)
        found = self.has_all(edge.requires, self.closure(frozenset({edge.source}))) and any(
            move.target.subgraph == edge.source.subgraph and self.has_all(move.key, reached)
            for move in self.graph.moves(edge.source)
        )
        self._open.discard(edge)
        self._assumed = self._assumed and bool(self._open)
        return found

    def places(self, nodes: Nodes, type_name: str) -> Nodes:
        """The nodes of an object now known to be of that type. An interface object stays what it is."""
        found = set()
        for node in nodes:
            if type_name in self.graph.possible(node):
                found.add(self.graph.cast(node, type_name) if self.graph.is_abstract(node) else node)
        return frozenset(found)
