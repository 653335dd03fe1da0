"""Federation's own directive and type definitions, as the subgraph at hand names them."""

from __future__ import annotations

from functools import cache

from graphql import parse
from graphql.language import (
    DefinitionNode,
    DirectiveDefinitionNode,
    InputValueDefinitionNode,
    print_ast,
)

from router.composition import spec
from router.composition.link import Linking
from router.composition.model import place_of
from router.errors import CompositionError, CompositionErrorCode


def federation_definitions(linking: Linking) -> list[DefinitionNode]:
    """Definitions of every link and federation directive under its local name, and of the types they use."""
    prefix = f"{linking.link_name}__"
    source = [spec.LINK_DEFINITION.format(name=linking.link_name, ns=prefix)]
    source += [f"enum {prefix}Purpose {{ SECURITY EXECUTION }}", f"scalar {prefix}Import"]
    scalars = linking.scalars or {"FieldSet": "_FieldSet"}
    names = {name: scalars.get(name, f"federation__{name}") for name in spec.SCALARS}
    source += [f"scalar {name}" for name in dict.fromkeys(names.values())]
    for local, (feature, name) in linking.directives.items():
        if feature == "federation":
            source.append(f"directive @{local}" + spec.BY_NAME[name].signature.format(**names))
    return list(parse("\n".join(source), no_location=True).definitions)


def check_definition(
    node: DirectiveDefinitionNode, name: str, linking: Linking, subgraph: str
) -> list[CompositionError]:
    """A subgraph may spell out a federation directive's definition, but it has to be that directive.

    Locations may be fewer, and string-like arguments may be declared as String.
    """
    expected = _expected(name)
    problems = []
    if extra := {loc.value for loc in node.locations} - {loc.value for loc in expected.locations}:
        problems.append(f"it cannot be used on {', '.join(sorted(extra))}")
    if node.repeatable and not expected.repeatable:
        problems.append("it is not repeatable")
    known = {argument.name.value: argument for argument in expected.arguments or ()}
    given = {argument.name.value: argument for argument in node.arguments or ()}
    problems += [f'it has no argument "{unknown}"' for unknown in given.keys() - known.keys()]
    for argument_name, argument in known.items():
        if argument_name not in given:
            if print_ast(argument.type).endswith("!"):
                problems.append(f'argument "{argument_name}" is missing')
        elif not _compatible(given[argument_name], argument, linking):
            problems.append(f'argument "{argument_name}" must be of type {print_ast(argument.type)}')
    return [
        CompositionError(
            CompositionErrorCode.DIRECTIVE_DEFINITION_INVALID,
            f'Invalid definition of federation directive "@{node.name.value}": {problem}.',
            (subgraph,),
            place_of(subgraph, node),
        )
        for problem in problems
    ]


@cache
def _expected(name: str) -> DirectiveDefinitionNode:
    signature = spec.BY_NAME[name].signature.format(**{scalar: scalar for scalar in spec.SCALARS})
    definition = parse(f"directive @{name}{signature}", no_location=True).definitions[0]
    assert isinstance(definition, DirectiveDefinitionNode)
    return definition


def _compatible(given: InputValueDefinitionNode, expected: InputValueDefinitionNode, linking: Linking) -> bool:
    given_type, expected_type = print_ast(given.type), print_ast(expected.type)
    base = expected_type.strip("[]!")
    allowed = (
        {base, "String", linking.scalars.get(base, base), "_FieldSet", "FieldSet"} if base in spec.SCALARS else {base}
    )
    given_base = given_type.strip("[]!")
    return given_base in allowed and given_type.replace(given_base, "").rstrip("!") == expected_type.replace(
        base, ""
    ).rstrip("!")
