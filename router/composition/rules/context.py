"""@context and @fromContext: contexts are set where they are used, and selections give one value of the right type.

Source: Federation directive reference, @context and @fromContext.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from graphql import GraphQLSyntaxError
from graphql.language import BooleanValueNode, FieldNode, InlineFragmentNode, SelectionSetNode, StringValueNode

from router.composition.contexts import context_types, parse_context_value
from router.composition.field_sets import parse_field_set
from router.composition.model import Directive, InputValue, Report, Subgraph, TypeDefinition, base_type
from router.composition.type_refs import is_subtype
from router.errors import CompositionErrorCode as Code

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")


class _Invalid(Exception):
    """Why a selection cannot give an argument's value."""


def check_contexts(subgraph: Subgraph, report: Report) -> None:
    """Check the names of contexts, and every argument that is set from one."""
    for type_ in subgraph.types.values():
        for applied in type_.applied("context"):
            name = _string(applied, "name")
            if name is None or not _NAME.fullmatch(name):
                message = f'Context "{name}" of type "{type_.name}": a name has letters and digits only.'
                report.error(Code.CONTEXT_NAME_INVALID, message, (subgraph, type_))
    contexts = context_types(subgraph)
    for type_, field in subgraph.fields():
        contextual = [(a, d) for a in field.arguments.values() for d in a.applied("fromContext")]
        for argument, applied in contextual:
            where = f'Argument "{type_.name}.{field.name}({argument.name}:)"'
            _check_argument(subgraph, report, where, argument, applied, contexts)
        if contextual and not _has_resolvable_key(type_):
            message = f'Type "{type_.name}" has an argument set from a context, so it needs a resolvable @key.'
            report.error(Code.CONTEXT_NO_RESOLVABLE_KEY, message, (subgraph, type_))


def _check_argument(
    subgraph: Subgraph,
    report: Report,
    where: str,
    argument: InputValue,
    applied: Directive,
    contexts: dict[str, list[TypeDefinition]],
) -> None:
    name, selection = parse_context_value(_string(applied, "field") or "")
    if not name:
        message = f"{where}: write $context and a selection."
        report.error(Code.NO_CONTEXT_IN_SELECTION, message, (subgraph, argument))
        return
    if name not in contexts:
        report.error(Code.CONTEXT_NOT_SET, f'{where}: no type sets context "{name}".', (subgraph, argument))
        return
    try:
        selections = parse_field_set(selection)
        for type_ in contexts[name]:
            for chosen in _for_type(subgraph, type_, selections):
                found = _selected_type(subgraph, type_, chosen)
                # A context can turn out to be null, so a contextual argument has to take null.
                if not is_subtype(found.removesuffix("!"), argument.type, {}):
                    raise _Invalid(f"the selection is of type {found}, the argument of type {argument.type}")
    except (_Invalid, GraphQLSyntaxError) as error:
        report.error(Code.CONTEXT_INVALID_SELECTION, f'{where}: context "{name}": {error}.', (subgraph, argument))


def _for_type(subgraph: Subgraph, type_: TypeDefinition, selections: SelectionSetNode) -> Iterator[SelectionSetNode]:
    """The part of the selection that is for this type: all of it, or what its type conditions say."""
    nodes = selections.selections or ()
    fragments = [node for node in nodes if isinstance(node, InlineFragmentNode) and node.type_condition]
    if not fragments:
        yield selections
        return
    if len(fragments) != len(nodes):
        raise _Invalid("fields and type conditions cannot stand side by side")
    matching = [
        node
        for node in fragments
        if node.type_condition
        and subgraph.possible_types(node.type_condition.name.value) & subgraph.possible_types(type_.name)
    ]
    if not matching:
        raise _Invalid(f'nothing is selected for type "{type_.name}"')
    for node in matching:
        yield node.selection_set


def _selected_type(subgraph: Subgraph, type_: TypeDefinition, selections: SelectionSetNode) -> str:
    nodes = selections.selections or ()
    if len(nodes) != 1:
        raise _Invalid("exactly one field has to be selected")
    node = nodes[0]
    if isinstance(node, InlineFragmentNode) and node.type_condition:
        target = subgraph.types.get(node.type_condition.name.value)
        return _selected_type(subgraph, target or type_, node.selection_set)
    if not isinstance(node, FieldNode) or node.alias or node.directives:
        raise _Invalid("a plain field has to be selected, without alias or directive")
    field = type_.fields.get(node.name.value)
    if field is None:
        raise _Invalid(f'type "{type_.name}" has no field "{node.name.value}"')
    target = subgraph.types.get(base_type(field.type))
    if node.selection_set is None:
        if target is not None and target.is_composite:
            raise _Invalid(f'"{type_.name}.{field.name}" is an object: select a field of it')
        return field.type
    if target is None:
        raise _Invalid(f'"{type_.name}.{field.name}" has no fields')
    inner = _selected_type(subgraph, target, node.selection_set)
    # A null on the way makes the whole value null.
    return inner if field.type.endswith("!") else inner.rstrip("!")


def _has_resolvable_key(type_: TypeDefinition) -> bool:
    flags = (key.arguments.get("resolvable") for key in type_.applied("key"))
    return any(not isinstance(flag, BooleanValueNode) or flag.value for flag in flags)


def _string(directive: Directive, name: str) -> str | None:
    value = directive.arguments.get(name)
    return value.value if isinstance(value, StringValueNode) else None
