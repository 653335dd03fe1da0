"""Field sets (of ``@key``, ``@requires``, ``@provides``, ``@context``) as wants."""

from __future__ import annotations

from collections.abc import Iterator

from graphql import FieldNode, GraphQLError, InlineFragmentNode, SelectionSetNode, parse
from graphql.language import OperationDefinitionNode

from router.errors import SupergraphError
from router.operation.passes.literals import canonical_arguments
from router.query_graph.model import ProvidedField, Want
from router.supergraph.model import Supergraph

NONE: frozenset[str] = frozenset()


def parse_field_set(
    supergraph: Supergraph, type_name: str, source: str, interface_objects: frozenset[str] = NONE
) -> tuple[Want, ...]:
    """Read a field set that stands on ``type_name``, in a subgraph with these interface objects.

    Raises SupergraphError if it does not fit the supergraph.
    """
    text = source if source.lstrip().startswith("{") else f"{{{source}}}"
    try:
        definition = parse(text, no_location=True).definitions[0]
    except GraphQLError as error:
        raise SupergraphError(f'the field set "{source}" on {type_name} is not valid: {error.message}') from error
    assert isinstance(definition, OperationDefinitionNode)
    types = supergraph.possible_types.get(type_name, frozenset())
    return tuple(_wants(supergraph, interface_objects, type_name, types, definition.selection_set))


def _wants(
    supergraph: Supergraph,
    interface_objects: frozenset[str],
    parent: str,
    types: frozenset[str],
    selection_set: SelectionSetNode,
) -> Iterator[Want]:
    for node in selection_set.selections:
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition.name.value if node.type_condition else parent
            narrowed = types & supergraph.possible_types.get(condition, frozenset())
            yield from _wants(supergraph, interface_objects, condition, narrowed, node.selection_set)
        elif isinstance(node, FieldNode):
            yield _want(supergraph, interface_objects, parent, types, node)
        else:
            raise SupergraphError(f"the field set on {parent} spreads a named fragment")


def _want(
    supergraph: Supergraph, interface_objects: frozenset[str], parent: str, types: frozenset[str], node: FieldNode
) -> Want:
    name = node.name.value
    arguments = canonical_arguments(node.arguments or ())
    if name == "__typename":
        return Want(name, types)
    definition = supergraph.field(parent, name)
    if definition is None:
        raise SupergraphError(f"a field set names {parent}.{name}, which the supergraph lacks")
    inner = definition.named_type
    selections: tuple[Want, ...] = ()
    if node.selection_set:
        possible = supergraph.possible_types.get(inner, frozenset())
        selections = tuple(_wants(supergraph, interface_objects, inner, possible, node.selection_set))
        told_apart = supergraph.types[inner].is_abstract and inner not in interface_objects
        if told_apart and all(want.name != "__typename" for want in selections):
            # Whoever receives the set must be told which type each object is of.
            selections = (Want("__typename", possible), *selections)
    return Want(name, types, arguments, selections)


def as_provided(wants: tuple[Want, ...]) -> frozenset[ProvidedField]:
    """The fields of a ``@provides`` set as a view."""
    return frozenset(ProvidedField(want.name, want.types, as_provided(want.selections)) for want in wants)
