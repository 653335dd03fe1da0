"""Merging enums and unions, whose parts are only names."""

from __future__ import annotations

from collections.abc import Sequence

from router.composition.merge_context import MergeContext, join, merge_description, names
from router.composition.merge_directives import merge_directives
from router.composition.model import EnumValue, Subgraph, TypeDefinition
from router.errors import CompositionErrorCode as Code

TypeSources = Sequence[tuple[Subgraph, TypeDefinition]]


def merge_union(context: MergeContext, sources: TypeSources, into: TypeDefinition) -> None:
    """Every member of any subgraph."""
    for member in dict.fromkeys(member for _, type_ in sources for member in type_.members):
        present = [s for s, type_ in sources if member in type_.members]
        into.members.append(member)
        into.directives += [join("unionMember", graph=s.enum_value, member=member) for s in present]
        if len(present) < len(sources):
            message = f'Union "{into.name}" has member "{member}" only in {names(present)}.'
            context.report.hint("INCONSISTENT_UNION_MEMBER", message, *sources)


def merge_enum(context: MergeContext, sources: TypeSources, into: TypeDefinition) -> None:
    """By position: what callers may send, every subgraph must know; what any subgraph may answer, callers must know."""
    is_input = into.name in context.input_positions
    is_output = into.name in context.output_positions
    if not is_input and not is_output:
        message = f'Enum "{into.name}" is used nowhere; all its values are kept.'
        context.report.hint("UNUSED_ENUM_TYPE", message, *sources)
    for name in dict.fromkeys(name for _, type_ in sources for name in type_.values):
        present = [(s, type_.values[name]) for s, type_ in sources if name in type_.values]
        absent = [s for s, type_ in sources if name not in type_.values]
        if absent and not _keep_partial(context, into, name, present, absent, is_input, is_output):
            continue
        where = f'Enum value "{into.name}.{name}"'
        value = EnumValue(name, merge_description(context, where, present))
        value.directives = merge_directives(context, where, present)
        value.directives += [join("enumValue", graph=s.enum_value) for s, _ in present]
        into.values[name] = value
    if not into.values:
        message = f'No value of enum "{into.name}" is common to {names(s for s, _ in sources)}.'
        context.report.error(Code.EMPTY_MERGED_ENUM_TYPE, message, *sources)


def _keep_partial(
    context: MergeContext,
    into: TypeDefinition,
    name: str,
    present: Sequence[tuple[Subgraph, EnumValue]],
    absent: Sequence[Subgraph],
    is_input: bool,
    is_output: bool,
) -> bool:
    where = (
        f'Value "{name}" of enum "{into.name}" is defined in {names(s for s, _ in present)} but not in {names(absent)}'
    )
    if is_input and is_output:
        if not any(value.has("inaccessible") for _, value in present):
            message = f"{where}: an enum that is both sent and answered must be the same everywhere."
            context.report.error(Code.ENUM_VALUE_MISMATCH, message, *present)
        return True
    if is_input:
        hint = "INCONSISTENT_ENUM_VALUE_FOR_INPUT_ENUM"
        context.report.hint(hint, f"{where}; it is left out of the supergraph.", *present)
        return False
    context.report.hint("INCONSISTENT_ENUM_VALUE_FOR_OUTPUT_ENUM", f"{where}; it is kept.", *present)
    return True
