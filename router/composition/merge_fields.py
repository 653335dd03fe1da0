"""Merging the fields of objects and interfaces, and writing down in join__field who resolves what, and how."""

from __future__ import annotations

from collections.abc import Sequence

from graphql.language import (
    ListValueNode,
    NameNode,
    ObjectFieldNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
)

from router.composition.contexts import parse_context_value
from router.composition.field_sets import field_set_text
from router.composition.merge_context import MergeContext, join, merge_description, names, versions
from router.composition.merge_directives import merge_directives
from router.composition.merge_inputs import canonical, merge_arguments
from router.composition.model import Directive, Field, Subgraph, TypeDefinition
from router.composition.type_refs import is_subtype, most_general
from router.errors import CompositionErrorCode as Code

TypeSources = Sequence[tuple[Subgraph, TypeDefinition]]
FieldSources = Sequence[tuple[Subgraph, Field]]


def merge_fields(context: MergeContext, sources: TypeSources, into: TypeDefinition) -> None:
    """Every field of any subgraph, with the type that covers what all of them answer."""
    for name in dict.fromkeys(name for _, type_ in sources for name in type_.fields):
        present = [(s, t.fields[name]) for s, t in sources if name in t.fields]
        merged = _merge_field(context, into, name, present)
        absent = len(present) < len(sources)
        merged.directives += _join_fields(context, into, merged, present, absent)
        into.fields[name] = merged


def resolving(context: MergeContext, type_name: str, sources: FieldSources) -> list[tuple[Subgraph, Field]]:
    """The subgraphs that answer for the field: neither external there nor taken over."""
    return [
        (s, f)
        for s, f in sources
        if (type_name, f.name) not in s.external_in_effect
        and s.name not in context.overrides.get((type_name, f.name), {})
    ]


def _merge_field(context: MergeContext, into: TypeDefinition, name: str, sources: FieldSources) -> Field:
    where = f"{into.name}.{name}"
    place = f'Field "{where}"'
    owning = [(s, f) for s, f in sources if (into.name, name) not in s.external_in_effect]
    external = [(s, f) for s, f in sources if (into.name, name) in s.external_in_effect]
    if not owning:
        message = f"{place} is @external in {names(s for s, _ in external)}, and no other subgraph resolves it."
        context.report.error(Code.EXTERNAL_MISSING_ON_BASE, message, *external)
        owning, external = external, []  # so that nothing is reported missing only because of this
    merged = Field(
        name,
        merge_description(context, place, owning),
        merge_directives(context, place, owning),
        None,
        _merge_type(context, place, owning),
        merge_arguments(context, where, owning),
    )
    _check_externals(context, place, merged, {field.type for _, field in owning}, external)
    return merged


def _merge_type(context: MergeContext, place: str, sources: FieldSources) -> str:
    types = [(subgraph, field.type) for subgraph, field in sources]
    chosen = most_general([type_ for _, type_ in types], context.abstract)
    if chosen is None:
        message = f"{place} has incompatible types: {versions(types)}."
        context.report.error(Code.FIELD_TYPE_MISMATCH, message, *sources)
        return types[0][1]
    if any(type_ != chosen for _, type_ in types):
        message = f"{place} will be {chosen}: it is {versions(types)}."
        context.report.hint("INCONSISTENT_BUT_COMPATIBLE_FIELD_TYPE", message, *sources)
    return chosen


