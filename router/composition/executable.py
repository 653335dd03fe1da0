"""Merging the definitions of executable directives: clients may use what every subgraph understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphql import DirectiveLocation
from graphql.language import DirectiveDefinitionNode, print_ast

from router.composition.merge_context import MergeContext, names
from router.composition.merge_inputs import merge_arguments
from router.composition.model import Directive, Field, InputValue, Subgraph
from router.errors import CompositionErrorCode as Code

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


def executable_directives(context: MergeContext, inaccessible: str | None) -> dict[str, str]:
    """Directive name -> what follows it in its definition. ``inaccessible`` is that directive's name there."""
    found: dict[str, list[tuple[Subgraph, DirectiveDefinitionNode]]] = {}
    for subgraph in context.subgraphs:
        for name, node in subgraph.directive_definitions.items():
            if _locations(node):
                found.setdefault(name, []).append((subgraph, node))
    return {
        name: text for name, sources in sorted(found.items()) if (text := _merge(context, name, sources, inaccessible))
    }


def _locations(node: DirectiveDefinitionNode) -> set[str]:
    return {location.value for location in node.locations} & _EXECUTABLE_NAMES


def hides_arguments(subgraph: Subgraph) -> bool:
    """Whether an argument of an executable directive is @inaccessible."""
    nodes = (node for node in subgraph.directive_definitions.values() if _locations(node))
    return any(argument.has("inaccessible") for node in nodes for argument in _arguments(subgraph, node).values())


def _merge(
    context: MergeContext,
    name: str,
    sources: Sequence[tuple[Subgraph, DirectiveDefinitionNode]],
    inaccessible: str | None,
) -> str | None:
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
    fields = [(subgraph, Field(name, arguments=_arguments(subgraph, node))) for subgraph, node in sources]
    arguments = merge_arguments(context, f"@{name}", fields)
    for argument in arguments.values():
        if argument.has("inaccessible") and argument.required:
            message = f'Argument "@{name}({argument.name}:)" is @inaccessible, but the directive requires it.'
            context.report.error(Code.REQUIRED_INACCESSIBLE, message, *elements)
    return _signature(arguments, repeatable, common, inaccessible)


def _arguments(subgraph: Subgraph, node: DirectiveDefinitionNode) -> dict[str, InputValue]:
    hidden = subgraph.directive_names.get("inaccessible")
    found = {}
    for a in node.arguments or ():
        applied = [
            Directive("inaccessible", feature="federation") for d in a.directives or () if d.name.value == hidden
        ]
        name = a.name.value
        found[name] = InputValue(name, None, applied, a, type=print_ast(a.type), default=a.default_value)
    return found


def _signature(
    arguments: Mapping[str, InputValue], repeatable: bool, locations: set[str], inaccessible: str | None
) -> str:
    parts = []
    for argument in arguments.values():
        default = f" = {print_ast(argument.default)}" if argument.default else ""
        hidden = f" @{inaccessible}" if argument.has("inaccessible") else ""
        parts.append(f"{argument.name}: {argument.type}{default}{hidden}")
    head = f"({', '.join(parts)})" if parts else ""
    return f"{head}{' repeatable' if repeatable else ''} on {' | '.join(sorted(locations))}"
