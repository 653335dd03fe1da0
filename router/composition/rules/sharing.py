"""A field that several subgraphs resolve has to be @shareable in all of them, and to mean the same there."""

from __future__ import annotations

from collections.abc import Sequence

from router.composition.merge import Merged
from router.composition.merge_context import MergeContext, names
from router.composition.merge_fields import resolving
from router.composition.model import Field, Subgraph, TypeDefinition, base_type
from router.composition.usage import key_fields
from router.errors import CompositionErrorCode as Code


def check_sharing(context: MergeContext, merged: Merged) -> None:
    """What an interface object resolves, it resolves for the implementations too."""
    keys = {subgraph.name: key_fields(subgraph) for subgraph in context.subgraphs}
    for type_ in merged.types.values():
        if type_.kind not in ("object", "interface"):
            continue
        sources = [(s, t) for s, t in context.sources(type_.name) if t.kind == "object"]
        sources += _interface_objects(context, type_)
        for name in type_.fields if len(sources) > 1 else ():
            owners = [(s, t, t.fields[name]) for s, t in sources if name in t.fields]
            owners = [o for o in owners if resolving(context, o[1].name, [(o[0], o[2])])]
            if len(owners) > 1:
                fields = [(s, f) for s, _, f in owners]
                unshared = [
                    (s, f) for s, t, f in owners if not f.has("shareable") and (t.name, name) not in keys[s.name]
                ]
                if unshared:
                    _report_unshared(context, type_.name, fields, unshared)


def check_shared_runtime_types(context: MergeContext, merged: Merged) -> None:
    """Subgraphs that answer the same question must at least be able to give the same answer."""
    for type_ in merged.types.values():
        visible = type_.kind == "object" and not type_.has("inaccessible")
        for name, field in type_.fields.items() if visible else ():
            if field.has("inaccessible"):
                continue
            present = [(s, t.fields[name]) for s, t in context.sources(type_.name) if name in t.fields]
            owners = resolving(context, type_.name, present)
            if len(owners) > 1:
                _check_runtime_types(context, type_.name, owners)


def _interface_objects(context: MergeContext, type_: TypeDefinition) -> list[tuple[Subgraph, TypeDefinition]]:
    """The interface objects that resolve fields of this object too."""
    return [
        (subgraph, source)
        for name in (type_.interfaces if type_.kind == "object" else ())
        for subgraph, source in context.sources(name)
        if source.has("interfaceObject")
    ]


def _report_unshared(
    context: MergeContext,
    type_name: str,
    owners: Sequence[tuple[Subgraph, Field]],
    unshared: Sequence[tuple[Subgraph, Field]],
) -> None:
    name = owners[0][1].name
    overriding = [s for s, f in unshared if f.has("override")]
    advice = f" (@override in {names(overriding)} takes it from one subgraph only)" if overriding else ""
    message = (
        f'Field "{type_name}.{name}" is resolved by {names(s for s, _ in owners)},'
        f" but not @shareable in {names(s for s, _ in unshared)}{advice}."
    )
    context.report.error(Code.INVALID_FIELD_SHARING, message, *owners)


def _check_runtime_types(context: MergeContext, type_name: str, owners: Sequence[tuple[Subgraph, Field]]) -> None:
    if not any(base_type(field.type) in context.abstract for _, field in owners):
        return
    possible = [(s, frozenset(s.possible_types(base_type(f.type)))) for s, f in owners]
    if len({types for _, types in possible}) == 1:
        return
    where = f'Shared field "{type_name}.{owners[0][1].name}"'
    described = "; ".join(f'in "{s.name}" {", ".join(sorted(types)) or "none"}' for s, types in possible)
    if not frozenset.intersection(*(types for _, types in possible)):
        message = f"{where} has no run-time type that all its subgraphs can return: {described}."
        context.report.error(Code.SHAREABLE_HAS_MISMATCHED_RUNTIME_TYPES, message, *owners)
    else:
        message = f"{where} returns different run-time types in different subgraphs: {described}."
        context.report.hint("INCONSISTENT_RUNTIME_TYPES_FOR_SHAREABLE_RETURN", message, *owners)
