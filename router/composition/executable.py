"""Merging the definitions of executable directives: clients may use what every subgraph understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphql import DirectiveLocation
from graphql.language import DirectiveDefinitionNode, print_ast

from router.composition.merge_context import MergeContext, names
from router.composition.merge_inputs import merge_arguments
from router.composition.model import Field, InputValue, Subgraph

_EXECUTABLE = {
    DirectiveLocation.QUERY,
    DirectiveLocation.MUTATION,
    DirectiveLocation.SUBSCRIPTION,
    DirectiveLocation.FIELD,
    DirectiveLocation.FRAGMENT_DEFINITION,
    DirectiveLocation.FRAGMENT_SPREAD,
    DirectiveLocation.INLINE_FRAGMENT,
    DirectiveLocation.VARIABLE_DEFINITION,
}
_EXECUTABLE_NAMES = {location.name for location in _EXECUTABLE}


def executable_directives(context: MergeContext) -> dict[str, str]:
    """Directive name -> what follows it in its definition."""
    found: dict[str, list[tuple[Subgraph, DirectiveDefinitionNode]]] = {}
    for subgraph in context.subgraphs:
        for name, node in subgraph.directive_definitions.items():
            if _locations(node):
                found.setdefault(name, []).append((subgraph, node))
    return {name: text for name, sources in sorted(found.items()) if (text := _merge(context, name, sources))}


def _locations(node: DirectiveDefinitionNode) -> set[str]:
    return {location.value for location in node.locations} & _EXECUTABLE_NAMES


def _merge(context: MergeContext, name: str, sources: Sequence[tuple[Subgraph, DirectiveDefinitionNode]]) -> str | None:
    where = f'Executable directive "@{name}"'
    elements = [(subgraph, None) for subgraph, _ in sources]
    if absent := [s for s in context.subgraphs if s not in [subgraph for subgraph, _ in sources]]:
        message = f"{where} is left out of the supergraph: {names(absent)} does not define it."
        context.report.hint("INCONSISTENT_EXECUTABLE_DIRECTIVE_PRESENCE", message, *elements)
        return None
    locations = [_locations(node) for _, node in sources]
    common = set.intersection(*locations)
    if not common:
        message = f"{where} is left out of the supergraph: its subgraphs have no location in common."
        context.report.hint("NO_EXECUTABLE_DIRECTIVE_INTERSECTION", message, *elements)
        return None
    if any(found != common for found in locations):
        message = f"{where} can be used only where all subgraphs allow it: {', '.join(sorted(common))}."
        context.report.hint("INCONSISTENT_EXECUTABLE_DIRECTIVE_LOCATIONS", message, *elements)
    repeatable = all(node.repeatable for _, node in sources)
    if not repeatable and any(node.repeatable for _, node in sources):
        message = f"{where} is repeatable in some subgraphs only; it will not be."
        context.report.hint("INCONSISTENT_EXECUTABLE_DIRECTIVE_REPEATABLE", message, *elements)
    arguments = merge_arguments(context, f"@{name}", [(s, Field(name, arguments=_arguments(n))) for s, n in sources])
    return _signature(arguments, repeatable, common)


def _arguments(node: DirectiveDefinitionNode) -> dict[str, InputValue]:
    return {
        a.name.value: InputValue(a.name.value, type=print_ast(a.type), default=a.default_value, node=a)
        for a in node.arguments or ()
    }


def _signature(arguments: Mapping[str, InputValue], repeatable: bool, locations: set[str]) -> str:
    parts = [f"{a.name}: {a.type}{f' = {print_ast(a.default)}' if a.default else ''}" for a in arguments.values()]
    head = f"({', '.join(parts)})" if parts else ""
    return f"{head}{' repeatable' if repeatable else ''} on {' | '.join(sorted(locations))}"
