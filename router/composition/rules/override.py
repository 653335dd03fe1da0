"""@override: a field that moves from one subgraph to another, at once or by label.

Source: Federation directive reference, @override. Fills :attr:`MergeContext.overrides`.
"""

from __future__ import annotations

import re

from graphql.language import StringValueNode

from router.composition.merge_context import MergeContext, Override
from router.composition.model import Directive, Field, Subgraph, TypeDefinition
from router.errors import CompositionErrorCode as Code

_LABEL = re.compile(r"[a-zA-Z][a-zA-Z0-9_\-:./]*|percent\((\d{1,2}(\.\d{1,8})?|100)\)")


def resolve_overrides(context: MergeContext) -> None:
    """Check every @override and note which subgraph's field it takes over."""
    by_name = {subgraph.name: subgraph for subgraph in context.subgraphs}
    for subgraph in context.subgraphs:
        for type_, field in subgraph.fields():
            for directive in field.applied("override"):
                _resolve(context, by_name, subgraph, type_, field, directive)


def _resolve(
    context: MergeContext,
    by_name: dict[str, Subgraph],
    subgraph: Subgraph,
    type_: TypeDefinition,
    field: Field,
    directive: Directive,
) -> None:
    where = f'Field "{type_.name}.{field.name}" of subgraph "{subgraph.name}"'
    source_name, label = _text(directive, "from"), _text(directive, "label")
    report = context.report
    if type_.kind == "interface":
        report.error(
            Code.OVERRIDE_ON_INTERFACE, f"{where} belongs to an interface: it cannot have @override.", (subgraph, field)
        )
        return
    if label is not None and not _LABEL.fullmatch(label):
        message = f'{where}: "{label}" is no override label. Write a name or percent(0) to percent(100).'
        report.error(Code.OVERRIDE_LABEL_INVALID, message, (subgraph, field))
    if source_name == subgraph.name:
        report.error(Code.OVERRIDE_FROM_SELF_ERROR, f"{where} overrides itself.", (subgraph, field))
        return
    if (type_.name, field.name) in subgraph.external_in_effect:
        message = f"{where} is @external: it cannot have @override too."
        report.error(Code.OVERRIDE_COLLISION_WITH_ANOTHER_DIRECTIVE, message, (subgraph, field))
        return
    source = by_name.get(source_name or "")
    if source is None:
        message = f'{where} overrides subgraph "{source_name}", which does not exist.'
        report.hint("FROM_SUBGRAPH_DOES_NOT_EXIST", message, (subgraph, field))
        return
    source_type = source.types.get(type_.name)
    source_field = source_type.fields.get(field.name) if source_type else None
    if source_field is None or (type_.name, field.name) in source.external_in_effect:
        message = f'{where}: @override can be removed, "{source.name}" no longer resolves the field.'
        report.hint("OVERRIDE_DIRECTIVE_CAN_BE_REMOVED", message, (subgraph, field))
        return
    _take_over(context, (subgraph, field), (source, source_field), (type_.name, field.name), label)


def _take_over(
    context: MergeContext,
    target: tuple[Subgraph, Field],
    source: tuple[Subgraph, Field],
    coordinate: tuple[str, str],
    label: str | None,
) -> None:
    where = f'Field "{coordinate[0]}.{coordinate[1]}"'
    if source[1].has("override"):
        message = f'{where} of "{target[0].name}" overrides "{source[0].name}", where it has @override itself.'
        context.report.error(Code.OVERRIDE_SOURCE_HAS_OVERRIDE, message, target, source)
        return
    for name in ("requires", "provides"):
        if source[1].has(name):
            message = f'{where} of "{source[0].name}" has @{name}, so "{target[0].name}" cannot override it.'
            context.report.error(Code.OVERRIDE_COLLISION_WITH_ANOTHER_DIRECTIVE, message, target, source)
            return
    used = coordinate in context.used[source[0].name]
    context.overrides.setdefault(coordinate, {})[source[0].name] = Override(target[0].name, label, used)
    if label is not None:
        message = f'{where} is moving from "{source[0].name}" to "{target[0].name}" by label "{label}".'
        context.report.hint("OVERRIDE_MIGRATION_IN_PROGRESS", message, target)
    elif used:
        message = f'{where} of "{source[0].name}" is overridden, but used there: consider marking it @external.'
        context.report.hint("OVERRIDDEN_FIELD_CAN_BE_REMOVED", message, source)
    else:
        message = f'{where} of "{source[0].name}" is overridden: it can be removed.'
        context.report.hint("OVERRIDDEN_FIELD_CAN_BE_REMOVED", message, source)


def _text(directive: Directive, name: str) -> str | None:
    value = directive.arguments.get(name)
    return value.value if isinstance(value, StringValueNode) else None
