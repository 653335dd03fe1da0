"""``@fromContext``: what a field needs of an object above it is wanted there too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from router.errors import PlanningError
from router.query_graph.build import QueryGraph
from router.query_graph.model import ContextUse, Node, Want
from router.supergraph.model import ContextArgument, Supergraph


@dataclass(eq=False, slots=True)
class _Level:
    """The objects so many composite fields down, and what is wanted of them for contexts below."""

    types: frozenset[str]
    added: list[Want] = field(default_factory=list)


def add_contexts(graph: QueryGraph, wants: tuple[Want, ...], root: str) -> tuple[Want, ...]:
    """The wants, with each contextual argument's value wanted of the nearest object that sets the context.

    Raises PlanningError if no object above sets it.
    """
    if not _contextual(graph.supergraph):
        return wants
    return _Contexts(graph).visit(wants, [_Level(frozenset({root}))])


def _contextual(supergraph: Supergraph) -> bool:
    return any(definition.contexts for definition in supergraph.types.values())


class _Contexts:
    """One walk down the wants, with the levels above."""

    def __init__(self, graph: QueryGraph) -> None:
        self.graph = graph

    def visit(self, wants: tuple[Want, ...], levels: list[_Level]) -> tuple[Want, ...]:
        visited = [self._visit(want, levels) for want in wants]
        return (*levels[-1].added, *visited)

    def _visit(self, want: Want, levels: list[_Level]) -> Want:
        uses = tuple(self._use(argument, levels) for argument in self._arguments(want))
        below = want.selections
        if below:
            below = self.visit(below, [*levels, _Level(self._types_below(want))])
        return replace(want, selections=below, contexts=uses) if uses or below != want.selections else want

    def _arguments(self, want: Want) -> Iterator[ContextArgument]:
        """The field's contextual arguments in any subgraph."""
        found: dict[ContextArgument, None] = {}
        for type_name in sorted(want.types):
            definition = self.graph.supergraph.field(type_name, want.name)
            for join in definition.joins.values() if definition else ():
                found.update(dict.fromkeys(join.context_arguments))
        yield from found

    def _types_below(self, want: Want) -> frozenset[str]:
        types = self.graph.supergraph
        definitions = (types.field(name, want.name) for name in want.types)
        return frozenset().union(*(types.possible_types[d.named_type] for d in definitions if d))

    def _use(self, argument: ContextArgument, levels: list[_Level]) -> ContextUse:
        for level in range(len(levels) - 1, -1, -1):
            wants = self._wants(argument, levels[level].types)
            if wants:
                levels[level].added += wants
                return ContextUse(argument, level, wants)
        raise PlanningError(f"no object above sets the context {argument.context}")

    def _wants(self, argument: ContextArgument, types: frozenset[str]) -> tuple[Want, ...]:
        """The context's selection on the types that set it, if any of the level's types do."""
        supergraph = self.graph.supergraph
        found: list[Want] = []
        for definition in supergraph.types.values():
            if argument.context in definition.contexts and supergraph.possible_types[definition.name] & types:
                found += self.graph.field_set(Node("", definition.name), argument.selection)
        return tuple(found)
