"""Search for the best query tree, position by position.

What is wanted at a node is solved once and remembered: the cost of a selection set depends only on the node where it
starts. Within one selection set the options of its fields are combined by best-first search (``choose``). So the work
grows with the operation times the subgraphs, never with the product of the fields' paths.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from router.errors import PlanningError
from router.planner.choose import choose
from router.planner.query_tree import FREE, Branch, Cast, Cost, Enter, Select, arrival, one_fetch, total
from router.query_graph.build import QueryGraph
from router.query_graph.model import ContextUse, FieldEdge, KeyMove, Node, Want

Visited: TypeAlias = frozenset[str]
"""What is already being looked for at this position: subgraphs by key, fields by what they require."""

Place: TypeAlias = tuple[KeyMove, tuple[Want, ...], tuple[ContextUse, ...]]
Solve: TypeAlias = Callable[[tuple[Want, ...], Node, Visited], Branch | None]
NOTHING: Visited = frozenset()


@dataclass(frozen=True, eq=False, slots=True)
class Option:
    """One way to one want: taken here, or in the fetch that ``enter`` opens."""

    cost: Cost
    select: Select | None = None
    place: Place | None = None
    sources: tuple[Branch, ...] = ()


class Search:
    """One operation's search. Raises PlanningError when ``deadline`` (``time.monotonic``) has passed."""

    def __init__(self, graph: QueryGraph, deadline: float) -> None:
        self.graph = graph
        self.deadline = deadline
        self._solved: dict[tuple[tuple[Want, ...], Node, Visited], Branch | None] = {}
        self._options: dict[tuple[Want, Node, Visited], tuple[Option, ...]] = {}
        self._pieces: dict[Want, tuple[Want, ...]] = {}
        self._subgraphs = {name: index for index, name in enumerate(graph.supergraph.subgraphs)}

    def solve(self, wants: tuple[Want, ...], node: Node, visited: Visited = NOTHING) -> Branch | None:
        """The best branch for the wants at a node, or None if some want cannot be had from there."""
        if not wants:
            return Branch(node)
        place = (wants, node, visited)
        if place not in self._solved:
            if time.monotonic() > self.deadline:
                raise PlanningError("planning the operation took too long")
            self._solved[place] = None  # what needs itself cannot be had this way
            self._solved[place] = self._solver(wants, node)(wants, node, visited)
        return self._solved[place]

    def _solver(self, wants: tuple[Want, ...], node: Node) -> Solve:
        if any(want.defer is not None for want in wants):
            return self._solve_with_deferred
        return self._solve_abstract if self.graph.is_abstract(node) else self._solve_concrete

    # --- @defer ---------------------------------------------------------------------------------------------------

    def _solve_with_deferred(self, wants: tuple[Want, ...], node: Node, visited: Visited) -> Branch | None:
        """Each deferred part on its own, so that the first part need not wait for it."""
        first = self.solve(tuple(want for want in wants if want.defer is None), node, visited)
        deferred = []
        for number in dict.fromkeys(want.defer for want in wants if want.defer is not None):
            part = tuple(replace(want, defer=None) for want in wants if want.defer == number)
            branch = self._solve_apart(part, node, visited)
            if branch is None:
                return None
            deferred.append((number, branch))
        return replace(first, deferred=tuple(deferred)) if first else None

    def _solve_apart(self, wants: tuple[Want, ...], node: Node, visited: Visited) -> Branch | None:
        """The wants in fetches of their own where the objects can be re-entered, even in the same subgraph."""
        if self.graph.is_abstract(node):
            casts = self._casts(list(wants), node, self.graph.possible(node), visited, self._solve_apart)
            return Branch(node, (), casts) if casts is not None else None
        applying = [want for want in wants if want.types & self.graph.possible(node)]
        options = []
        for want in applying:
            moves = self.graph.moves(node)
            found = [self._enter_option(want, node, move, visited, again=True) for move in moves]
            options.append(tuple(option for option in found if option) or self.options(want, node, visited))
        if not all(options):
            return self.solve(wants, node, visited)
        return self._assemble(node, applying, _cheapest(options), visited, 0)

    # --- objects of one type (or an interface object) -------------------------------------------------------------

    def _solve_concrete(self, wants: tuple[Want, ...], node: Node, visited: Visited) -> Branch | None:
        possible = self.graph.possible(node)
        needs: list[Want] = []
        options: list[tuple[Option, ...]] = []
        lost = 0
        pending = list(reversed(wants))
        while pending:
            want = pending.pop()
            if not want.types & possible:
                lost += 1
                continue
            found = self.options(want, node, visited)
            if found:
                needs.append(want)
                options.append(found)
                continue
            pieces = self.pieces(want)
            if not pieces:
                return None
            pending.extend(reversed(pieces))
        return self._assemble(node, needs, _cheapest(options), visited, lost)

    def _assemble(
        self, node: Node, needs: list[Want], picked: list[Option], visited: Visited, lost: int
    ) -> Branch | None:
        """Put the chosen options together: what is taken here, and one fetch for each place that is entered."""
        selects = tuple(option.select for option in picked if option.select)
        groups: dict[Place, list[tuple[Want, Option]]] = {}
        for want, option in zip(needs, picked, strict=True):
            if option.place:
                groups.setdefault(option.place, []).append((want, option))
        enters = []
        cost = Cost(lost=lost) | total(picked)
        for (move, inputs, contexts), members in groups.items():
            branch = self.arrive(tuple(want for want, _ in members), move.target, visited)
            if branch is None:
                return None
            sources = members[0][1].sources
            cost_here = self._entering(node, sources, move, branch)
            enters.append(Enter(move, inputs, sources, branch, cost_here, contexts))
        return Branch(node, selects, (), tuple(enters), cost)

    def arrive(self, wants: tuple[Want, ...], target: Node, visited: Visited) -> Branch | None:
        """The wants taken in a fetch just entered, whose representations hold all they require."""
        if self.graph.is_abstract(target):
            return self.solve(wants, target, visited)
        selects = []
        cost = FREE
        for want in wants:
            select = self.select(want, target)
            if select is None:
                return None
            selects.append(select)
            cost |= select.cost
        return Branch(target, tuple(selects), cost=cost)

    def edge(self, node: Node, name: str) -> FieldEdge | None:
        """The field's edge; an interface object cannot tell its objects' type."""
        if name == "__typename":
            return None if self.graph.is_interface_object(node) else FieldEdge(node, name, None)
        return self.graph.field(node, name)

    def select(self, want: Want, node: Node) -> Select | None:
        """The want taken at the node, if its subgraph has the field and all that is wanted below can be had."""
        edge = self.edge(node, want.name)
        if edge is None:
            return None
        if edge.target is None:
            return Select(want, edge, None)
        branch = self.solve(want.selections, edge.target)
        return Select(want, edge, branch) if branch else None

    # --- options --------------------------------------------------------------------------------------------------

    def options(self, want: Want, node: Node, visited: Visited = NOTHING) -> tuple[Option, ...]:
        """Every way to get one want of the objects at a concrete node, best first to look at."""
        place = (want, node, visited)
        if place not in self._options:
            self._options[place] = tuple(self._find_options(want, node, visited))
        return self._options[place]

    def _find_options(self, want: Want, node: Node, visited: Visited) -> Iterator[Option]:
        edge = self.edge(node, want.name)
        if edge is not None and not edge.conditional:
            select = self.select(want, node)
            if select:
                yield Option(select.cost, select=select)
                if select.cost == FREE:
                    return
        for move in self.graph.moves(node):
            option = self._enter_option(want, node, move, visited)
            if option:
                yield option

    def _enter_option(
        self, want: Want, node: Node, move: KeyMove, visited: Visited, again: bool = False
    ) -> Option | None:
        """The want through a move; into the subgraph where we are only if that brings something, or ``again``."""
        target = move.target
        edge = self.edge(target, want.name)
        if target.subgraph in visited or (edge is None and not self.graph.is_abstract(target)):
            return None
        requires = edge.requires if edge else ()
        contexts = want.contexts if edge and edge.context_arguments else ()
        if not (again or requires or contexts) and (target.subgraph, target.type) == (node.subgraph, node.type):
            return None
        sources = self._sources(want, node, move, requires, visited)
        if sources is None:
            return None
        branch = self.arrive((want,), target, visited)
        if branch is None:
            return None
        cost = self._entering(node, sources, move, branch)
        return Option(cost, place=(move, move.key + requires, contexts), sources=sources)

    def _entering(self, node: Node, sources: tuple[Branch, ...], move: KeyMove, branch: Branch) -> Cost:
        """What it costs to get a move's inputs, make the move and go on from there."""
        inputs = total(sources)
        start = arrival(node, inputs)
        return inputs | one_fetch(start, self._subgraphs[move.target.subgraph]) | branch.cost.after(start)

    def _sources(
        self, want: Want, node: Node, move: KeyMove, requires: tuple[Want, ...], visited: Visited
    ) -> tuple[Branch, ...] | None:
        """The branches that get a move's key and what the field requires."""
        keys = self.solve(move.key, node, visited | {move.target.subgraph})
        if keys is None:
            return None
        if not requires:
            return (keys,)
        mark = f"{move.target} {want.name}"
        if mark in visited:
            return None
        required = self.solve(requires, node, visited | {mark})
        return (keys, required) if required else None

    def pieces(self, want: Want) -> tuple[Want, ...]:
        """A want that no one subgraph can meet, as smaller wants: member by member, then type by type."""
        if want not in self._pieces:
            self._pieces[want] = tuple(self._split(want))
        return self._pieces[want]

    def _split(self, want: Want) -> Iterator[Want]:
        if len(want.selections) > 1:
            for inner in want.selections:
                yield _with_selections(want, (inner,))
        elif want.selections:
            inner = want.selections[0]
            for piece in self.pieces(inner):
                yield _with_selections(want, (piece,))
            if not self.pieces(inner) and len(inner.types) > 1:
                for type_name in sorted(inner.types):
                    narrowed = replace(inner, types=frozenset({type_name}))
                    yield _with_selections(want, (narrowed,))

    # --- objects of several types ---------------------------------------------------------------------------------

    def _solve_abstract(self, wants: tuple[Want, ...], node: Node, visited: Visited) -> Branch | None:
        local = self.graph.possible(node)
        selects: list[Select] = []
        enters: list[Enter] = []
        by_type: list[Want] = []
        lost = 0
        for want in wants:
            if not want.types & local and want.name != "__typename":
                lost += 1
                continue
            select = self._select_for_all(want, node, local)
            if select:
                selects.append(select)
                continue
            enter = self._enter_for_all(want, node, local, visited)
            if enter:
                enters.append(enter)
            else:
                by_type.append(want)
        casts = self._casts(by_type, node, local, visited)
        if casts is None:
            return None
        cost = Cost(lost=lost) | total(cast.branch for cast in casts) | total(selects) | total(enters)
        return Branch(node, tuple(selects), casts, tuple(enters), cost)

    def _select_for_all(self, want: Want, node: Node, local: frozenset[str]) -> Select | None:
        """The want as a field of the abstract type itself."""
        edge = self.edge(node, want.name)
        if edge is None or edge.conditional or not (want.types >= local or want.name == "__typename"):
            return None
        return self.select(want, node)

    def _enter_for_all(self, want: Want, node: Node, local: frozenset[str], visited: Visited) -> Enter | None:
        """The want from an interface object, for objects of all types at once."""
        if not want.types >= local:
            return None
        found: list[Enter] = []
        for move in self.graph.moves(node):
            target = move.target
            edge = self.edge(target, want.name)
            if edge is None or target.subgraph in visited or not self.graph.is_interface_object(target):
                continue
            sources = self._sources(want, node, move, edge.requires, visited)
            branch = self.arrive((want,), target, visited) if sources else None
            if sources and branch:
                cost = self._entering(node, sources, move, branch)
                contexts = want.contexts if edge.context_arguments else ()
                found.append(Enter(move, move.key + edge.requires, sources, branch, cost, contexts))
        return min(found, key=lambda enter: enter.cost.weight) if found else None

    def _casts(
        self, wants: list[Want], node: Node, local: frozenset[str], visited: Visited, solve: Solve | None = None
    ) -> tuple[Cast, ...] | None:
        solve = solve or self.solve
        casts = []
        for type_name in sorted(local):
            applying = tuple(want for want in wants if type_name in want.types)
            if not applying or self.graph.supergraph.types[type_name].inaccessible:
                continue
            branch = solve(applying, self.graph.cast(node, type_name), visited)
            if branch is None:
                return None
            casts.append(Cast(branch))
        return tuple(casts)


def _cheapest(options: list[tuple[Option, ...]]) -> list[Option]:
    chosen = choose([[option.cost for option in found] for found in options])
    return [found[index] for found, index in zip(options, chosen, strict=True)]


def _with_selections(want: Want, selections: tuple[Want, ...]) -> Want:
    return replace(want, selections=selections)
