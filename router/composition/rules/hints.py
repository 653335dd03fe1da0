"""Hints on types that subgraphs describe differently, though legally so."""

from __future__ import annotations

from router.composition.merge import Merged
from router.composition.merge_context import MergeContext, names
from router.composition.model import ROOT_TYPES, TypeDefinition


def hint_inconsistent_types(context: MergeContext, merged: Merged) -> None:
    """Entities that are values elsewhere; values and interfaces with different fields."""
    for type_ in merged.types.values():
        if type_.kind in ("object", "interface") and type_.name not in ROOT_TYPES.values():
            _hint(context, type_)


def _hint(context: MergeContext, type_: TypeDefinition) -> None:
    sources = context.sources(type_.name)
    keyless = [s for s, t in sources if not t.has("key")]
    if len(sources) < 2:
        return
    if len(keyless) < len(sources):
        if keyless and type_.kind == "object":
            message = f'Type "{type_.name}" is an entity, but has no @key in {names(keyless)}.'
            context.report.hint("INCONSISTENT_ENTITY", message, *sources)
        return
    code = f"INCONSISTENT_{type_.kind.upper()}_VALUE_TYPE_FIELD"
    for field in type_.fields:
        absent = [s for s, t in sources if field not in t.fields]
        if absent:
            present = names(s for s, t in sources if field in t.fields)
            message = f'Field "{type_.name}.{field}" is defined in {present} but not in {names(absent)}.'
            context.report.hint(code, message, *sources)
