"""Field sets: the ``fields`` arguments of @key, @requires and @provides, and what they select in a subgraph."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from graphql import parse
from graphql.language import (
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    InlineFragmentNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    print_ast,
)

from router.composition.model import Directive, Field, Subgraph, TypeDefinition, base_type

Selected = tuple[TypeDefinition, Field, FieldNode]


@lru_cache(maxsize=4096)
def parse_field_set(text: str) -> SelectionSetNode:
    """Parse ``id organization { id }`` (outer braces allowed). Raises GraphQLSyntaxError."""
    source = text if text.lstrip().startswith("{") else "{" + text + "}"
    definitions = parse(source, no_location=True).definitions
    definition = definitions[0]
    assert isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode)
    return definition.selection_set


def field_set_text(directive: Directive) -> str | None:
    """The ``fields`` argument as text; None if it is not a string (rules report that)."""
    value = directive.arguments.get("fields")
    return value.value if isinstance(value, StringValueNode) else None


def lenient_field_set_text(value: ValueNode | None) -> str | None:
    """Federation 1 also took enum literals and lists of strings."""
    if isinstance(value, StringValueNode | EnumValueNode):
        return value.value
    if isinstance(value, ListValueNode):
        parts = [lenient_field_set_text(item) for item in value.values or ()]
        return " ".join(part for part in parts if part)
    return None


def normalised(text: str) -> str:
    """One canonical spelling, so that equal field sets are equal strings."""
    return " ".join(print_ast(parse_field_set(text)).split())[1:-1].strip()


def selected(subgraph: Subgraph, parent: TypeDefinition, selections: SelectionSetNode) -> Iterator[Selected]:
    """Every known field selected at any depth, with the type it is selected on. Unknown names are passed over."""
    for node in selections.selections or ():
        if isinstance(node, FieldNode):
            field = parent.fields.get(node.name.value)
            if field is None:
                continue
            yield parent, field, node
            target = subgraph.types.get(base_type(field.type))
            if node.selection_set is not None and target is not None:
                yield from selected(subgraph, target, node.selection_set)
        elif isinstance(node, InlineFragmentNode):
            condition = node.type_condition.name.value if node.type_condition else parent.name
            if (on_type := subgraph.types.get(condition)) is not None:
                yield from selected(subgraph, on_type, node.selection_set)


def field_sets(subgraph: Subgraph) -> Iterator[tuple[str, TypeDefinition, SelectionSetNode]]:
    """All well-formed field sets of a subgraph: directive name, the type it selects on, the selections."""
    for type_ in subgraph.types.values():
        for key in type_.applied("key"):
            yield from _well_formed("key", type_, key)
        for field in type_.fields.values():
            for requires in field.applied("requires"):
                yield from _well_formed("requires", type_, requires)
            target = subgraph.types.get(base_type(field.type))
            if target is not None:
                for provides in field.applied("provides"):
                    yield from _well_formed("provides", target, provides)


def _well_formed(
    name: str, type_: TypeDefinition, directive: Directive
) -> Iterator[tuple[str, TypeDefinition, SelectionSetNode]]:
    from graphql import GraphQLSyntaxError

    text = field_set_text(directive)
    if text is not None:
        try:
            selections = parse_field_set(text)
        except GraphQLSyntaxError:
            return
        yield name, type_, selections
