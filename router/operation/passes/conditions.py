"""``@skip``, ``@include`` and ``@defer``: decided here, once, from the values of the variables they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)

from router.errors import OperationError
from router.operation.model import Defer
from router.operation.passes.literals import canonical_arguments

CONDITIONAL = ("skip", "include", "defer")


def is_selected(node: SelectionNode, values: Mapping[str, bool]) -> bool:
    """Whether ``@skip`` and ``@include`` let the selection through (GraphQL specification, 3.13)."""
    for directive in node.directives or ():
        name = directive.name.value
        if name == "skip" and _condition(directive, values):
            return False
        if name == "include" and not _condition(directive, values):
            return False
    return True


def deferral(node: SelectionNode, values: Mapping[str, bool]) -> Defer | None:
    """The fragment's ``@defer``, unless its ``if`` is false."""
    for directive in node.directives or ():
        if directive.name.value == "defer" and _condition(directive, values, default=True):
            label = _argument(directive, "label")
            return Defer(label.value if isinstance(label, StringValueNode) else None)
    return None


def printed_directives(node: SelectionNode) -> tuple[str, ...]:
    """The executable directives that are left for subgraphs."""
    return tuple(_print(directive) for directive in node.directives or () if directive.name.value not in CONDITIONAL)


def condition_variables(document: DocumentNode) -> frozenset[str]:
    """Names of all variables that ``@skip``, ``@include`` or ``@defer`` of the document depend on."""
    found: set[str] = set()
    for definition in document.definitions:
        selection_set = getattr(definition, "selection_set", None)
        if selection_set is not None:
            found.update(_conditions_in(selection_set))
    return frozenset(found)


def condition_defaults(operation: OperationDefinitionNode) -> dict[str, bool]:
    """Defaults of the operation's Boolean variables: what a condition is when the request leaves it out."""
    return {
        definition.variable.name.value: definition.default_value.value
        for definition in operation.variable_definitions or ()
        if isinstance(definition.default_value, BooleanValueNode)
    }


def _conditions_in(selection_set: SelectionSetNode) -> Iterator[str]:
    node: FieldNode | InlineFragmentNode | FragmentSpreadNode
    for node in cast(Iterable[FieldNode | InlineFragmentNode | FragmentSpreadNode], selection_set.selections):
        for directive in node.directives or ():
            condition = _argument(directive, "if") if directive.name.value in CONDITIONAL else None
            if isinstance(condition, VariableNode):
                yield condition.name.value
        inner = None if isinstance(node, FragmentSpreadNode) else node.selection_set
        if inner is not None:
            yield from _conditions_in(inner)


def _argument(directive: DirectiveNode, name: str) -> ValueNode | None:
    return next((argument.value for argument in directive.arguments or () if argument.name.value == name), None)


def _condition(directive: DirectiveNode, values: Mapping[str, bool], default: bool | None = None) -> bool:
    value = _argument(directive, "if")
    if isinstance(value, BooleanValueNode):
        return value.value
    if isinstance(value, VariableNode):
        known = values.get(value.name.value, default)
        if isinstance(known, bool):
            return known
        raise OperationError(f'Variable "${value.name.value}" is needed by @{directive.name.value} and has no value.')
    if default is not None:
        return default
    raise OperationError(f'Directive "@{directive.name.value}" needs a Boolean "if".')


def _print(directive: DirectiveNode) -> str:
    arguments = ", ".join(f"{a.name}: {a.value}" for a in canonical_arguments(directive.arguments or ()))
    return f"@{directive.name.value}({arguments})" if arguments else f"@{directive.name.value}"