def _check_externals(context: MergeContext, place: str, merged: Field, types: set[str], external: FieldSources) -> None:
    """What a subgraph says of another's field has to agree with what some owner says of it."""
    for subgraph, field in external:
        where = f'{place} is @external in "{subgraph.name}"'
        if field.type not in types:
            message = f"{where} with type {field.type}, but its type is {merged.type}."
            context.report.error(Code.EXTERNAL_TYPE_MISMATCH, message, (subgraph, field))
        for argument in merged.arguments.values():
            own = field.arguments.get(argument.name)
            if own is None:
                message = f'{where} without its argument "{argument.name}".'
                context.report.error(Code.EXTERNAL_ARGUMENT_MISSING, message, (subgraph, field))
                continue
            if not is_subtype(argument.type, own.type, context.abstract):
                message = f'{where}: argument "{argument.name}" is {own.type} there, but {argument.type} elsewhere.'
                context.report.error(Code.EXTERNAL_ARGUMENT_TYPE_MISMATCH, message, (subgraph, own))
            if _default(own.default) != _default(argument.default):
                message = f'{where}: argument "{argument.name}" has another default value there.'
                context.report.error(Code.EXTERNAL_ARGUMENT_DEFAULT_MISMATCH, message, (subgraph, own))


def _default(value: ValueNode | None) -> str | None:
    return canonical(value) if value is not None else None


# --- join__field --------------------------------------------------------------------------------------------------


def _join_fields(
    context: MergeContext, into: TypeDefinition, merged: Field, sources: FieldSources, absent: bool
) -> list[Directive]:
    """One entry a subgraph; none at all where they could say nothing."""
    coordinate = (into.name, merged.name)
    overrides = context.overrides.get(coordinate, {})
    same_type = all(field.type == merged.type for _, field in sources)
    if (
        not absent
        and same_type
        and not overrides
        and not any(_is_special(context, s, f, coordinate) for s, f in sources)
    ):
        return []
    result = []
    labels = {override.by: override.label for override in overrides.values()}
    labels |= {name: override.label for name, override in overrides.items() if override.label}
    known = {subgraph.name for subgraph in context.subgraphs}
    for subgraph, field in sources:
        taken = overrides.get(subgraph.name)
        if taken is not None and taken.label is None and not taken.used:
            continue
        external = coordinate in subgraph.external_in_effect
        source = _argument(field, "override", "from")
        result.append(
            join(
                "field",
                graph=subgraph.enum_value,
                requires=_field_set(field, "requires"),
                provides=_field_set(field, "provides"),
                override=source if source in known else None,
                type=None if same_type else field.type,
                external=True if external else None,
                usedOverridden=True if taken is not None and taken.used and taken.label is None else None,
                overrideLabel=labels.get(subgraph.name),
                contextArguments=_context_arguments(context, subgraph, field),
            )
        )
    return result


def _is_special(context: MergeContext, subgraph: Subgraph, field: Field, coordinate: tuple[str, str]) -> bool:
    return (
        coordinate in subgraph.external_in_effect
        or field.has("requires")
        or field.has("provides")
        or any(_argument(field, "override", "from") == other.name for other, _ in context.sources(coordinate[0]))
        or any(argument.has("fromContext") for argument in field.arguments.values())
    )


def _field_set(field: Field, name: str) -> str | None:
    applied = field.applied(name)
    return field_set_text(applied[0]) if applied else None


def _argument(field: Field, directive: str, name: str) -> str | None:
    for applied in field.applied(directive):
        value = applied.arguments.get(name)
        return value.value if isinstance(value, StringValueNode) else None
    return None


def _context_arguments(context: MergeContext, subgraph: Subgraph, field: Field) -> ListValueNode | None:
    items = []
    for argument in field.arguments.values():
        for applied in argument.applied("fromContext"):
            value = applied.arguments.get("field")
            if isinstance(value, StringValueNode):
                name, selection = parse_context_value(value.value)
                members = {
                    "context": f"{subgraph.name}__{name}",
                    "name": argument.name,
                    "type": argument.type,
                    "selection": selection,
                }
                items.append(
                    ObjectValueNode(
                        fields=tuple(
                            ObjectFieldNode(name=NameNode(value=key), value=StringValueNode(value=text, block=False))
                            for key, text in members.items()
                        )
                    )
                )
    return ListValueNode(values=tuple(items)) if items else None
