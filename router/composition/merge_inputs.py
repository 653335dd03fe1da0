"""Merging arguments and input objects: a caller must be understood by every subgraph, so both go by intersection."""

from __future__ import annotations

from collections.abc import Sequence

from graphql.language import ObjectValueNode, ValueNode, print_ast

from router.composition.merge_context import MergeContext, join, merge_description, names, versions
from router.composition.merge_directives import merge_directives
from router.composition.model import Element, Field, InputValue, Subgraph, TypeDefinition
from router.composition.type_refs import most_specific
from router.errors import CompositionErrorCode as Code

InputSources = Sequence[tuple[Subgraph, InputValue]]


def merge_arguments(
    context: MergeContext, where: str, sources: Sequence[tuple[Subgraph, Field]]
) -> dict[str, InputValue]:
    """The arguments that every subgraph's field has. Contextual ones are the router's business, not the caller's."""
    merged: dict[str, InputValue] = {}
    for name in dict.fromkeys(name for _, field in sources for name in field.arguments):
        place = f'Argument "{where}({name}:)"'
        present = [(s, f.arguments[name]) for s, f in sources if name in f.arguments]
        if any(argument.has("fromContext") for _, argument in present):
            _check_contextual(context, place, sources, name)
            continue
        absent = [s for s, f in sources if name not in f.arguments]
        if not absent:
            merged[name] = _merge_input(
                context, place, name, present, Code.FIELD_ARGUMENT_TYPE_MISMATCH, Code.FIELD_ARGUMENT_DEFAULT_MISMATCH
            )
        elif required := [(s, a) for s, a in present if a.required]:
            context.report.error(
                Code.REQUIRED_ARGUMENT_MISSING_IN_SOME_SUBGRAPH,
                f"{place} is required in {names(s for s, _ in required)} but does not exist in {names(absent)}.",
                *required,
            )
        else:
            context.report.hint(
                "INCONSISTENT_ARGUMENT_PRESENCE",
                f"{place} is left out of the supergraph: it does not exist in {names(absent)}.",
                *present,
            )
    return merged


def _check_contextual(context: MergeContext, place: str, sources: Sequence[tuple[Subgraph, Field]], name: str) -> None:
    for subgraph, field in sources:
        argument = field.arguments.get(name)
        if argument is None or argument.has("fromContext"):
            continue
        message = f'{place} is set from a context in some subgraphs, but in "{subgraph.name}" the caller gives it.'
        if argument.required:
            code = Code.CONTEXTUAL_ARGUMENT_NOT_CONTEXTUAL_IN_ALL_SUBGRAPHS
            context.report.error(code, message, (subgraph, argument))
        else:
            hint = "CONTEXTUAL_ARGUMENT_NOT_CONTEXTUAL_IN_ALL_SUBGRAPHS"
            context.report.hint(hint, f"{message} It is left out.", (subgraph, argument))


def merge_input_object(
    context: MergeContext, sources: Sequence[tuple[Subgraph, TypeDefinition]], into: TypeDefinition
) -> None:
    """The input fields that all subgraphs with the type have."""
    for name in dict.fromkeys(name for _, type_ in sources for name in type_.inputs):
        place = f'Input field "{into.name}.{name}"'
        present = [(s, t.inputs[name]) for s, t in sources if name in t.inputs]
        absent = [s for s, t in sources if name not in t.inputs]
        if not absent:
            merged = _merge_input(
                context, place, name, present, Code.FIELD_TYPE_MISMATCH, Code.INPUT_FIELD_DEFAULT_MISMATCH
            )
            if len({source.type for _, source in present}) > 1:
                merged.directives += [join("field", graph=s.enum_value, type=f.type) for s, f in present]
            into.inputs[name] = merged
        elif required := [(s, f) for s, f in present if f.required]:
            context.report.error(
                Code.REQUIRED_INPUT_FIELD_MISSING_IN_SOME_SUBGRAPH,
                f"{place} is required in {names(s for s, _ in required)} but does not exist in {names(absent)}.",
                *required,
            )
        else:
            context.report.hint(
                "INCONSISTENT_INPUT_OBJECT_FIELD",
                f"{place} is left out of the supergraph: it does not exist in {names(absent)}.",
                *present,
            )
    if not into.inputs and any(type_.inputs for _, type_ in sources):
        message = f'No field of input type "{into.name}" is common to {names(s for s, _ in sources)}.'
        context.report.error(Code.EMPTY_MERGED_INPUT_TYPE, message, *sources)


def _merge_input(
    context: MergeContext, place: str, name: str, sources: InputSources, type_code: Code, default_code: Code
) -> InputValue:
    elements: Sequence[tuple[Subgraph, Element]] = sources
    return InputValue(
        name,
        merge_description(context, place, elements),
        merge_directives(context, place, elements),
        None,
        _merge_type(context, place, sources, type_code),
        _merge_default(context, place, sources, default_code),
    )


def _merge_type(context: MergeContext, place: str, sources: InputSources, code: Code) -> str:
    types = [(subgraph, source.type) for subgraph, source in sources]
    chosen = most_specific([type_ for _, type_ in types], context.abstract)
    if chosen is None:
        context.report.error(code, f"{place} has incompatible types: {versions(types)}.", *sources)
        return types[0][1]
    if any(type_ != chosen for _, type_ in types):
        kind = "ARGUMENT" if code is Code.FIELD_ARGUMENT_TYPE_MISMATCH else "FIELD"
        hint = f"INCONSISTENT_BUT_COMPATIBLE_{kind}_TYPE"
        context.report.hint(hint, f"{place} will be {chosen}: it is {versions(types)}.", *sources)
    return chosen


def _merge_default(context: MergeContext, place: str, sources: InputSources, code: Code) -> ValueNode | None:
    given = [(s, canonical(source.default)) for s, source in sources if source.default is not None]
    if len({text for _, text in given}) > 1:
        context.report.error(code, f"{place} has incompatible default values: {versions(given)}.", *sources)
        return None
    if given and len(given) < len(sources):
        message = f"{place} has a default value only in {names(s for s, _ in given)}; the supergraph will have none."
        context.report.hint("INCONSISTENT_DEFAULT_VALUE_PRESENCE", message, *sources)
        return None
    return sources[0][1].default if given else None


def canonical(value: ValueNode) -> str:
    """Source of a constant, the same for equal constants: an object's fields have no order."""
    if isinstance(value, ObjectValueNode):
        members = sorted(f"{field.name.value}: {canonical(field.value)}" for field in value.fields or ())
        return "{" + ", ".join(members) + "}"
    return print_ast(value)
